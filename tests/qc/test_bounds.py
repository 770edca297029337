from dataclasses import replace

import pytest

from cmrseg.qc import bounds
from cmrseg.study import Measurement, ReferenceRange


def codes(case_of, rule, key, value, reference=None, error=None):
    case = case_of([140.0, 60.0])
    made = Measurement(key, value, "", "LV something", "", "", reference, error=error)
    found = rule(replace(case, measurements=replace(case.measurements, values=(made,))))
    return [(f.code, f.severity) for f in found]


@pytest.mark.parametrize(
    ("key", "usual", "review", "reject"),
    [
        ("lv_ef_percent", (60.0, 10.0, 82.0), (4.0, 88.0), (1.0, -20.0, 95.0)),
        ("lv_edv_ml", (150.0, 50.0, 370.0), (30.0, 450.0), (12.0, 700.0)),
        ("lv_mass_g", (120.0, 40.0, 300.0), (25.0, 400.0), (5.0, 600.0)),
        ("rv_ef_percent", (50.0,), (-2.0, 2.0, 88.0), (-20.0, 95.0)),
        ("rv_edv_ml", (150.0,), (25.0, 500.0), (10.0, 700.0)),
    ],
)
def test_bounds(case_of, key, usual, review, reject):
    for value in usual:
        assert codes(case_of, bounds.numbers_are_possible, key, value) == []
    for value in review:
        assert codes(case_of, bounds.numbers_are_possible, key, value) == [(f"{key}_unusual", "review")]
    for value in reject:
        assert codes(case_of, bounds.numbers_are_possible, key, value) == [(f"{key}_impossible", "reject")]
    assert codes(case_of, bounds.numbers_are_possible, key, None) == []


@pytest.mark.parametrize(("rate", "expected"), [(66.0, 0), (180.0, 0), (None, 0), (12.0, 1), (600.0, 1)])
def test_heart_rate(case_of, rate, expected):
    found = codes(case_of, bounds.heart_rate_is_possible, "heart_rate_bpm", rate)
    assert found == [("heart_rate_impossible", "review")] * expected


@pytest.mark.parametrize(("value", "expected"), [(60.0, 0), (47.0, 0), (44.0, 0), (43.0, 1), (72.0, 0), (73.0, 1)])
def test_what_lies_outside_by_more_than_its_error_is_mentioned_and_changes_nothing(case_of, value, expected):
    reference = ReferenceRange(58.0, 5.0, "healthy men", "a table")  # 48 to 68
    found = codes(case_of, bounds.numbers_within_reference, "lv_ef_percent", value, reference, error=4.0)
    assert found == [("outside_reference", "info")] * expected


def test_no_reference_no_word(case_of):
    assert codes(case_of, bounds.numbers_within_reference, "lv_ef_percent", 5.0) == []


def test_bounds_reach_the_verdict(heart):
    heart.labels[7] = 0
    heart.labels[7, 4, 48, 44:56] = 3
    heart.labels[7, 4, 40:46, 44:56] = 2
    assert heart.severity_of("lv_ef_percent_impossible") == "reject"  # EF of nearly 100 %


def test_an_impossible_heart_rate_reaches_the_verdict(heart):
    heart.heart_rate_bpm = 600.0
    assert heart.verdict().status == "review"
