"""Dice by hand, and the rule for empty masks."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.evaluate.metrics import dice


def test_dice_of_shifted_squares() -> None:
    a, b = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    a[2:12, 2:12] = True
    b[2:12, 5:15] = True
    assert dice(a, b) == pytest.approx(2 * 70 / 200)


def test_empty_masks_never_drop_out() -> None:
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, full) == 0.0
    assert dice(full, empty) == 0.0


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="shape"):
        dice(np.zeros((2, 2), bool), np.zeros((2, 3), bool))
