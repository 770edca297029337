"""The cine and the LGE stack of one study, compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lge_heart import LgeHeart

from cmrseg.phantom import Phantom
from cmrseg.qc import QcThresholds, check_together
from cmrseg.qc.together import covered_mm
from cmrseg.quantify import measure
from cmrseg.study import Finding, Measurements, Part, Verdict


@pytest.fixture
def cine(good_phantom: Phantom) -> Part:
    """The healthy cine, with the LV mass of the LGE stack."""
    segmentation = good_phantom.segmentation
    return Part(good_phantom.image, segmentation, _weighing(measure(segmentation), 127.4), Verdict("pass"))


def _weighing(measurements: Measurements, mass_g: float | None) -> Measurements:
    values = (replace(m, value=mass_g) if m.key == "lv_mass_g" else m for m in measurements.values)
    return replace(measurements, values=tuple(values))


def _codes(parts: tuple[Part, ...]) -> list[str]:
    return [f.code for f in parts[-1].verdict.findings]


def test_a_pair_that_agrees_stays_as_it_is(cine: Part, lge: LgeHeart) -> None:
    pair = (cine, lge.part())
    assert check_together(pair)[0] is cine
    assert _codes(check_together(pair)) == []


# 127.4 g on LGE: their difference over their mean is 27.4 % at 96.7 g and 33.4 % at 91.0 g
@pytest.mark.parametrize(("mass_g", "codes"), [(96.7, []), (91.0, ["lge_mass_differs"]), (178.5, ["lge_mass_differs"])])
def test_masses_that_differ_ask_for_a_look_at_the_lge(
    cine: Part, lge: LgeHeart, mass_g: float, codes: list[str]
) -> None:
    parts = check_together((replace(cine, measurements=_weighing(cine.measurements, mass_g)), lge.part()))
    assert _codes(parts) == codes
    assert parts[1].verdict.status == ("review" if codes else "pass")
    assert parts[0].verdict.status == "pass"


def test_length_is_slices_with_muscle_times_their_distance(cine: Part, lge: LgeHeart) -> None:
    assert covered_mm(lge.part()) == pytest.approx(9 * 10.0)
    muscle = (cine.segmentation.labels[0] == 2).any(axis=(1, 2)).sum()
    assert covered_mm(cine) == pytest.approx(muscle * 12.0)
    lge.labels[:] = 0
    assert covered_mm(lge.part()) is None


def test_a_short_lge_stack_is_told_and_its_small_mass_is_not_told_again(cine: Part, lge: LgeHeart) -> None:
    lge.keep_slices(2, 7)
    parts = check_together((cine, lge.part()))
    (finding,) = (f for f in parts[1].verdict.findings if f.code.startswith("lge_"))
    assert (finding.code, finding.severity, finding.kind) == ("lge_covers_less", "review", "lge")
    assert "50 mm" in finding.message


def test_a_short_lge_stack_that_weighs_too_much_is_told_twice(cine: Part, lge: LgeHeart) -> None:
    lge.keep_slices(2, 7)
    light = replace(cine, measurements=_weighing(cine.measurements, 40.0))
    assert {"lge_covers_less", "lge_mass_differs"} <= set(_codes(check_together((light, lge.part()))))


def test_one_part_a_rejected_part_and_an_unknown_mass_are_not_compared(cine: Part, lge: LgeHeart) -> None:
    heavy = replace(cine, measurements=_weighing(cine.measurements, 300.0))
    assert check_together((heavy,)) == (heavy,)
    rejected = replace(lge.part(), verdict=Verdict.of((Finding("x", "reject", "No."),)))
    assert _codes(check_together((heavy, rejected))) == ["x"]
    unknown = replace(cine, measurements=_weighing(cine.measurements, None))
    assert _codes(check_together((unknown, lge.part()))) == []


def test_limits_can_be_given(cine: Part, lge: LgeHeart) -> None:
    near = replace(cine, measurements=_weighing(cine.measurements, 120.0))
    strict = QcThresholds(lge_mass_difference_fraction=0.01)
    assert _codes(check_together((near, lge.part()), thresholds=strict)) == ["lge_mass_differs"]
