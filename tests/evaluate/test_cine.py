"""Scores of a patient against arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrseg.evaluate.cine import compare, summarise
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.study import Segmentation

GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (20, 20, 1))


def bar(length: int) -> np.ndarray:
    """One slice whose first row holds so many LV voxels and whose second row holds ten RV voxels."""
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 0, :length] = CINE["lv_cavity"]
    labels[0, 1, :10] = CINE["rv_cavity"]
    return labels


def test_dice_and_ejection_fraction_by_hand() -> None:
    found = Segmentation(np.stack([bar(20), bar(3), bar(10)]), CINE, GRID)
    truth = Truth(np.stack([bar(16), bar(8)]), (0, 2), GRID)
    score = compare(Case("p1", Path(), "NOR"), found, truth)
    assert score.dice["lv_cavity_ed"] == pytest.approx(2 * 16 / 36)
    assert score.dice["lv_cavity_es"] == pytest.approx(2 * 8 / 18)
    assert score.dice["rv_cavity_ed"] == 1.0
    assert score.dice["lv_myocardium_es"] == 1.0  # absent in both
    assert score.lv_ef_error == pytest.approx(0.0)  # 50 % and 50 %
    assert score.rv_ef_error == 0.0


def test_a_missed_ventricle_scores_zero_and_stays_in_the_mean() -> None:
    found = Segmentation(np.stack([bar(0), bar(0)]), CINE, GRID)
    truth = Truth(np.stack([bar(16), bar(8)]), (0, 1), GRID)
    score = compare(Case("p1", Path()), found, truth)
    assert score.dice["lv_cavity_ed"] == 0.0
    assert summarise([score])["dice_mean"] == pytest.approx(4 / 6)
