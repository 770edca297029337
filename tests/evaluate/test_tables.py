"""Tables follow from the scores: every row against arithmetic on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hearts import beat, case, truth_of

from cmrseg.evaluate import tables
from cmrseg.evaluate.cine import compare_frames, score_missing, write_rows
from cmrseg.evaluate.masks import Evaluation
from cmrseg.evaluate.metrics import METRICS, EmptyMasks
from cmrseg.evaluate.statistics import bootstrap_interval
from cmrseg.evaluate.taxonomy import Tag
from cmrseg.labels import CINE

TRUTH = beat(4, 2)  # LVEF 75 %
WEAK = beat(4, 3)  # 44 %
MISSED = score_missing(case("p4", "DCM"), truth_of(WEAK), "not_found")
SCORES = (
    compare_frames(case("p1", "NOR"), TRUTH, truth_of(TRUTH)),
    compare_frames(case("p2", "NOR"), beat(5, 2), truth_of(TRUTH)),
    compare_frames(case("p3", "DCM"), beat(3, 2), truth_of(WEAK)),
    MISSED,
)
LEAK = Tag("leak", "rv_cavity", "es", 1.5, "mL")
EVALUATIONS = {"net": Evaluation(SCORES, {"p1": (), "p2": (LEAK, LEAK), "p3": (), "p4": (LEAK,)}, ())}


def find(rows: list[tables.Row], **wanted: object) -> tables.Row:
    (row,) = (r for r in rows if all(r[k] == v for k, v in wanted.items()))
    return row


def test_patient_rows_hold_method_truth_and_errors() -> None:
    rows = tables.patient_rows(EVALUATIONS)
    assert [r["case_id"] for r in rows] == ["p1", "p2", "p3", "p4"]
    row = rows[1]
    assert (row["method"], row["group"], row["severity"], row["errors"]) == ("net", "NOR", "mild", "leak")
    assert row["lv_ef_percent"] == pytest.approx(84.0)
    assert row["truth_lv_ef_percent"] == pytest.approx(75.0)
    assert row["lv_ef_error_points"] == pytest.approx(9.0)
    assert row["dice_lv_cavity_ed"] == pytest.approx(2 * 64 / 164)
    assert {f"{m}_rv_cavity_es" for m in METRICS} <= row.keys()
    assert (rows[3]["refused"], rows[3]["severity"], rows[3]["n_missed"]) == ("not_found", "moderate", 6)


def test_summary_is_over_patients_with_a_missed_one_in_it() -> None:
    rows = tables.summary_rows(EVALUATIONS)
    assert len(rows) == len(METRICS) * 7
    row = find(rows, metric="dice", structure="lv_cavity", phase="ed")
    values = [1.0, 2 * 64 / 164, 2 * 36 / 100, 0.0]
    assert (row["n"], row["n_missed"], row["n_false"]) == (4, 1, 0)
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert row["median"] == pytest.approx(np.median(values))
    assert row["worst"] == 0.0
    assert row["pooled"] == pytest.approx(2 * (64 + 64 + 36) / (128 + 164 + 100 + 64))
    interval = bootstrap_interval(values)
    assert interval is not None
    assert (row["low"], row["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_worst_is_the_end_that_is_bad() -> None:
    rows = tables.summary_rows({"net": Evaluation(SCORES[:3], dict.fromkeys(("p1", "p2", "p3"), ()), ())})
    errors = [0.0, 4 * 36 * 0.04, -4 * 28 * 0.04]
    row = find(rows, metric="volume_error_ml", structure="lv_cavity", phase="ed")
    assert row["worst"] == pytest.approx(max(errors, key=abs))
    row = find(rows, metric="hd95_mm", structure="lv_cavity", phase="ed")
    assert row["worst"] == pytest.approx(np.hypot(2, 2), abs=0.9)
    assert row["pooled"] is None
    row = find(rows, metric="dice", structure="all", phase="all")
    assert row["worst"] == pytest.approx(min(s.macro("dice") or 0 for s in SCORES[:3]))


def test_a_structure_left_out_as_absent_has_fewer_patients() -> None:
    without = TRUTH.copy()
    without[without == CINE["rv_cavity"]] = 0
    policy = EmptyMasks("left_out")
    scores = (SCORES[0], compare_frames(case("p9"), without, truth_of(without), policy))
    rows = tables.summary_rows({"net": Evaluation(scores, {"p1": (), "p9": ()}, ())})
    assert find(rows, metric="dice", structure="rv_cavity", phase="ed")["n"] == 1
    assert find(rows, metric="dice", structure="lv_cavity", phase="ed")["n"] == 2
    assert find(rows, metric="specificity", structure="rv_cavity", phase="ed")["n"] == 2


def test_agreement_rows_are_flat() -> None:
    row = find(tables.agreement_rows(EVALUATIONS), key="lv_ef_percent")
    errors = [0.0, 9.0, 100 * (1 - 4 / 9) - 43.75, -43.75]
    assert row["mean_error"] == pytest.approx(np.mean(errors))
    assert row["limit_low"] == pytest.approx(np.mean(errors) - 1.959964 * np.std(errors, ddof=1))
    assert row["bias_low"] < row["mean_error"] < row["bias_high"]
    assert row["largest_case_id"] == "p4"
    alone = tables.agreement_rows({"net": Evaluation(SCORES[:1], {"p1": ()}, ())})
    assert "limit_low" not in alone[0]


def test_subgroups_are_means_of_their_members() -> None:
    rows = tables.subgroup_rows(EVALUATIONS)
    row = find(rows, division="diagnosis", group="DCM", metric="dice", structure="lv_cavity")
    assert (row["patients"], row["n"]) == (2, 2)
    assert row["mean"] == pytest.approx(np.mean([np.mean([2 * 36 / 100, 2 * 16 / 52]), 0.0]))
    row = find(rows, division="severity", group="mild", metric="ef_abs_error_points", structure="lv_cavity")
    assert row["mean"] == pytest.approx(4.5)
    assert {(r["division"], r["group"]) for r in rows} == {
        ("diagnosis", "DCM"),
        ("diagnosis", "NOR"),
        ("severity", "mild"),
        ("severity", "moderate"),
    }


def test_error_rows_name_everything() -> None:
    rows = tables.error_rows(EVALUATIONS)
    assert [(r["case_id"], r["error"], r["structure"], r["phase"]) for r in rows] == [
        ("p2", "leak", "rv_cavity", "es"),
        ("p2", "leak", "rv_cavity", "es"),
        ("p4", "leak", "rv_cavity", "es"),
    ]
    assert (rows[0]["value"], rows[0]["unit"], rows[0]["method"]) == (1.5, "mL", "net")


def test_comparisons_need_two_methods() -> None:
    assert tables.comparison_rows(EVALUATIONS) == []
    assert tables.comparison_rows({**EVALUATIONS, "other": EVALUATIONS["net"]})


def test_small_numbers_are_not_rounded_away(tmp_path: Path) -> None:
    write_rows([{"a": 1.23456, "b": None}, {"a": 0.000012345, "c": "x"}, {"a": 0.0}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n1.2346,,\n1.234e-05,,x\n0.0,,\n"
