"""Cine and LGE in one report: what stands side by side, and that nothing is compared that is withheld."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from lge_cases import analysed, ring_labels
from report_cases import number
from report_page import Page

from cmrseg.report.html import render
from cmrseg.report.together import side_by_side
from cmrseg.study import Analysis, Verdict

LGE_VALUES = (
    number("scar_mass_g", 12.0, "g", "Scar mass"),
    number("scar_percent", 10.0, "%", "Scar, of LV mass"),
    number("lge_lv_mass_g", 120.0, "g", "LV mass on LGE"),
)


@pytest.fixture
def both(written: Analysis) -> Analysis:
    """The small phantom with a mass of 101.06 g, and rings with one of 120 g."""
    cine, late = written.parts[0], analysed(ring_labels()).parts[0]
    late = replace(late, measurements=replace(late.measurements, values=LGE_VALUES))
    return replace(written, parts=(cine, late))


def test_what_both_stacks_show_stands_side_by_side(both: Analysis) -> None:
    pairs = {pair.title: pair for pair in side_by_side(both)}
    mass = pairs["LV mass"]
    # 120 - 101.06 = 18.94 g; over their mean of 110.53 g that is 17 %
    assert (mass.cine, mass.lge) == ("101.1 g", "120.0 g")
    assert mass.compared == "+18.9 g on LGE, 17 % of their mean; up to 30 % expected"
    # 1194 voxels of 0.04 mL over 151.237 mL
    cavity = pairs["LV cavity: at end-diastole, on LGE"]
    assert (cavity.cine, cavity.lge) == ("151.2 mL", "47.8 mL")
    assert cavity.compared.startswith("32 % of the cine's end-diastolic volume")


def test_length_is_slices_with_muscle_times_their_distance(both: Analysis) -> None:
    cine = both.parts[0]
    muscle = cine.segmentation.scheme.whole_myocardium(cine.segmentation.labels[0]).any(axis=(1, 2)).sum()
    length_mm = muscle * cine.image.geometry.spacing_xyz_mm[2]
    (pair,) = (pair for pair in side_by_side(both) if pair.title == "Length of LV that slices show")
    assert (pair.cine, pair.lge) == (f"{length_mm:.0f} mm", "70 mm")
    assert pair.compared == f"LGE shows {100 * 70 / length_mm:.0f} % of the cine's; at least 75 % expected"


def test_a_rejected_stack_is_not_compared(both: Analysis) -> None:
    cine, late = both.parts
    withheld = tuple(replace(m, value=None, note="Withheld.") for m in LGE_VALUES)
    late = replace(late, measurements=replace(late.measurements, values=withheld), verdict=Verdict("reject"))
    pairs = side_by_side(replace(both, parts=(cine, late)))
    assert {pair.lge for pair in pairs} == {"—"}
    assert {pair.compared for pair in pairs} == {"", "not compared: the numbers of a rejected stack are withheld"}


def test_a_single_stack_has_nothing_beside_it(written: Analysis) -> None:
    assert side_by_side(written) == ()
    assert side_by_side(analysed(ring_labels())) == ()
    assert "side by side" not in Page(render(written)).text


def test_nothing_of_either_page_points_outside_the_file(both: Analysis) -> None:
    html = render(both)
    assert not re.search(r"https?:|url\(|@import", html)
    for tag, attributes in Page(html).elements:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")  # type: ignore[union-attr]
        assert not {"href", "xlink:href"} & set(attributes)


def test_both_pages_share_a_report_without_sharing_names(both: Analysis) -> None:
    page = Page(render(both))
    names = [a["id"] for _, a in page.elements if "id" in a]
    assert len(names) == len(set(names))
    assert {a["for"] for tag, a in page.elements if tag == "label" and "for" in a} <= set(names)
    for words in ("Key numbers", "Scar on late enhancement", "side by side", "both stacks"):
        assert words in page.text
    assert "Weighs the same." in page.text


def test_numbers_of_a_stack_that_stands_are_not_greyed_by_the_other(both: Analysis) -> None:
    cine, late = both.parts
    html = render(
        replace(both, parts=(replace(cine, verdict=Verdict("pass")), replace(late, verdict=Verdict("reject"))))
    )
    assert re.findall(r'<div class="page (\w+)">', html) == ["pass", "reject"]
