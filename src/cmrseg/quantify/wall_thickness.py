"""Thickness of the LV wall, measured across the wall and not along rays from the centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.quantify.borders import N_RAYS, Borders

#: What is printed next to the numbers.
DEFINITION = (
    "shortest distance from the mid-wall line to the endocardium plus shortest distance to the epicardium, "
    "on slices where myocardium surrounds the cavity"
)
SOURCE = "after the centreline method, Sheehan et al., Circulation 1986;74:293"
#: The thickest place is a mean over this arc, so that the pixel grid does not decide it.
ARC_OF_MAXIMUM_DEGREES = 20.0


def local_thickness_mm(borders: Borders) -> NDArray[np.float64]:
    """Wall thickness at every ray of a slice.

    At the middle of the wall on each ray, the shortest distance to the endocardium and the shortest distance to the
    epicardium are added. Where the borders are parallel this is their distance, whatever the shape; a ray from the
    centre would cross an oval wall aslant and come out too long.

    Args:
        borders: both borders as radius over angle.

    Returns:
        float64[N_RAYS] in mm; 0 where the borders meet.
    """
    directions = np.stack([np.cos(borders.angles), np.sin(borders.angles)], axis=-1)
    endo = borders.endo_mm[:, None] * directions
    epi = borders.epi_mm[:, None] * directions
    middle = (endo + epi) / 2
    thickness = _distance_to_loop(middle, endo) + _distance_to_loop(middle, epi)
    return np.where(borders.epi_mm > borders.endo_mm, thickness, 0.0)


def thickest_mm(thickness_mm: NDArray[np.float64]) -> float:
    """Largest mean over an arc of `ARC_OF_MAXIMUM_DEGREES` of a slice's local thickness, float64[N_RAYS]."""
    half = round(ARC_OF_MAXIMUM_DEGREES / 360 * N_RAYS / 2)
    arcs = [np.roll(thickness_mm, shift) for shift in range(-half, half + 1)]
    return float(np.mean(arcs, axis=0).max())


def _distance_to_loop(points: NDArray[np.float64], loop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest distance from each point [P, 2] to a closed polygon line [N, 2]."""
    start, edge = loop, np.roll(loop, -1, axis=0) - loop
    length2 = np.maximum((edge**2).sum(axis=1), np.finfo(float).tiny)
    offset = points[:, None, :] - start[None, :, :]
    along = np.clip((offset * edge).sum(axis=-1) / length2, 0.0, 1.0)
    squared: NDArray[np.float64] = ((offset - along[..., None] * edge) ** 2).sum(axis=-1).min(axis=1)
    return np.sqrt(squared)
