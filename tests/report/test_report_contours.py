"""Contours: their area and place are those of the mask, whatever its shape."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from cmrseg.report.contours import Polygon, path_data, smooth, trace


def area(polygon: Polygon) -> float:
    """Shoelace area, positive clockwise on a screen."""
    x, y = polygon.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def disc(radius: float, centre_xy: tuple[float, float] = (30.0, 20.0)) -> NDArray[np.bool_]:
    y, x = np.mgrid[:50, :60]
    return (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 <= radius**2


def points_of(path: str) -> list[NDArray[np.int64]]:
    """Points of each closed polygon of path data."""
    polygons = []
    for start, moves in re.findall(r"M(\d+ -?\d+|-?\d+ -?\d+)l([^z]*)z", path):
        first = np.array([int(n) for n in re.findall(r"-?\d+", start)])
        steps = np.array([int(n) for n in re.findall(r"-?\d+", moves)]).reshape(-1, 2)
        polygons.append(np.vstack([first, first + np.cumsum(steps, axis=0)]))
    return polygons


def test_a_pixel_is_a_diamond_round_its_centre() -> None:
    mask = np.zeros((1, 4, 5), bool)
    mask[0, 2, 3] = True
    ((polygon,),) = trace(mask)
    assert {tuple(p) for p in polygon} == {(3.0, 1.5), (3.5, 2.0), (3.0, 2.5), (2.5, 2.0)}
    assert area(polygon) == pytest.approx(0.5)


@pytest.mark.parametrize("radius", [3.0, 8.0, 17.5])
def test_area_is_the_pixel_count_less_half_a_pixel(radius: float) -> None:
    mask = disc(radius)
    ((polygon,),) = trace(mask[None])
    assert area(polygon) == pytest.approx(mask.sum() - 0.5)
    assert polygon.mean(axis=0) == pytest.approx([30.0, 20.0])


@pytest.mark.parametrize("radius", [5.0, 8.0, 17.5])
def test_smoothing_keeps_area_and_place_and_takes_the_steps_away(radius: float) -> None:
    ((polygon,),) = trace(disc(radius, (30.3, 19.6))[None])
    rounded = smooth(polygon)
    assert area(rounded) == pytest.approx(area(polygon), rel=0.01)
    assert rounded.mean(axis=0) == pytest.approx(polygon.mean(axis=0))
    from_centre = np.hypot(*(rounded - rounded.mean(axis=0)).T)
    steps_before = np.hypot(*(polygon - polygon.mean(axis=0)).T)
    assert from_centre.std() < steps_before.std()
    assert from_centre == pytest.approx(radius, abs=0.6)


def test_a_smoothed_pixel_does_not_vanish() -> None:
    mask = np.zeros((1, 3, 3), bool)
    mask[0, 1, 1] = True
    ((polygon,),) = trace(mask)
    assert area(smooth(polygon)) > 0.4


def test_a_hole_runs_the_other_way() -> None:
    ring = disc(12.0) & ~disc(6.0)
    (polygons,) = trace(ring[None])
    areas = sorted(area(p) for p in polygons)
    assert areas == pytest.approx([-(disc(6.0).sum() - 0.5), disc(12.0).sum() - 0.5])


def test_pixels_that_touch_at_a_corner_are_apart() -> None:
    (polygons,) = trace(np.array([[[True, False], [False, True]]]))
    assert [area(p) for p in polygons] == pytest.approx([0.5, 0.5])


def test_every_mask_of_a_stack_gets_its_own_polygons_at_the_edge_too() -> None:
    stack = np.zeros((4, 6, 7), bool)
    stack[0] = True
    stack[2, :2, :3] = True
    stack[2, 5, 6] = True
    whole, none, two, empty = trace(stack)
    assert (len(whole), len(none), len(two), len(empty)) == (1, 0, 2, 0)
    assert area(whole[0]) == pytest.approx(6 * 7 - 0.5)
    assert whole[0].min(axis=0).tolist() == [-0.5, -0.5]
    assert whole[0].max(axis=0).tolist() == [6.5, 5.5]


def test_random_masks_lose_half_a_pixel_per_outline_and_win_it_per_hole() -> None:
    masks = np.random.default_rng(0).random((5, 20, 20)) < 0.6
    for mask, polygons in zip(masks, trace(masks), strict=True):
        turns = sum(1 if area(p) > 0 else -1 for p in polygons)
        assert sum(area(p) for p in polygons) == pytest.approx(mask.sum() - 0.5 * turns)


def test_path_data_round_trips_to_whole_units() -> None:
    polygon = np.array([[10.2, 20.4], [13.0, 24.0], [9.0, 31.6], [-4.0, 20.0]])
    path = path_data([polygon, polygon + 100])
    assert path == "M10 20l 3 4-4 8-13-12zM110 120l 3 4-4 8-13-12z"
    assert points_of(path)[0].tolist() == [[10, 20], [13, 24], [9, 32], [-4, 20]]


def test_path_data_of_a_point_still_draws_a_dot() -> None:
    assert path_data([np.full((4, 2), 7.1)]) == "M7 7l 0 0z"
    assert path_data([]) == ""
