"""What the documentation says of report.html."""

from __future__ import annotations

import re

from docpages import ROOT, table_rows

from cmrseg.phantom import make_lge, make_phantom, tiny
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.quantify.lge_definitions import SEGMENT_SCAR_PERCENT
from cmrseg.report import scar_words
from cmrseg.report.html import render
from cmrseg.study import Study


def test_every_section_of_the_report_is_listed_in_its_order() -> None:
    phantom = make_phantom(tiny())
    late = make_lge(phantom)
    study = Study("s", ROOT, (phantom.image, late.image), phantom.patient)
    stacks = [(phantom.image, phantom.segmentation), (late.image, late.segmentation)]
    html = render(assess(study, stacks, Clock(), {"bundles": {}, "runtime": "given masks"}, {}))
    rows = table_rows(ROOT / "docs" / "reference" / "outputs.md", "Sections of the report")
    assert [row[0] for row in rows] == re.findall(r"<h2>(.*?)</h2>", html)
    assert {row[1] for row in rows} == {"cine", "LGE", "both", "all"}


def test_limits_of_the_words_on_scar_are_those_of_the_code() -> None:
    page = " ".join((ROOT / "docs" / "explanation" / "scar.md").read_text("utf-8").split())
    for words in (
        f"from a mean transmurality of {SEGMENT_SCAR_PERCENT:.0f} % on",
        f"more than {scar_words.MOSTLY_PERCENT:.0f} % of the scar in the inner third",
        f"less than {scar_words.SPARED_PERCENT:.0f} % there",
        f"up to {scar_words.VIABLE_CHRONIC_PERCENT:.0f} % of the wall, which counts as viable in chronic infarction",
        f"up to {scar_words.VIABLE_ACUTE_PERCENT:.0f} %, which does so in the first days",
    ):
        assert words in page
