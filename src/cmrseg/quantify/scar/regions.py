"""Regions of scar on the slices of a stack: noise taken out, growth from seeds, no-reflow found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
_EIGHT = np.ones((3, 3), bool)
#: A dark region with more of its outline on the cavity is remote subendocardium beside a mid-wall scar.
MOST_OUTLINE_ON_CAVITY = 0.5


def depth_mm(mask_YX: Mask, spacing_xy_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Distance of each pixel's centre from the outline of a mask, in mm; 0 or less outside it."""
    x_mm, y_mm = spacing_xy_mm
    inside = ndimage.distance_transform_edt(np.pad(mask_YX, 1), sampling=(y_mm, x_mm))[1:-1, 1:-1]
    # the outline runs half a pixel from the nearest centre outside
    depth: NDArray[np.float64] = inside - 0.5 * min(x_mm, y_mm)
    return depth


def without_rim(muscle_ZYX: Mask, rim_mm: float, spacing_xy_mm: tuple[float, float]) -> Mask:
    """Myocardium farther than `rim_mm` from blood, fat and lung; slices keep nothing where the wall is thinner."""
    return np.stack([depth_mm(muscle, spacing_xy_mm) > rim_mm for muscle in muscle_ZYX]) & muscle_ZYX


def without_islands(mask_ZYX: Mask, smallest_pixels: float) -> Mask:
    """The mask without regions (8 neighbours, slice by slice) of fewer pixels."""
    kept = np.zeros_like(mask_ZYX)
    for z in np.flatnonzero(mask_ZYX.any(axis=(1, 2))):
        regions, _ = ndimage.label(mask_ZYX[z], _EIGHT)
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0
        kept[z] = (sizes >= smallest_pixels)[regions] & mask_ZYX[z]
    return kept


def grown(bright_ZYX: Mask, seeds_ZYX: Mask) -> Mask:
    """The bright regions (26 neighbours, through slices) that hold a seed."""
    regions, _ = ndimage.label(bright_ZYX, np.ones((3, 3, 3), bool))
    return np.isin(regions, np.unique(regions[seeds_ZYX & bright_ZYX])) & bright_ZYX


def dark_cores(muscle_ZYX: Mask, cavity_ZYX: Mask, scar_ZYX: Mask) -> Mask:
    """Myocardium that is not scar itself and is enclosed by scar, or by scar and the cavity.

    A region counts when it touches neither the outside of the heart nor a hole that is no cavity, does not surround
    the cavity, is no larger than the scar of its slice, and has at most half of its outline on the cavity.

    Source: JACC Scientific Expert Panel on CMR endpoints in infarction (Ibanez et al., J Am Coll Cardiol 2019;74:238):
    microvascular obstruction is the dark core within the infarct and counts with it.
    """
    cores = np.zeros_like(scar_ZYX)
    for z in np.flatnonzero(scar_ZYX.any(axis=(1, 2))):
        rows, columns = np.nonzero(muscle_ZYX[z] | cavity_ZYX[z])
        box = (z, slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        muscle, cavity, scar = (np.pad(m[box], 1) for m in (muscle_ZYX, cavity_ZYX, scar_ZYX))
        regions, n_regions = ndimage.label(muscle & ~scar)
        core = np.zeros_like(scar)
        for number in range(1, n_regions + 1):
            region = regions == number
            on = {name: _border_length(region, other) for name, other in (("scar", scar), ("cavity", cavity))}
            elsewhere = _border_length(region, ~(muscle | cavity))
            if elsewhere or region.sum() > scar.sum() or on["cavity"] > MOST_OUTLINE_ON_CAVITY * sum(on.values()):
                continue
            if not (ndimage.binary_fill_holes(region) & cavity).any():
                core |= region
        cores[box] = core[1:-1, 1:-1]
    return cores


def _border_length(region_YX: Mask, other_YX: Mask) -> int:
    """Pixel edges between a region and another; neither reaches the edge of the array."""
    return sum(int((region_YX & np.roll(other_YX, shift, axis)).sum()) for axis in (0, 1) for shift in (-1, 1))
