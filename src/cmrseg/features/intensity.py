"""First-order statistics of scar relative to remote myocardium."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.features.definitions import BIN_WIDTH_SD, DARK_SD

#: Fewer voxels of remote myocardium have no SD that anything can be compared with.
LEAST_REMOTE = 20
#: Fewer voxels of scar have no distribution.
LEAST_SCAR = 10

Values = NDArray[np.floating]


def intensity_features(scar: Values, remote: Values, blood: Values) -> dict[str, float | None]:
    """Every intensity feature of `definitions`; what cannot be known is None.

    Args:
        scar: brightness of the voxels of scar and no-reflow.
        remote: of remote myocardium.
        blood: of the LV cavity.

    Returns:
        values by key. Without `LEAST_REMOTE` voxels of remote myocardium that differ in brightness nothing has a value
        but their number; without `LEAST_SCAR` voxels of scar nothing of scar has.
    """
    known: dict[str, float | None] = {"remote_voxels": float(len(remote))}
    if len(remote) < LEAST_REMOTE:
        return known
    mean, sd = float(np.mean(remote, dtype=np.float64)), float(np.std(remote, dtype=np.float64, ddof=1))
    if sd <= 0:
        return known
    if len(blood):
        known["blood_intensity_mean_sd"] = (float(np.mean(blood, dtype=np.float64)) - mean) / sd
    if len(scar) < LEAST_SCAR:
        return known
    values = (np.asarray(scar, np.float64) - mean) / sd
    p10, p25, median, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90]).tolist()
    known |= {
        "scar_intensity_mean_sd": float(values.mean()),
        "scar_intensity_median_sd": median,
        "scar_intensity_p10_sd": p10,
        "scar_intensity_p90_sd": p90,
        "scar_intensity_iqr_sd": p75 - p25,
        "scar_intensity_spread_sd": float(values.std()),
        "scar_dark_percent": 100.0 * float((values < DARK_SD).mean()),
    }
    centred, spread = values - values.mean(), float(values.std())
    if spread > 0:
        known["scar_intensity_skewness"] = float((centred**3).mean()) / spread**3
        known["scar_intensity_kurtosis"] = float((centred**4).mean()) / spread**4 - 3
    _, counts = np.unique(np.floor(values / BIN_WIDTH_SD), return_counts=True)
    shares = counts / counts.sum()
    known["scar_intensity_entropy_bits"] = abs(float((shares * np.log2(shares)).sum()))
    known["scar_intensity_uniformity"] = float((shares**2).sum())
    return known
