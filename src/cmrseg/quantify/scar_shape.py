"""Shape of the scar on its slices: how solid, how round, how long, in how many pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.geometry import Geometry

Mask = NDArray[np.bool_]
#: Smaller regions of a slice have no shape on a pixel grid.
SMALLEST_REGION_PIXELS = 9


@dataclass(frozen=True)
class Shape:
    """Shape of all scar of a stack; the first three are means over regions of slices, weighted by area.

    Args:
        solidity: area over area of the convex hull, 0 to 1; 1 for a convex region.
        circularity: 4 pi area / perimeter^2; 1 for a disc, less for anything longer or more ragged.
        eccentricity: of the ellipse with the region's second moments; 0 for a disc, towards 1 for a line.
        components: connected regions of the stack (26 neighbours).
    """

    solidity: float
    circularity: float
    eccentricity: float
    components: int


def scar_shape(scar_ZYX: Mask, geometry: Geometry) -> Shape | None:
    """Shape of the scar, no-reflow included; None where no region has `SMALLEST_REGION_PIXELS`.

    Args:
        scar_ZYX: scar and no-reflow.
        geometry: grid.
    """
    spacing_yx = geometry.spacing_xyz_mm[1::-1]
    areas, values = [], []
    for picture in scar_ZYX:
        labelled, n_regions = ndimage.label(picture, np.ones((3, 3), bool))
        for number in range(1, n_regions + 1):
            region = labelled == number
            if region.sum() >= SMALLEST_REGION_PIXELS:
                areas.append(float(region.sum()))
                values.append(_of_region(region, spacing_yx))
    if not areas:
        return None
    solidity, circularity, eccentricity = np.average(values, axis=0, weights=areas).tolist()
    components = int(ndimage.label(scar_ZYX, np.ones((3, 3, 3), bool))[1])
    return Shape(solidity, circularity, eccentricity, components)


def perimeter_mm(region_YX: Mask, spacing_yx_mm: tuple[float, float]) -> float:
    """Length of a region's outline by Crofton's formula with four directions of lines; 0 for an empty region.

    The length is half the integral, over all lines of the plane, of how often a line crosses the outline. Unlike a
    count of pixel edges it is right on average over all directions: within 1 % for discs, 6 % too short for a square
    along the axes.
    """
    y_mm, x_mm = spacing_yx_mm
    padded = np.pad(region_YX, 1)
    diagonal = float(np.hypot(x_mm, y_mm))
    tilt = float(np.arctan2(y_mm, x_mm))
    # angle of which each direction is the nearest, distance between its lines, and pairs of pixels along it
    directions = (
        (tilt, y_mm, padded[:, 1:] != padded[:, :-1]),
        (np.pi / 2 - tilt, x_mm, padded[1:] != padded[:-1]),
        (np.pi / 4, x_mm * y_mm / diagonal, padded[1:, 1:] != padded[:-1, :-1]),
        (np.pi / 4, x_mm * y_mm / diagonal, padded[1:, :-1] != padded[:-1, 1:]),
    )
    return 0.5 * sum(angle * apart * float(crossings.sum()) for angle, apart, crossings in directions)


def _of_region(region_YX: Mask, spacing_yx_mm: tuple[float, float]) -> tuple[float, float, float]:
    """Solidity, circularity and eccentricity of one region."""
    y_mm, x_mm = spacing_yx_mm
    from scipy.spatial import ConvexHull  # slow to load, and of no use to a cine

    area = float(region_YX.sum()) * x_mm * y_mm
    places = np.argwhere(region_YX) * np.array([y_mm, x_mm])
    corners = np.concatenate([places + np.array([a * y_mm, b * x_mm]) / 2 for a in (-1, 1) for b in (-1, 1)])
    solidity = area / float(ConvexHull(corners).volume)
    circularity = 4 * np.pi * area / perimeter_mm(region_YX, spacing_yx_mm) ** 2
    # a pixel has an extent of its own: its second moment is a twelfth of its side squared
    moments = np.cov(places.T, bias=True) + np.diag([y_mm**2, x_mm**2]) / 12
    short, long = np.linalg.eigvalsh(moments)
    return solidity, circularity, float(np.sqrt(max(0.0, 1.0 - short / long)))
