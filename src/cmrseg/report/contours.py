"""Outlines of masks as closed polygons, for pictures that stay crisp at any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

#: Closed polygon, float64[K, 2] of (x, y) in index coordinates; the last point joins the first.
Polygon = NDArray[np.float64]

#: Middles of a pixel's top, right, bottom and left side as (x, y) from its centre.
_SIDE_MIDDLES = np.array([(0.0, -0.5), (0.5, 0.0), (0.0, 0.5), (-0.5, 0.0)])
#: Standard deviation of the smoothing along a polygon, in points; two points lie 0.7 to 1 pixel apart.
SMOOTHING_POINTS = 2.0


def trace(masks_NYX: NDArray[np.bool_]) -> list[list[Polygon]]:
    """Outline every mask of a stack at the half-way line between inside and outside pixels.

    The polygon runs through the middles of the pixel sides that part inside from outside (marching squares on a
    binary image). Its area is the mask's pixel count less half a pixel. Pixels that touch at a corner only are apart.

    Args:
        masks_NYX: bool[N, Y, X].

    Returns:
        For each mask its polygons, in index coordinates (x, y): around filled regions clockwise on a screen whose y
        points down (positive shoelace area), around holes the other way. An empty mask has none.
    """
    padded = np.pad(masks_NYX, ((0, 0), (1, 1), (1, 1)))
    _, height, width = padded.shape
    successor = _successors(padded.ravel(), width)
    polygons: list[list[Polygon]] = [[] for _ in range(len(masks_NYX))]
    for start in sorted(successor):
        loop = []
        side = start
        while side in successor:
            loop.append(side)
            side = successor.pop(side)
        if loop:
            pixels, sides = np.divmod(np.array(loop), 4)
            y, x = np.divmod(pixels % (height * width), width)
            polygons[start // (4 * height * width)].append(np.stack([x - 1, y - 1], 1) + _SIDE_MIDDLES[sides])
    return polygons


def _successors(inside: NDArray[np.bool_], width: int) -> dict[int, int]:
    """Which border side follows which, walking with the inside on the right; a side is 4 * pixel + direction.

    Directions are east (a pixel's top), south (its right), west (its bottom), north (its left). At the end of a side
    the walk turns right around the same pixel if nothing lies ahead, goes straight on along the pixel ahead, or turns
    left along the pixel ahead and outwards.
    """
    steps = np.array([1, width, -1, -width])
    pixels = np.flatnonzero(inside)
    successor: dict[int, int] = {}
    for direction in range(4):
        outwards, right = (direction - 1) % 4, (direction + 1) % 4
        border = pixels[~inside[pixels + steps[outwards]]]
        ahead = border + steps[direction]
        beside = ahead + steps[outwards]
        after = np.where(
            inside[ahead],
            np.where(inside[beside], 4 * beside + outwards, 4 * ahead + direction),
            4 * border + right,
        )
        successor.update(zip((4 * border + direction).tolist(), after.tolist(), strict=True))
    return successor


def smooth(polygon: Polygon) -> Polygon:
    """Round off the pixel steps of a traced polygon without shrinking it.

    A Gaussian along the polygon, and what it took away from the large shape given back: the same Gaussian of the
    difference is added. Small polygons are smoothed less, so that a single pixel stays visible.

    Args:
        polygon: closed, float64[K, 2], from `trace`.

    Returns:
        float64[K, 2]; the area of a disc of 5 pixels radius or more changes by less than 1 %.
    """
    width = min(SMOOTHING_POINTS, len(polygon) / 12)

    def blur(points: Polygon) -> Polygon:
        blurred: Polygon = gaussian_filter1d(points, width, axis=0, mode="wrap")
        return blurred

    rounded = blur(polygon)
    return rounded + blur(polygon - rounded)


def path_data(polygons: list[Polygon]) -> str:
    """SVG path data of closed polygons, points rounded to whole units; empty without polygons."""
    pieces = []
    for polygon in polygons:
        points = np.rint(polygon).astype(np.int64)
        steps = np.diff(points, axis=0)
        numbers = steps[steps.any(axis=1)].ravel().tolist() or [0, 0]
        moves = "".join(f"{n}" if n < 0 else f" {n}" for n in numbers)
        pieces.append(f"M{points[0, 0]} {points[0, 1]}l{moves}z")
    return "".join(pieces)
