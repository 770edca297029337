"""Endocardial and epicardial border of one short-axis slice, at sub-pixel precision, as radius over angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Rays per slice: every 2 degrees, finer than a pixel on the epicardium of a usual heart.
N_RAYS = 180
#: Blur, in pixels, that turns a staircase into a border. It pulls a circle of radius r in by 0.5 * blur**2 / r.
BLUR_PIXELS = 0.8
#: Two pixels of margin keep the blur of a structure at the edge of the image away from the edge.
_MARGIN = 3


@dataclass(frozen=True)
class Borders:
    """Borders of the LV wall on one slice.

    Args:
        centre_xy: centroid of the cavity in index coordinates (column, row).
        angles: float64[rays] in radians, counter-clockwise as seen from the apex, from 0 to 2 pi.
        endo_mm: float64[rays] radius of the endocardium.
        epi_mm: float64[rays] radius of the epicardium, at least that of the endocardium.
    """

    centre_xy: tuple[float, float]
    angles: NDArray[np.float64]
    endo_mm: NDArray[np.float64]
    epi_mm: NDArray[np.float64]


def is_closed_ring(myocardium_YX: NDArray[np.bool_], cavity_YX: NDArray[np.bool_]) -> bool:
    """True when muscle surrounds the whole cavity of a slice; False without cavity or without muscle."""
    if not cavity_YX.any() or not myocardium_YX.any():
        return False
    return not bool((cavity_YX & ~ndimage.binary_fill_holes(myocardium_YX)).any())


def centroid_xy(mask_YX: NDArray[np.bool_]) -> tuple[float, float]:
    """Centroid (column, row) of a mask that holds at least one pixel."""
    rows, columns = np.nonzero(mask_YX)
    return float(columns.mean()), float(rows.mean())


def ray_directions(mirrored: bool, n_rays: int = N_RAYS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles of the rays, counter-clockwise as seen from the apex, and their unit vectors (x, y) with y downwards.

    Args:
        mirrored: True when the picture is seen from the base, so that x runs the other way.
        n_rays: how many, equally spaced.
    """
    angles: NDArray[np.float64] = np.arange(n_rays, dtype=np.float64) * (2 * np.pi / n_rays)
    x = np.cos(angles) * (-1.0 if mirrored else 1.0)
    return angles, np.stack([x, -np.sin(angles)], axis=-1)


def find_borders(
    myocardium_YX: NDArray[np.bool_],
    cavity_YX: NDArray[np.bool_],
    spacing_xy_mm: tuple[float, float],
    *,
    mirrored: bool = False,
    n_rays: int = N_RAYS,
) -> Borders | None:
    """Borders of the wall along rays from the cavity's centroid.

    The border is where the slightly blurred mask falls through one half for the last time on a ray; cavity and the
    filled epicardium are blurred apart from each other, so that a thin wall does not melt.

    Args:
        myocardium_YX: muscle of the slice.
        cavity_YX: LV cavity of the slice.
        spacing_xy_mm: pixel size.
        mirrored: see `ray_directions`.
        n_rays: see `ray_directions`.

    Returns:
        The borders, or None when there is no cavity or it is too small to have a border (a few pixels).
    """
    if not cavity_YX.any():
        return None
    centre_xy = centroid_xy(cavity_YX)
    angles, directions = ray_directions(mirrored, n_rays)
    epicardium = ndimage.binary_fill_holes(myocardium_YX | cavity_YX)
    endo_mm = _outermost_crossing_mm(cavity_YX, centre_xy, directions, spacing_xy_mm)
    epi_mm = _outermost_crossing_mm(epicardium, centre_xy, directions, spacing_xy_mm)
    if endo_mm is None or epi_mm is None:
        return None
    return Borders(centre_xy, angles, endo_mm, np.maximum(epi_mm, endo_mm))


def _outermost_crossing_mm(
    mask_YX: NDArray[np.bool_],
    centre_xy: tuple[float, float],
    directions: NDArray[np.float64],
    spacing_xy_mm: tuple[float, float],
) -> NDArray[np.float64] | None:
    """Radius in mm at which each ray leaves the blurred mask for good; None when a ray never is inside it."""
    rows, columns = np.nonzero(mask_YX)
    y0, x0 = rows.min() - _MARGIN, columns.min() - _MARGIN
    canvas = np.zeros((int(np.ptp(rows)) + 1 + 2 * _MARGIN, int(np.ptp(columns)) + 1 + 2 * _MARGIN))
    canvas[rows - y0, columns - x0] = 1.0
    blurred = ndimage.gaussian_filter(canvas, BLUR_PIXELS, mode="constant")

    x_mm, y_mm = spacing_xy_mm
    step_mm = 0.25 * min(x_mm, y_mm)
    reach_mm = float(np.hypot(canvas.shape[1] * x_mm, canvas.shape[0] * y_mm))
    radii = np.arange(0.0, reach_mm, step_mm)
    xs = centre_xy[0] - x0 + radii[None, :] * directions[:, :1] / x_mm
    ys = centre_xy[1] - y0 + radii[None, :] * directions[:, 1:] / y_mm
    profile = ndimage.map_coordinates(blurred, [ys, xs], order=1, mode="constant")

    inside = profile >= 0.5
    if not inside.any(axis=1).all():
        return None
    last = profile.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    rays = np.arange(len(directions))
    here, beyond = profile[rays, last], profile[rays, last + 1]
    crossing: NDArray[np.float64] = radii[last] + step_mm * (here - 0.5) / (here - beyond)
    return crossing
