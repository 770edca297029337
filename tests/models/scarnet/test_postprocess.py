"""Spatial consistency of scar on drawn masks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cmrseg.labels import CINE, LGE, LGE_RV
from cmrseg.models.scarnet.postprocess import tidy_scar


def _drawn(rows: list[str]) -> NDArray[np.uint8]:
    """Numbers of labels.LGE: 0 background, 1 cavity, 2 muscle, 3 scar, 4 no-reflow."""
    return np.array([[int(c) for c in row] for row in rows], np.uint8)


def test_scar_apart_from_the_heart_goes_and_specks_become_muscle() -> None:
    before = _drawn(["0022222000", "0021113300", "0021113300", "0023212000", "3000000005", "3300000005"])
    after = _drawn(["0022222000", "0021113300", "0021113300", "0022212000", "0000000005", "0000000005"])
    assert np.array_equal(tidy_scar(before, LGE_RV), after)


def test_a_corner_is_contact() -> None:
    mask = _drawn(["22000", "22000", "00333"])
    assert np.array_equal(tidy_scar(mask, LGE), mask)


def test_no_reflow_belongs_to_the_scar_around_it() -> None:
    ring = _drawn(["02222", "02332", "02342", "02222"])
    assert np.array_equal(tidy_scar(ring, LGE), ring)
    lone = _drawn(["022", "024", "022"])
    assert np.array_equal(tidy_scar(lone, LGE), _drawn(["022", "022", "022"]))


@pytest.mark.parametrize(("smallest", "kept"), [(2, True), (3, False), (1, True)])
def test_the_smallest_piece_is_given(smallest: int, kept: bool) -> None:
    mask = _drawn(["2222", "2332", "2222"])
    assert (tidy_scar(mask, LGE, smallest) == 3).any() == kept


def test_slices_stand_for_themselves_and_the_input_is_left_alone() -> None:
    near, far = _drawn(["2222", "2333", "0000"]), _drawn(["0000", "0333", "0000"])
    stack = np.stack([near, far])[None]
    before = stack.copy()
    result = tidy_scar(stack, LGE)
    assert result.shape == (1, 2, 3, 4)
    assert np.array_equal(result[0, 0], near)
    assert not result[0, 1].any()
    assert np.array_equal(stack, before)


def test_nothing_comes_back_as_nothing() -> None:
    assert tidy_scar(np.zeros((0, 4, 4), np.uint8), LGE).shape == (0, 4, 4)
    assert tidy_scar(np.zeros((1, 0, 0), np.uint8), LGE).shape == (1, 0, 0)
    heart = _drawn(["222", "212", "222"])
    assert np.array_equal(tidy_scar(heart, LGE), heart)
    assert np.array_equal(tidy_scar(heart, CINE), heart)
