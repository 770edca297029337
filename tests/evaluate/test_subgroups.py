"""Who is in which subgroup: every patient in exactly one, limits as they are printed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hearts import beat, case, truth_of

from cmrseg.evaluate.cine import compare_frames
from cmrseg.evaluate.subgroups import SEVERITY_BANDS, SEVERITY_DEFINITION, UNKNOWN, by_group, by_severity, severity


@pytest.mark.parametrize(
    ("lv_ef", "name"),
    [(75.0, "mild"), (50.0, "mild"), (49.99, "moderate"), (30.0, "moderate"), (29.99, "severe"), (-5.0, "severe")],
)
def test_limits_of_severity(lv_ef: float, name: str) -> None:
    assert severity(lv_ef) == name


def test_no_ejection_fraction_is_unknown() -> None:
    assert severity(math.nan) == UNKNOWN


def test_the_printed_definition_names_every_band_and_limit() -> None:
    for name, low, high in SEVERITY_BANDS:
        assert name in SEVERITY_DEFINITION
        for limit in (low, high):
            assert math.isinf(limit) or f"{limit:.0f} %" in SEVERITY_DEFINITION


def test_patients_by_diagnosis_and_by_severity() -> None:
    truth = beat(4, 2)
    # 8 x 8 and 4 x 4 pixels: LVEF 75 %
    score = compare_frames(case("p1", "NOR"), truth, truth_of(truth))
    assert score.lv_ef_truth == pytest.approx(75.0)
    others = [
        replace(score, case_id="p2", group="DCM", lv_ef_truth=20.0),
        replace(score, case_id="p3", group="", lv_ef_truth=math.nan),
        replace(score, case_id="p4", group="DCM", lv_ef_truth=35.0),
    ]
    ids = {name: [s.case_id for s in members] for name, members in by_group([score, *others]).items()}
    assert ids == {"DCM": ["p2", "p4"], "NOR": ["p1"], UNKNOWN: ["p3"]}
    assert list(ids) == ["DCM", "NOR", UNKNOWN]
    ids = {name: [s.case_id for s in members] for name, members in by_severity([score, *others]).items()}
    assert ids == {"mild": ["p1"], "moderate": ["p4"], "severe": ["p2"], UNKNOWN: ["p3"]}
    assert list(ids) == ["mild", "moderate", "severe", UNKNOWN]


def test_bands_without_patients_are_not_there() -> None:
    truth = beat(4, 2)
    assert list(by_severity([compare_frames(case(), truth, truth_of(truth))])) == ["mild"]
    assert by_group([]) == {}
    assert by_severity([]) == {}
