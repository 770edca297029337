"""Volumes by summation of discs, and what follows from two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.study import Segmentation

#: Density of myocardium in g/mL (Myerson et al., Hypertension 2002;39:750), as the SCMR normal values use it.
MYOCARDIUM_DENSITY_G_ML = 1.05
#: Below this end-diastolic volume a ratio of two volumes is noise, and no ejection fraction is given.
SMALLEST_EDV_FOR_EF_ML = 10.0


def volume_curves_ml(segmentation: Segmentation) -> dict[str, NDArray[np.float64]]:
    """Volume of each structure at every frame, by summation of discs on the native grid.

    A voxel's volume is pixel area times slice distance, so the gap between slices belongs to the slices; slice
    thickness is not used.

    Args:
        segmentation: uint8[T, Z, Y, X] labels with their geometry.

    Returns:
        float64[T] in mL for every foreground name of the scheme; zeros where a structure is not labelled.
    """
    voxel_ml = segmentation.geometry.voxel_volume_ml
    numbers = segmentation.scheme.numbers
    counts = np.stack([np.bincount(frame.ravel(), minlength=256) for frame in segmentation.labels])
    return {
        name: counts[:, numbers[name]].astype(np.float64) * voxel_ml for name in segmentation.scheme.foreground_names
    }


def ejection_fraction_percent(edv_ml: float, esv_ml: float) -> float | None:
    """100 (EDV - ESV) / EDV in percent points; None when EDV is under `SMALLEST_EDV_FOR_EF_ML`.

    Args:
        edv_ml: end-diastolic volume in mL, 0 or more.
        esv_ml: end-systolic volume in mL, 0 or more; above EDV the fraction is negative.
    """
    if edv_ml < SMALLEST_EDV_FOR_EF_ML:
        return None
    return 100.0 * (edv_ml - esv_ml) / edv_ml
