"""Paired tests of methods: the right pairs, the right sign, and one correction over everything that is tested."""

from __future__ import annotations

import numpy as np
import pytest
from hearts import beat, case, truth_of

from cmrseg.evaluate.cine import CineScore, compare_frames
from cmrseg.evaluate.comparison import TESTED_METRICS, compare_methods
from cmrseg.evaluate.statistics import holm, paired_test

TRUTHS = {f"p{k}": beat(4 + k % 2, 2) for k in range(6)}
FAMILY = len(TESTED_METRICS) * 7 + 2


def scores(**options: int) -> list[CineScore]:
    return [
        compare_frames(case(i), beat(4 + k % 2, 3 + k % 2, **options), truth_of(t))
        for k, (i, t) in enumerate(TRUTHS.items())
    ]


def perfect() -> list[CineScore]:
    return [compare_frames(case(i), t, truth_of(t)) for i, t in TRUTHS.items()]


def test_every_row_is_the_paired_test_of_its_values() -> None:
    first, second = perfect(), scores(shift=1)
    rows = compare_methods({"a": first, "b": second})
    assert len(rows) == FAMILY
    row = next(r for r in rows if (r.metric, r.structure, r.phase) == ("dice", "rv_cavity", "es"))
    values = [[s.dice["rv_cavity_es"] for s in method] for method in (first, second)]
    assert row.test == paired_test(*values)
    assert (row.first, row.second) == (1.0, pytest.approx(np.mean(values[1])))
    assert row.methods == ("a", "b")
    assert row.test.mean_difference > 0


def test_holm_covers_all_pairs_of_methods() -> None:
    rows = compare_methods({"a": perfect(), "b": scores(shift=1), "c": scores()})
    assert [r.methods for r in rows[::FAMILY]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(rows) == 3 * FAMILY
    assert [r.wilcoxon_p_holm for r in rows] == holm([r.test.wilcoxon_p for r in rows])
    assert [r.t_p_holm for r in rows] == holm([r.test.t_p for r in rows])
    assert min(r.test.wilcoxon_p for r in rows) == pytest.approx(2 / 2**6)


def test_patients_are_paired_by_id_and_not_by_order() -> None:
    first, second = perfect(), scores(shift=1)
    rows = compare_methods({"a": first, "b": second[::-1]})
    assert rows == compare_methods({"a": first, "b": second})


def test_only_patients_whom_both_have_are_tested() -> None:
    rows = compare_methods({"a": perfect()[:4], "b": scores()[2:]})
    assert {r.test.n for r in rows} == {2}


def test_nothing_to_compare_gives_no_rows() -> None:
    assert compare_methods({"a": perfect()}) == []
    assert compare_methods({"a": perfect()[:2], "b": scores()[2:]}) == []
    assert compare_methods({}) == []


def test_a_flat_row_holds_the_interval() -> None:
    row = compare_methods({"a": perfect(), "b": scores()})[0].row()
    assert row["difference_low"] <= row["mean_difference"] <= row["difference_high"]
    assert (row["first"], row["second"], row["n"]) == ("a", "b", 6)
