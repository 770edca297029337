"""Coordinates of the left ventricular wall: angle round the ventricle, level from base to apex, depth from within."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: SD in pixels of the blur that takes the staircase off the distance to a border.
_BLUR_PIXELS = 0.6
#: Points per pixel side on which distances are taken.
_FINER = 2
_MARGIN = 2


@dataclass(frozen=True)
class Wall:
    """Where every point of a box round the muscle lies in the wall.

    Args:
        box: rows and columns of the box in the picture.
        supersampling: points along each side of a pixel; 1 is the pixel itself.
        angle_degrees: float32[Z, n * Y, n * X], 0 at the middle of the septum, 90 anterior, 180 lateral, 270 inferior.
        depth: float32[Z, n * Y, n * X], 0 at the endocardium and 1 at the epicardium.
        level: float32[Z], 0 at the base and 1 at the apex; the middle of each slice.
        step: extent of one slice in the unit of `level`.
    """

    box: tuple[slice, slice]
    supersampling: int
    angle_degrees: Floats
    depth: Floats
    level: Floats
    step: float


def wall_coordinates(
    muscle_ZYX: Mask, cavity_ZYX: Mask, rv_ZYX: Mask, geometry: Geometry, supersampling: int = 1
) -> Wall:
    """Coordinates of the wall that masks describe.

    The septum is the side of the right ventricle; without one it is taken to be the left of the picture. Anterior
    lies clockwise of it in the usual view from the apex. The base is the end with the larger cavities.

    Args:
        muscle_ZYX: whole LV muscle, scar included.
        cavity_ZYX: LV cavity.
        rv_ZYX: RV cavity; may be empty.
        geometry: grid of the masks.
        supersampling: points along each side of a pixel.

    Raises:
        InputRefused: `no_heart` where there is no muscle.
    """
    rows, columns = (np.flatnonzero(muscle_ZYX.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(rows):
        raise InputRefused("no_heart", "The masks hold no LV muscle.", "Give a frame with the left ventricle drawn.")
    box = (
        slice(max(0, rows[0] - _MARGIN), rows[-1] + 1 + _MARGIN),
        slice(max(0, columns[0] - _MARGIN), columns[-1] + 1 + _MARGIN),
    )
    x_mm, y_mm, _ = geometry.spacing_xyz_mm
    septum = _septum_radians(muscle_ZYX | cavity_ZYX, rv_ZYX, (x_mm, y_mm))
    turn = -1.0 if geometry.mirrored else 1.0
    shape = muscle_ZYX[:, *box].shape
    angle = np.zeros((shape[0], shape[1] * supersampling, shape[2] * supersampling), np.float32)
    depth = np.full_like(angle, 0.5)
    y, x = (_positions(n, supersampling) for n in shape[1:])
    for z in np.flatnonzero(muscle_ZYX.any(axis=(1, 2))):
        muscle, cavity = muscle_ZYX[z, *box], cavity_ZYX[z, *box]
        row, column = ndimage.center_of_mass(cavity if cavity.any() else muscle)
        radians = np.arctan2((y[:, None] - row) * y_mm, (x[None, :] - column) * x_mm) - septum
        angle[z] = np.degrees(turn * radians) % 360.0
        depth[z] = _depth(muscle, cavity, (row, column), (y_mm, x_mm), supersampling)
    level, step = _levels(muscle_ZYX, cavity_ZYX, rv_ZYX)
    return Wall(box, supersampling, angle, depth, level, step)


def _positions(n: int, supersampling: int) -> Floats:
    """Index coordinates of the points of n pixels in a row."""
    points: Floats = ((np.arange(n * supersampling) + 0.5) / supersampling - 0.5).astype(np.float32)
    return points


def _septum_radians(lv_ZYX: Mask, rv_ZYX: Mask, spacing_xy_mm: tuple[float, float]) -> float:
    """Direction from the LV to the RV in the picture, from +x towards +y; the left where there is no RV."""
    both = lv_ZYX.any(axis=(1, 2)) & rv_ZYX.any(axis=(1, 2))
    if not both.any():
        return float(np.pi)
    lv, rv = (ndimage.center_of_mass(m[both].sum(axis=0)) for m in (lv_ZYX, rv_ZYX))
    return float(np.arctan2((rv[0] - lv[0]) * spacing_xy_mm[1], (rv[1] - lv[1]) * spacing_xy_mm[0]))


def _depth(
    muscle: Mask, cavity: Mask, centre: tuple[float, float], spacing_yx_mm: tuple[float, float], supersampling: int
) -> Floats:
    """Share of the way from the endocardium to the epicardium, float32 of the supersampled box."""
    if cavity.any():
        from_within = -_signed_distance(cavity, spacing_yx_mm)
    else:  # beyond the cavity the wall begins on the axis
        y, x = (_positions(n, _FINER) for n in muscle.shape)
        from_within = np.hypot((y[:, None] - centre[0]) * spacing_yx_mm[0], (x - centre[1]) * spacing_yx_mm[1])
    from_without = _signed_distance(muscle | cavity, spacing_yx_mm)
    inner, outer = (np.maximum(_zoomed(d, supersampling / _FINER), 0) for d in (from_within, from_without))
    share: Floats = inner / np.maximum(inner + outer, np.float32(1e-6))
    return share


def _signed_distance(mask: Mask, spacing_yx_mm: tuple[float, float]) -> Floats:
    """Distance in mm from the border of a mask without its staircase, positive inside, on points `_FINER` as dense."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), _BLUR_PIXELS, mode="nearest")
    fine = _zoomed(soft, _FINER) > 0.5
    fine_mm = (spacing_yx_mm[0] / _FINER, spacing_yx_mm[1] / _FINER)
    if not fine.any():
        return np.full(fine.shape, -np.hypot(*fine_mm), np.float32)
    half = 0.5 * min(fine_mm)
    signed = np.where(
        fine,
        ndimage.distance_transform_edt(fine, sampling=fine_mm) - half,
        half - ndimage.distance_transform_edt(~fine, sampling=fine_mm),
    )
    smooth: Floats = ndimage.gaussian_filter(signed.astype(np.float32), _BLUR_PIXELS, mode="nearest")
    return smooth


def _zoomed(values: Floats, factor: float) -> Floats:
    if factor == 1:
        return values
    zoomed: Floats = ndimage.zoom(values, factor, order=1, mode="nearest", grid_mode=True)
    return zoomed


def _levels(muscle_ZYX: Mask, cavity_ZYX: Mask, rv_ZYX: Mask) -> tuple[Floats, float]:
    """Level of each slice, and its step: base and apex are the outer faces of the outermost slices with muscle."""
    slices = np.flatnonzero(muscle_ZYX.any(axis=(1, 2)))
    first, n = int(slices[0]), int(slices[-1] - slices[0] + 1)
    level = ((np.arange(len(muscle_ZYX)) - first + 0.5) / n).astype(np.float32)
    areas = np.count_nonzero(cavity_ZYX | rv_ZYX, axis=(1, 2)).astype(float)[slices]
    third = max(1, len(slices) // 3)
    base_first = areas[:third].sum() >= areas[-third:].sum()
    return (level if base_first else 1 - level), 1.0 / n
