"""How bright the wall is between its own remote myocardium and the blood of the same slice: a second look at scar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.quantify.scar.regions import without_rim

Mask = NDArray[np.bool_]
#: From here on, 0 being remote myocardium and 1 blood, a voxel of the wall is bright: nearer to blood than to nulled
#: myocardium. Scar is about as bright as blood, or brighter.
BRIGHT_FROM = 0.5
#: Myocardium this close to its border is mixed with blood or fat.
RIM_MM = 1.5
#: A median of fewer pixels of a slice is a guess.
_FEWEST_REMOTE, _FEWEST_BLOOD = 30, 10
#: Part of the wall, counted from the cavity, that is looked at: blood of the RV and fat blur into the outer third.
INNER_PART = 2 / 3


def height_over_remote(
    picture_ZYX: NDArray[np.floating],
    myocardium_ZYX: Mask,
    cavity_ZYX: Mask,
    scar_ZYX: Mask,
    spacing_xy_mm: tuple[float, float],
) -> NDArray[np.float64]:
    """Brightness of the inner wall from remote myocardium, 0, to blood, 1, slice by slice.

    Each slice is its own measure: its remote myocardium is the median of what is not labelled scar (the whole wall,
    where scar leaves too little), its blood that of the cavity. So gain and inversion time may differ from slice to
    slice. A slice that is scar for the most part, and not labelled so, has no remote myocardium to compare with and
    hides its own scar.

    Args:
        picture_ZYX: LGE intensities.
        myocardium_ZYX: the whole LV myocardium, scar included.
        cavity_ZYX: LV cavity.
        scar_ZYX: what is labelled scar or no-reflow.
        spacing_xy_mm: pixel size.

    Returns:
        float64[Z, Y, X]; NaN outside the inner two thirds of the wall, in its rim of `RIM_MM`, and on slices
        that show too little of the wall or of blood, or blood no brighter than the wall.
    """
    height = np.full(picture_ZYX.shape, np.nan)
    inside = without_rim(myocardium_ZYX, RIM_MM, spacing_xy_mm)
    for z in np.flatnonzero(inside.any(axis=(1, 2))):
        values = picture_ZYX[z].astype(np.float64)
        remote = inside[z] & ~scar_ZYX[z]
        remote = remote if remote.sum() >= _FEWEST_REMOTE else inside[z]
        if remote.sum() < _FEWEST_REMOTE or cavity_ZYX[z].sum() < _FEWEST_BLOOD:
            continue
        dark, blood = float(np.median(values[remote])), float(np.median(values[cavity_ZYX[z]]))
        if not blood > dark:  # NaN too
            continue
        seen = inside[z] & (_depth(myocardium_ZYX[z], cavity_ZYX[z], spacing_xy_mm) <= INNER_PART)
        height[z][seen] = (values[seen] - dark) / (blood - dark)
    return height


def _depth(myocardium_YX: Mask, cavity_YX: Mask, spacing_xy_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Place between the cavity, 0, and the outside of the heart, 1."""
    sampling = spacing_xy_mm[::-1]
    from_cavity = ndimage.distance_transform_edt(~cavity_YX, sampling=sampling)
    from_outside = ndimage.distance_transform_edt(np.pad(myocardium_YX | cavity_YX, 1), sampling=sampling)[1:-1, 1:-1]
    depth: NDArray[np.float64] = from_cavity / np.maximum(from_cavity + from_outside, 1e-6)
    return depth
