"""How much of the wall is scar, along chords from endocardium to epicardium, and in which layer it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.quantify.aha import AhaSegments, Level
from cmrseg.quantify.borders import BLUR_PIXELS, Borders, find_borders

Mask = NDArray[np.bool_]
SOURCE = "bins of transmural extent as in Kim et al., N Engl J Med 2000;343:1445"
#: Chords per slice.
N_CHORDS = 100
#: Points on a chord.
_POINTS = 60
#: A chord with less of its length on myocardium crosses a gap in the wall, such as the outflow tract.
LEAST_MUSCLE_ON_CHORD = 0.5
#: Upper ends of the bins that viability is read in, in percent of the wall; below 1 % counts as none.
BINS_PERCENT = (1.0, 25.0, 50.0, 75.0, 100.0)
BIN_NAMES = ("0 %", "1-25 %", "26-50 %", "51-75 %", "76-100 %")


@dataclass(frozen=True)
class Chords:
    """Chords of one slice; those that do not cross myocardium are left out.

    Args:
        slice_index: which slice.
        level: its AHA level.
        angles: float64[N] in radians as in `borders.Borders`.
        scar_percent: float64[N], part of the wall that is scar, 0 to 100.
    """

    slice_index: int
    level: Level
    angles: NDArray[np.float64]
    scar_percent: NDArray[np.float64]


def scar_chords(
    muscle_ZYX: Mask, cavity_ZYX: Mask, scar_ZYX: Mask, aha: AhaSegments, geometry: Geometry
) -> list[Chords]:
    """Transmurality on `N_CHORDS` rays from the cavity's centroid on every slice that shows cavity and myocardium.

    Borders are those of `borders.find_borders`. Along a chord a point is scar where the blurred scar makes up at least
    half of the blurred muscle, so that the pixel grid does not decide.

    Args:
        muscle_ZYX: whole muscle, scar included.
        cavity_ZYX: LV cavity.
        scar_ZYX: scar and no-reflow, within the myocardium.
        aha: segments of the same masks.
        geometry: grid.

    Returns:
        One entry per slice with chords; empty without cavity or muscle.
    """
    spacing_xy, mirrored = geometry.spacing_xyz_mm[:2], aha.long_axis.mirrored
    found = []
    for z in np.flatnonzero((muscle_ZYX.any(axis=(1, 2))) & cavity_ZYX.any(axis=(1, 2))).tolist():
        borders = find_borders(muscle_ZYX[z], cavity_ZYX[z], spacing_xy, mirrored=mirrored, n_rays=N_CHORDS)
        if borders is None:
            continue
        percent, on_muscle = _along(borders, muscle_ZYX[z], scar_ZYX[z], spacing_xy, mirrored)
        kept = on_muscle >= LEAST_MUSCLE_ON_CHORD
        if kept.any():
            found.append(Chords(z, aha.levels[z], borders.angles[kept], percent[kept]))
    return found


def by_segment(
    chords: list[Chords], aha: AhaSegments, scar_ZYX: Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and greatest transmurality of the 17 AHA segments, float64[17] each, in percent; NaN where not seen.

    Segments 1 to 16: over all chords of the segment, those without scar included. Segment 17 has no cavity and no
    chord: the part of its area that is scar, over the cap and on its worst slice. All NaN without orientation.
    """
    mean, greatest = np.full(17, np.nan), np.full(17, np.nan)
    if not aha.oriented:
        return mean, greatest
    number = np.concatenate([aha.segment_at(c.level, c.angles) for c in chords] or [np.zeros(0, np.uint8)])
    percent = np.concatenate([c.scar_percent for c in chords] or [np.zeros(0)])
    for segment in range(1, 17):
        here = percent[number == segment]
        if len(here):
            mean[segment - 1], greatest[segment - 1] = here.mean(), here.max()
    cap = aha.segments == 17
    if cap.any():
        pixels, scarred = (m.sum(axis=(1, 2)).astype(float) for m in (cap, cap & scar_ZYX))
        mean[16] = 100 * scarred.sum() / pixels.sum()
        greatest[16] = (100 * scarred[pixels > 0] / pixels[pixels > 0]).max()
    return mean, greatest


def bin_name(percent: float) -> str:
    """The bin of `BIN_NAMES` that a transmurality in percent, 0 to 100, falls into."""
    place = 0 if percent < BINS_PERCENT[0] else int(np.searchsorted(BINS_PERCENT[1:], percent, side="left")) + 1
    return BIN_NAMES[min(place, len(BIN_NAMES) - 1)]


def layers_percent(
    muscle_ZYX: Mask, cavity_ZYX: Mask, scar_ZYX: Mask, geometry: Geometry
) -> tuple[float, float, float] | None:
    """How the scar is spread over the inner, middle and outer third of the wall, in percent of the scar's volume.

    Depth is the place between endocardium and epicardium on the ray through the voxel. Slices without cavity have no
    layers and are left out.

    Returns:
        endocardial, mid-wall and epicardial percent, together 100; None where no scar lies on a slice with cavity.
    """
    spacing_xy = geometry.spacing_xyz_mm[:2]
    counts = np.zeros(3)
    for z in np.flatnonzero(scar_ZYX.any(axis=(1, 2)) & cavity_ZYX.any(axis=(1, 2))):
        borders = find_borders(muscle_ZYX[z], cavity_ZYX[z], spacing_xy)
        if borders is None:
            continue
        rows, columns = np.nonzero(scar_ZYX[z])
        x = (columns - borders.centre_xy[0]) * spacing_xy[0]
        y = (rows - borders.centre_xy[1]) * spacing_xy[1]
        angles, radius = np.arctan2(-y, x), np.hypot(x, y)
        endo, epi = (np.interp(angles, borders.angles, r, period=2 * np.pi) for r in (borders.endo_mm, borders.epi_mm))
        depth = (radius - endo) / np.maximum(epi - endo, 1e-6)
        counts += np.bincount(np.clip(np.floor(3 * depth), 0, 2).astype(int), minlength=3)
    if not counts.sum():
        return None
    endocardial, midwall, epicardial = (100 * counts / counts.sum()).tolist()
    return endocardial, midwall, epicardial


def _along(
    borders: Borders, muscle_YX: Mask, scar_YX: Mask, spacing_xy_mm: tuple[float, float], mirrored: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percent of scar on every chord, and the part of the chord, 0 to 1, that lies on myocardium."""
    place = (np.arange(_POINTS) + 0.5) / _POINTS
    radii = borders.endo_mm[:, None] + place * (borders.epi_mm - borders.endo_mm)[:, None]
    across = np.cos(borders.angles)[:, None] * (-1.0 if mirrored else 1.0)
    xs = borders.centre_xy[0] + radii * across / spacing_xy_mm[0]
    ys = borders.centre_xy[1] - radii * np.sin(borders.angles)[:, None] / spacing_xy_mm[1]
    blurred = [ndimage.gaussian_filter(m.astype(float), BLUR_PIXELS, mode="constant") for m in (muscle_YX, scar_YX)]
    muscle, scar = (ndimage.map_coordinates(b, [ys, xs], order=1, mode="constant") for b in blurred)
    # the blur of the wall's own border is taken out by the ratio; a quarter is what is left just outside of it
    on_muscle = muscle >= 0.25
    in_scar = on_muscle & (scar >= 0.5 * muscle)
    counted = on_muscle.sum(axis=1)
    return 100.0 * in_scar.sum(axis=1) / np.maximum(counted, 1), counted / _POINTS
