"""What the brightness of myocardium says: two classes, remote myocardium, and the threshold of each method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.quantify.scar.config import ScarConfig

Values = NDArray[np.float64]
_BINS = 256
_MOST_STEPS = 200
#: The fit stands still when both means move by less than this part of the range of the intensities.
_STILL = 1e-6


@dataclass(frozen=True)
class TwoClasses:
    """Two Gaussians of one standard deviation.

    Noise and blur are those of the scanner and the same in both tissues. Where each class has its own width, the wider
    one takes voxels from both sides of the other, and borders of remote myocardium count as scar.

    Args:
        remote: mean of the darker class.
        scar: mean of the brighter class.
        sd: standard deviation of both, above 0.
        scar_weight: part of the intensities in the brighter class, 0 to 1.
    """

    remote: float
    scar: float
    sd: float
    scar_weight: float

    @property
    def separation(self) -> float:
        """Distance of the means in standard deviations (Ashman's D)."""
        return (self.scar - self.remote) / self.sd

    @property
    def boundary(self) -> float:
        """Intensity at which both classes are equally likely."""
        odds = np.log((1 - self.scar_weight) / self.scar_weight)
        return (self.remote + self.scar) / 2 + self.sd**2 * float(odds) / (self.scar - self.remote)


@dataclass(frozen=True)
class Threshold:
    """Above `value` is scar.

    Args:
        value: intensity, in the image's units.
        remote_mean: of the remote myocardium.
        remote_sd: of the remote myocardium.
        given_remote: True when somebody outlined the remote myocardium.
    """

    value: float
    remote_mean: float
    remote_sd: float
    given_remote: bool


def otsu(values: Values) -> float:
    """Otsu's threshold of at least two different intensities, float64[N], from a histogram of 256 bins."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = len(values) - below
    sums = np.cumsum(counts * centres)
    means_apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
    between = below * above * means_apart**2
    # a gap between the classes leaves several thresholds equally good: the middle one
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2)


def two_classes(values: Values) -> TwoClasses | None:
    """Fit two Gaussians of one width by expectation maximisation, from Otsu's classes.

    Args:
        values: float64[N], finite.

    Returns:
        The classes; None for fewer than two different values.

    Source: Dempster, Laird and Rubin, J R Stat Soc B 1977;39:1.
    """
    span = float(np.ptp(values)) if len(values) else 0.0
    if not span > 0:
        return None
    bright = values > otsu(values)
    means = np.array([values[~bright].mean(), values[bright].mean()])
    weight, floor = float(bright.mean()), (1e-3 * span) ** 2
    variance = max(floor, float(np.where(bright, values - means[1], values - means[0]).var()))
    for _ in range(_MOST_STEPS):
        log_odds = np.log(weight / (1 - weight)) + (means[1] - means[0]) * (values - means.mean()) / variance
        is_scar = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -60, 60)))
        weight = float(np.clip(is_scar.mean(), 1e-9, 1 - 1e-9))
        before = means
        means = np.array([np.average(values, weights=1 - is_scar), np.average(values, weights=is_scar)])
        squares = (1 - is_scar) * (values - means[0]) ** 2 + is_scar * (values - means[1]) ** 2
        variance = max(floor, float(squares.mean()))
        if np.abs(means - before).max() < _STILL * span:
            break
    if not means[1] > means[0]:
        return None
    return TwoClasses(float(means[0]), float(means[1]), float(np.sqrt(variance)), weight)


def find_threshold(values: Values, config: ScarConfig, remote: Values | None, seeds: Values | None) -> Threshold | None:
    """Threshold of a method.

    Args:
        values: float64[N] intensities of muscle away from its rim.
        config: method and percentiles.
        remote: intensities of outlined remote myocardium; None to find it as the darker of two classes.
        seeds: intensities of outlined hyper-enhanced myocardium, whose brightest is the greatest intensity; None to
            take that of the whole myocardium.

    Returns:
        The threshold; None where the muscle is all alike, or shows one class only and nothing was outlined.
    """
    classes = two_classes(values)
    if classes is None:
        return None
    if remote is None and seeds is None and classes.separation < config.least_separation:
        return None
    mean, sd = (classes.remote, classes.sd) if remote is None else (float(remote.mean()), float(remote.std()))
    least = float(np.percentile(values, config.low_percentile))
    greatest = float(np.percentile(values if seeds is None else seeds, config.high_percentile))
    match config.method:
        case "fwhm":
            value = greatest / 2
        case "fwhm_min_max":
            value = (least + greatest) / 2
        case "fwhm_remote_max":
            value = (mean + greatest) / 2
        case "otsu":
            value = otsu(values)
        case "gmm" | "ewa":
            value = classes.boundary
        case n_sd:
            value = mean + int(n_sd.removesuffix("sd")) * sd
    return Threshold(value, mean, sd, remote is not None)


def half_way(values: Values) -> float | None:
    """Middle between the means of the two classes: where a voxel is half scar; None where there are no two classes."""
    classes = two_classes(values)
    return None if classes is None else (classes.remote + classes.scar) / 2
