"""Acute against chronic: areas by hand, folds that leave patients out, and the experiment from cohorts to table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import UsageError
from cmrseg.experiments import acute_features
from cmrseg.experiments.acute_features import (
    ALL,
    FOLDS,
    ScarPatient,
    auc,
    auc_interval,
    classify,
    dealt,
    fit_logistic,
    out_of_fold,
)


def test_area_by_hand() -> None:
    acute = np.array([True, True, False, False, False])
    # of six pairs, 0.9 beats all three; 0.4 beats one, ties with one, loses to one
    assert auc(np.array([0.9, 0.4, 0.1, 0.4, 0.7]), acute) == pytest.approx((3 + 1 + 0.5) / 6)
    assert auc(np.array([2.0, 3.0, 1.0, 0.0, -1.0]), acute) == 1.0
    assert auc(np.zeros(5), acute) == 0.5


def test_interval_holds_the_area_and_narrows_with_patients() -> None:
    random = np.random.default_rng(0)

    def interval(n: int) -> tuple[float, float, float]:
        acute = np.arange(n) % 2 == 0
        scores = random.normal(size=n) + acute
        found = auc_interval(scores, acute, 0)
        assert found.low < auc(scores, acute) < found.high
        return found.low, found.high, found.high - found.low

    assert interval(400)[2] < interval(40)[2]


def test_folds_have_both_kinds() -> None:
    acute = np.arange(23) < 11
    folds = dealt(acute, FOLDS, 0)
    assert sorted(np.bincount(folds[acute]).tolist()) == [2, 2, 2, 2, 3]
    assert sorted(np.bincount(folds[~acute]).tolist()) == [2, 2, 2, 3, 3]


def test_logistic_regression_is_at_its_minimum() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 2))
    acute = values[:, 0] + 0.5 * random.normal(size=60) > 0
    weights = fit_logistic(values, acute)
    assert weights[1] > 1
    assert abs(weights[2]) < weights[1] / 3
    # the slopes of likelihood and penalty cancel
    chance = 1 / (1 + np.exp(-(weights[0] + values @ weights[1:])))
    np.testing.assert_allclose(values.T @ (acute - chance), weights[1:], atol=1e-3)
    assert (acute - chance).sum() == pytest.approx(0.0, abs=1e-3)


def test_nobody_is_scored_by_a_classifier_that_knows_them() -> None:
    """Changing one patient's kind changes no score of their own fold."""
    random = np.random.default_rng(1)
    values, acute, folds = random.normal(size=(40, 3)), np.arange(40) % 2 == 0, np.arange(40) // 8
    values[3, 1] = np.nan
    before = out_of_fold(values, acute, folds)
    changed = acute.copy()
    changed[5] = ~changed[5]
    after = out_of_fold(values, changed, folds)
    np.testing.assert_array_equal(before[:8], after[:8])
    assert (before[8:] != after[8:]).all()
    strange = values.copy()
    strange[5] = 1e6
    np.testing.assert_allclose(np.delete(out_of_fold(strange, acute, folds)[:8], 5), np.delete(before[:8], 5))


def patients(difference: float) -> list[ScarPatient]:
    random = np.random.default_rng(0)
    return [
        ScarPatient(
            str(k), str(k % 4), k % 2 == 0, "drawn", {key: random.normal() + difference * (k % 2 == 0) for key in ALL}
        )
        for k in range(48)
    ]


def test_what_differs_is_found_and_what_does_not_is_not() -> None:
    apart = {(r.features, r.held_out): r for r in classify("drawn", patients(1.5), 0)}
    assert len(apart) == 10
    assert apart["all", "cohorts"].auc > 0.95
    assert apart["all", "cohorts"].patients == 48
    assert apart["all", "cohorts"].acute == 24
    alike = classify("drawn", patients(0.0), 0)
    assert all(r.auc_low < 0.55 for r in alike)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(UsageError, match="Too few"):
        classify("drawn", patients(1.0)[:2], 0)


def test_from_cohorts_to_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acute_features.PAIRS, "tiny", 3)
    done = CliRunner().invoke(app, ["experiment", acute_features.NAME, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "of patients it says nothing" in " ".join(done.output.split())
    with (tmp_path / "out" / "features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 6
    assert {r["masks"] for r in rows} == {"drawn", "gmm"}
    acute = [r for r in rows if r["acute"] == "1"]
    assert all(r["id"].startswith("acute-") for r in acute)
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 20
    assert all(0 <= float(r["auc_low"]) <= float(r["auc"]) <= float(r["auc_high"]) <= 1 for r in table)


def test_it_takes_no_patients(tmp_path: Path) -> None:
    refused = CliRunner().invoke(
        app, ["experiment", acute_features.NAME, "-o", str(tmp_path / "out"), "--data", str(tmp_path)]
    )
    assert refused.exit_code == 2
    assert "generates its patients" in refused.output
    listed = CliRunner().invoke(app, ["experiment", "list"])
    assert acute_features.NAME in listed.output
