"""What the page on pointing says of refusals and of time is what the code does and what was measured."""

from __future__ import annotations

import json
import re

import numpy as np
from docpages import ROOT, table_rows

from cmrseg.segment import interactive
from cmrseg.segment.prompt_bundle import load_prompt_bundle

PAGE = ROOT / "docs" / "how-to" / "segment-what-you-point-at.md"


def test_every_refusal_is_explained() -> None:
    source = (ROOT / "src" / "cmrseg" / "segment" / "interactive.py").read_text("utf-8")
    raised = re.findall(r'raise PromptError\(\s*f?"([a-z_{}]+)"', source)
    codes = {code.replace("{what}", what) for code in raised for what in ("box", "click")}
    assert {row[0] for row in table_rows(PAGE, "What is refused")} == codes


def test_limits_are_those_of_the_bundle_that_ships() -> None:
    network, text = load_prompt_bundle().network(1), PAGE.read_text("utf-8")
    side_mm = network.spec.size * network.spec.spacing_mm
    assert f"larger than the {side_mm:g} mm" in text
    assert f"more than {side_mm / 2:g} mm" in text
    assert f"which are {network.clicks}." in text
    assert f"less than {interactive.UNSURE_OVERLAP:g}" in (
        ROOT / "docs" / "explanation" / "quality-control.md"
    ).read_text("utf-8")


def test_times_were_measured() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "prompts.json").read_text("utf-8"))
    shown = [float(row[1]) for row in table_rows(PAGE, "How fast")]
    assert np.array_equal(shown, [measured[k] for k in ("encode_ms", "decode_ms", "whole_ms", "refined_ms")])
    assert measured["whole_ms"] < 1000
