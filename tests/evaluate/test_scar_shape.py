"""Perimeter similarity and shapes of two masks."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.evaluate.scar_shape import FEATURES, compare_shapes, perimeter_similarity
from cmrseg.geometry import Geometry
from cmrseg.quantify.scar_shape import perimeter_mm

GRID = Geometry.from_spacing((1.5, 1.5, 10.0), (40, 40, 3))


def disc(radius: float, row: float = 20, column: float = 20) -> np.ndarray:
    """A disc on a slice."""
    rows, columns = np.mgrid[:40, :40]
    return np.hypot(rows - row, columns - column) <= radius


def stack(*slices: np.ndarray) -> np.ndarray:
    """Slices, with empty ones behind."""
    empty = [np.zeros((40, 40), bool)] * (3 - len(slices))
    return np.stack([*slices, *empty])


def test_similarity_by_hand() -> None:
    assert perimeter_similarity(30.0, 40.0) == 0.75 == perimeter_similarity(40.0, 30.0) == 1 - abs(30 - 40) / 40
    assert perimeter_similarity(0.0, 0.0) == 1
    assert perimeter_similarity(0.0, 12.0) == 0


def test_a_scar_in_the_wrong_place_has_the_right_outline_and_no_dice() -> None:
    here, there = stack(disc(5, 10, 10)), stack(disc(5, 30, 30))
    values = compare_shapes(here, there, GRID)
    assert not (here & there).any()
    assert values["perimeter_similarity"] == 1


def test_slices_are_averaged_where_either_mask_is_and_the_stack_is_summed() -> None:
    small, large = disc(4), disc(8)
    a, b = (perimeter_mm(mask, (1.5, 1.5)) for mask in (small, large))
    values = compare_shapes(stack(small, large), stack(large), GRID)
    assert values["perimeter_mm"] == pytest.approx(a + b)
    assert values["perimeter_truth_mm"] == pytest.approx(b)
    assert values["perimeter_similarity"] == pytest.approx(b / (a + b))
    # one slice a / b, one slice that the truth lacks, one empty in both that does not count
    assert values["slice_perimeter_similarity"] == pytest.approx((a / b + 0) / 2)


def test_shapes_of_both_and_none_of_nothing() -> None:
    values = compare_shapes(stack(disc(6)), stack(), GRID)
    assert values["circularity"] == pytest.approx(1, abs=0.1)
    assert values["components"] == 1
    assert all(values[f"{name}_truth"] is None for name in FEATURES)
    assert values["perimeter_similarity"] == 0
    assert compare_shapes(stack(), stack(), GRID)["perimeter_similarity"] is None
