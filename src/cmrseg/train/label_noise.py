"""Errors in the scar of training labels, of a known kind and size, to see what a loss makes of them.

Only what trains passes here (`cmrseg.train.bank`); masks that measure are never touched.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE, LGE_RV
from cmrseg.quantify.scar import find_scar
from cmrseg.study import Image, Segmentation
from cmrseg.train.config import LabelNoiseConfig

Mask = NDArray[np.bool_]


def noisy_truth(image: Image, truth: Truth, config: LabelNoiseConfig, case_id: str) -> Truth:
    """A patient's masks with an error in the scar.

    Scar stays within the LV muscle, and no-reflow with the scar round it. What becomes scar was remote muscle, what
    is no longer scar becomes remote muscle; whole muscle and cavities are as before.

    - ``dilated``, ``eroded``: the border moves by `amount_mm` within each slice, towards muscle or away from it; of an
      eroded scar nothing may be left.
    - ``shifted``: the scar of all slices moves by `amount_mm` in one direction, drawn for the patient.
    - ``fwhm``: the scar is drawn anew, above half of the greatest brightness (`quantify.scar`), as semi-automatic
      labels are.

    Args:
        image: LGE of the patient.
        truth: its masks, in `labels.LGE` or `labels.LGE_RV`.
        config: kind, size, and which share of the patients is changed.
        case_id: decides, with the seed, whether this one is, and the direction of a shift.

    Returns:
        New masks; the same where there is no noise or the patient is not among the share.

    Raises:
        UsageError: masks without scar in their scheme.
        InputRefused: as `find_scar`.
    """
    if not config.kind:
        return truth
    if truth.scheme.name not in (LGE.name, LGE_RV.name):
        raise UsageError(f"Masks of the scheme {truth.scheme.name!r} have no scar to err in.", "Train on LGE.")
    generator = np.random.default_rng([config.seed, zlib.crc32(case_id.encode())])
    chosen, angle = generator.random() < config.share, generator.uniform(0, 2 * np.pi)
    if not chosen:
        return truth
    if config.kind == "fwhm":
        found = find_scar(image, Segmentation(truth.labels, truth.scheme, truth.geometry), "fwhm")
        return replace(truth, labels=found.labels)
    x_mm, y_mm, _ = truth.geometry.spacing_xyz_mm
    labels = truth.labels.copy()
    for labels_YX in labels.reshape(-1, *labels.shape[2:]):
        infarct = truth.scheme.mask(labels_YX, "scar", "no_reflow")
        muscle = truth.scheme.whole_myocardium(labels_YX)
        moved = _moved(infarct, (y_mm, x_mm), config, float(angle)) & muscle
        labels_YX[infarct & ~moved] = truth.scheme["lv_myocardium"]
        labels_YX[moved & ~infarct] = truth.scheme["scar"]
    return replace(truth, labels=labels)


def _moved(infarct_YX: Mask, spacing_yx_mm: tuple[float, float], config: LabelNoiseConfig, angle: float) -> Mask:
    """The scar of a slice with its error, muscle or not."""
    if not infarct_YX.any():
        return infarct_YX
    if config.kind == "shifted":
        shift_mm = config.amount_mm * np.array([np.sin(angle), np.cos(angle)])
        steps = np.rint(shift_mm / np.array(spacing_yx_mm)).astype(int)
        shifted: Mask = ndimage.shift(infarct_YX.astype(np.uint8), steps, order=0).astype(bool)
        return shifted
    grows = config.kind == "dilated"
    # a rim of background, so that scar at the edge of the picture has a border there
    padded = np.pad(infarct_YX, 1)
    distance = ndimage.distance_transform_edt(~padded if grows else padded, sampling=spacing_yx_mm)[1:-1, 1:-1]
    near: Mask = distance <= config.amount_mm
    return infarct_YX | near if grows else infarct_YX & ~near
