"""Numbers about masks that the anatomical rules compare with their limits. Masks are boolean [Z, Y, X] of one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
_FULL = np.ones((3, 3, 3), bool)


def outline_fraction_touching(mask_YX: Mask, other_YX: Mask) -> float:
    """Part of a structure's outline on a slice, in pixel edges, that has another structure on its far side; 0 if empty.

    Beyond the edge of the image lies nothing.
    """
    padded, beyond = np.pad(mask_YX, 1), np.pad(other_YX, 1)
    edges = touching = 0
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        edge = padded & ~np.roll(padded, step, axis)
        edges += int(edge.sum())
        touching += int((edge & np.roll(beyond, step, axis)).sum())
    return touching / edges if edges else 0.0


def voxels_outside_largest_piece(mask: Mask) -> int:
    """Voxels of a structure that are not connected (faces, edges or corners) to its largest piece."""
    pieces, number = ndimage.label(mask, _FULL)
    if number < 2:
        return 0
    sizes = np.bincount(pieces.ravel())[1:]
    return int(sizes.sum() - sizes.max())


def pixels_outside_largest_piece(mask_YX: Mask) -> int:
    """Pixels of a slice that are not connected (sides or corners) to the largest piece on it."""
    return voxels_outside_largest_piece(mask_YX[None])


def hole_pixels(mask_YX: Mask) -> int:
    """Pixels of a slice that a structure surrounds but does not hold."""
    return int((ndimage.binary_fill_holes(mask_YX) & ~mask_YX).sum())


def slices_with(mask: Mask) -> NDArray[np.intp]:
    """Numbers of the slices on which a structure is."""
    return np.flatnonzero(mask.any(axis=(1, 2)))


def centroids_mm(mask: Mask, spacing_xy_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Centroid (x, y) in mm on every slice, float64[Z, 2]; NaN where the structure is not."""
    result = np.full((len(mask), 2), np.nan)
    for z in slices_with(mask):
        rows, columns = np.nonzero(mask[z])
        result[z] = columns.mean() * spacing_xy_mm[0], rows.mean() * spacing_xy_mm[1]
    return result


def off_the_neighbours(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each slice's value (last axis free) lies from the mean of the two slices next to it; NaN at the ends."""
    result = np.full(values.shape, np.nan)
    if len(values) > 2:
        result[1:-1] = values[1:-1] - (values[:-2] + values[2:]) / 2
    return result
