"""Scars drawn into the wall: what share of every voxel of muscle they take up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from cmrseg.phantom.enhancement.spec import Lesion
from cmrseg.phantom.enhancement.wall import Wall

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Planes through the thickness of a slice on which scars are drawn.
PLANES = 3
#: Grain of a ragged border and of the islands of a patchy scar, SD of their smoothing in mm.
_BORDER_MM, _ISLAND_MM = 4.0, 2.2
#: How far a border of roughness 1 deviates: in half widths along the wall, in wall depths across it.
_ALONG, _ACROSS = 0.25, 0.15
_CORNER = 4.0


def draw_lesions(
    lesions: tuple[Lesion, ...],
    wall: Wall,
    muscle_ZYX: Mask,
    spacing_xy_mm: tuple[float, float],
    random: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Shares of scar and of its no-reflow in every voxel.

    Args:
        lesions: what to draw.
        wall: supersampled coordinates of the wall.
        muscle_ZYX: whole LV muscle of the picture.
        spacing_xy_mm: pixel size.
        random: for ragged borders.

    Returns:
        float32[Z, Y, X] of the picture twice: scar with the no-reflow in it, and no-reflow alone; 0 outside muscle.
    """
    scar, dark = np.zeros(muscle_ZYX.shape, np.float32), np.zeros(muscle_ZYX.shape, np.float32)
    if not lesions:
        return scar, dark
    grains = [_Grains(wall, spacing_xy_mm, random) for _ in lesions]
    for z in np.flatnonzero(muscle_ZYX.any(axis=(1, 2))):
        at_slice = [grain.at(int(z)) for grain in grains]
        for plane in range(PLANES):
            level = float(wall.level[z]) + wall.step * ((plane + 0.5) / PLANES - 0.5)
            whole = np.zeros(wall.depth.shape[1:], bool)
            core = np.zeros_like(whole)
            for lesion, grain in zip(lesions, at_slice, strict=True):
                one, its_core = _cross_section(lesion, wall, int(z), level, grain)
                whole |= one
                core |= its_core
            scar[z, *wall.box] += _share(whole, wall.supersampling)
            dark[z, *wall.box] += _share(core, wall.supersampling)
    inside = muscle_ZYX.astype(np.float32) / np.float32(PLANES)
    return scar * inside, dark * inside


class _Grains:
    """Smooth random fields over the box of a wall, with mean 0 and SD 1, at the points of the wall."""

    def __init__(self, wall: Wall, spacing_xy_mm: tuple[float, float], random: np.random.Generator) -> None:
        n = wall.supersampling
        shape = (len(wall.depth), wall.depth.shape[1] // n, wall.depth.shape[2] // n)
        self._n = n
        self._along, self._across = (smooth_field(random, shape, _BORDER_MM, spacing_xy_mm, 1.0) for _ in range(2))
        self._islands = smooth_field(random, shape, _ISLAND_MM, spacing_xy_mm, 0.6)

    def at(self, z: int) -> tuple[Floats, Floats, Floats]:
        """Deviation along and across the wall, and islands, each [n * Y, n * X]."""
        along, across, islands = (
            ndimage.zoom(field[z], self._n, order=1, mode="nearest", grid_mode=True)
            for field in (self._along, self._across, self._islands)
        )
        return along, across, islands


def smooth_field(
    random: np.random.Generator,
    shape: tuple[int, int, int],
    grain_mm: float,
    spacing_xy_mm: tuple[float, float],
    grain_slices: float,
) -> Floats:
    """Normally distributed field of mean 0 and SD 1 over slices, smoothed in plane by mm and across slices."""
    x_mm, y_mm = spacing_xy_mm
    sigma = (grain_slices, grain_mm / y_mm, grain_mm / x_mm)
    white = random.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma, mode="reflect", truncate=3.0)
    field: Floats = smooth / max(float(smooth.std()), 1e-6)
    return field


def _cross_section(
    lesion: Lesion, wall: Wall, z: int, level: float, grain: tuple[Floats, Floats, Floats]
) -> tuple[Mask, Mask]:
    """Which points of one plane are scar, and which of those no-reflow."""
    half_width, half_length = lesion.width_degrees / 2, lesion.length / 2
    beside = np.abs((wall.angle_degrees[z] - np.float32(lesion.angle_degrees) + 180) % 360 - 180)
    # a ring closes on itself and a scar of twice the length has no ends
    around = beside / np.float32(half_width) if lesion.width_degrees < 360 else np.zeros_like(beside)
    along = abs(level - lesion.level) / half_length if lesion.length < 2 else 0.0
    radius = (around**_CORNER + np.float32(along) ** _CORNER) ** np.float32(1 / _CORNER)
    rough_along, rough_across, islands = grain
    radius = radius + np.float32(lesion.roughness * _ALONG) * rough_along
    extent = _extent(radius, lesion.taper) * np.float32(lesion.transmurality)
    extent = extent + np.where(extent > 0, np.float32(lesion.roughness * _ACROSS) * rough_across, 0)
    extent = np.where(radius <= 1, np.minimum(extent, lesion.transmurality), 0)
    depth = wall.depth[z]
    match lesion.pattern:
        case "ischaemic":
            scar = (depth <= extent) & (depth >= lesion.spared)
        case "subepicardial":
            scar = depth >= 1 - extent
        case "midwall":
            scar = np.abs(depth - np.float32(lesion.depth)) <= extent / 2
        case "patchy":
            scar = (np.abs(depth - np.float32(lesion.depth)) <= extent / 2) & (islands > ndtri(1 - lesion.density))
    scar &= extent > 0
    if lesion.pattern != "ischaemic" or lesion.no_reflow == 0:
        return scar, np.zeros_like(scar)
    inner = _extent(radius / np.float32(lesion.no_reflow), lesion.taper) * np.float32(lesion.transmurality)
    return scar, scar & (depth < inner * np.float32(lesion.no_reflow))


def _extent(radius: Floats, taper: float) -> Floats:
    """Share of the greatest depth that a scar reaches, by distance from its middle in half widths."""
    if taper == 0:
        return (radius <= 1).astype(np.float32)
    ramp: Floats = np.sin(np.clip((1 - radius) / np.float32(taper), 0, 1) * np.float32(np.pi / 2))
    return ramp


def _share(points: Mask, n: int) -> Floats:
    """Mean over the points of each pixel."""
    rows, columns = points.shape
    share: Floats = points.reshape(rows // n, n, columns // n, n).mean(axis=(1, 3), dtype=np.float32)
    return share
