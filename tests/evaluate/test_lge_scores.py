"""Scores of LGE masks against arithmetic done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cmrseg.evaluate.lge import LgeScore, compare, summarise, write_scores
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import LGE, LGE_RV, SCHEMES

#: 1 mm x 1 mm x 10 mm: a hundred voxels are a millilitre.
GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (20, 20, 2))


def masks(scar: int, no_reflow: int = 0) -> NDArray[np.uint8]:
    """A stack whose first slice holds 200 voxels of muscle, some of them scar and no-reflow."""
    labels = np.zeros((2, 20, 20), np.uint8)
    row = labels[0].reshape(-1)
    row[:200] = LGE["lv_myocardium"]
    row[:scar] = LGE["scar"]
    row[scar : scar + no_reflow] = LGE["no_reflow"]
    row[200:300] = LGE["lv_cavity"]
    return labels


def scored(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> LgeScore:
    """One patient."""
    return compare(Case("p", Path(), "g"), found, LGE_RV, Truth(truth[None], (0,), GRID, LGE))


def test_masses_and_dice_of_one_patient_by_hand() -> None:
    score = scored(masks(50), masks(80, 20))
    assert score.scar_mass_g == pytest.approx(0.5 * 1.05)
    assert score.scar_mass_truth_g == pytest.approx(1.0 * 1.05)
    assert score.dice("scar") == pytest.approx(2 * 50 / (50 + 100))
    assert score.dice("myocardium") == 1
    assert score.dice("rv_cavity") is None


def test_patients_without_scar_count_in_masses_not_in_dice() -> None:
    scores = [scored(masks(0), masks(0)), scored(masks(100), masks(100)), scored(masks(150), masks(0))]
    result = summarise(scores)
    assert (result["n"], result["n_with_scar"], result["n_false_alarms"]) == (3, 1, 1)
    assert result["dice_scar_with_scar"] == 1
    assert result["dice_scar"] == pytest.approx(0.5)
    assert result["scar_mass_bias_g"] == pytest.approx(1.5 * 1.05 / 3)
    assert result["scar_mass_mae_g"] == pytest.approx(1.5 * 1.05 / 3)


def test_concordance_of_scar_mass_by_hand() -> None:
    scores = [scored(masks(k), masks(k + 10)) for k in (20, 40, 60)]
    # equal variance s2 = 800/3 and a shift of 10 voxels: 2 s2 / (2 s2 + 100)
    spread = 2 * 800 / 3
    assert summarise(scores)["scar_mass_ccc"] == pytest.approx(spread / (spread + 100))


def test_one_patient_has_no_agreement_and_none_has_no_summary_of_dice() -> None:
    assert "scar_mass_ccc" not in summarise([scored(masks(10), masks(10))])
    assert summarise([])["n"] == 0


def test_rows_are_written(tmp_path: Path) -> None:
    write_scores([scored(masks(50), masks(100))], tmp_path / "scores.csv")
    head, row = (tmp_path / "scores.csv").read_text().splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["scar_mass_truth_g"] == "1.05"


def test_scar_in_percent_of_the_muscle_and_slices_by_hand() -> None:
    truth = masks(80, 20)
    truth[1] = masks(10)[0]
    score = scored(masks(50), truth)
    # 110 of the truth's 400 voxels of muscle, 50 of the 200 found; the first slice is found, the second missed
    assert score.scar_percent_truth == pytest.approx(27.5)
    assert score.scar_percent == pytest.approx(25.0)
    assert score.slices == (1, 0, 1, 0)
    assert scored(masks(0), masks(0)).slices == (0, 0, 0, 2)
    assert scored(masks(5), masks(0)).slices == (0, 1, 0, 1)
    nothing = scored(np.zeros_like(masks(0)), masks(50))
    assert (nothing.scar_percent, nothing.scar_percent_truth) == (0.0, 25.0)


def test_median_of_the_myocardium_by_hand() -> None:
    scores = [scored(masks(20), masks(20)), scored(np.zeros_like(masks(0)), masks(20)), scored(masks(9), masks(20))]
    assert summarise(scores)["dice_myocardium_median"] == 1.0
    assert summarise(scores)["dice_myocardium"] == pytest.approx(2 / 3)


def test_what_draws_scar_alone_is_judged_by_scar_alone() -> None:
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 5:15, 5:15] = LGE_RV["lv_myocardium"]
    labels[:, 5:9, 5:9] = LGE_RV["scar"]
    truth = Truth(labels[None], (0,), GRID, LGE_RV)
    found = (labels == LGE_RV["scar"]).astype(np.uint8)
    score = compare(Case("a", Path()), found, SCHEMES["scar"], truth)
    assert set(score.structures) == {"scar"}
    assert score.dice("scar") == 1
    assert np.isnan(score.scar_percent)
    summary = summarise([score])
    assert summary["dice_mean"] == 1
    assert "dice_myocardium" not in summary


def test_outlines_and_pieces_of_both() -> None:
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 2:6, 2:6] = LGE["scar"]
    truth = Truth(labels[None], (0,), GRID, LGE)
    far = np.zeros_like(labels)
    far[:, 12:16, 12:16] = LGE["scar"]
    score = compare(Case("a", Path()), far, LGE, truth)
    # no voxel in common, and the very same outline
    assert score.dice("scar") == 0
    assert score.perimeter_similarity == 1
    both = np.maximum(labels, far)
    twice = compare(Case("a", Path()), both, LGE, truth)
    assert twice.perimeter_similarity == pytest.approx(0.5)
    assert (twice.pieces, twice.pieces_truth) == (2, 1)
    nothing = compare(Case("a", Path()), np.zeros_like(labels), LGE, Truth(0 * labels[None], (0,), GRID, LGE))
    assert np.isnan(nothing.perimeter_similarity)
    assert summarise([score, nothing])["perimeter_similarity"] == 1
