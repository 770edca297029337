"""The report on paper, on a narrow screen and in the dark."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import opened
from report_page import EVIL

from cmrseg.report.html import css_text, render, write_report
from cmrseg.study import Analysis, Finding, Verdict
from cmrseg.text import encodable

#: A screen of a telephone.
NARROW_PX = 390


def pages_of(chromium: Any, path: Path) -> list[str]:
    """Text of every printed page."""
    pypdf = pytest.importorskip("pypdf")
    with opened(chromium, path) as page:
        printed = page.pdf(prefer_css_page_size=True, print_background=True)
    return [sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(printed)).pages]


def test_every_printed_page_says_whose_it_is_and_which(chromium: Any, report_file: Path) -> None:
    pages = pages_of(chromium, report_file)
    assert len(pages) in (2, 3)
    for number, text in enumerate(pages, start=1):
        flat = " ".join(text.split())
        assert f"beating page {number} of {len(pages)}" in flat
        assert "Research use only; not a medical device." in flat
    printed = " ".join(pages)
    for words in ("LVEF", "Quality control", "Function over the beat", "All measurements", "How it was computed"):
        assert words in printed
    for words in ("Click a slice", "What was checked", "SHA-256"):
        assert words not in printed


@pytest.mark.parametrize("name", ["Müller 1", 'a"b', "*/}</style><b>", "\\", "a" * 80, "x\udce9y", EVIL])
def test_any_name_of_a_study_is_printed_as_it_is(chromium: Any, beating: Analysis, tmp_path: Path, name: str) -> None:
    analysis = replace(beating, study=replace(beating.study, name=name))
    html = render(analysis)
    assert html.count("</style>") == 1
    write_report(analysis, tmp_path / "report.html")
    first = " ".join(pages_of(chromium, tmp_path / "report.html")[0].split())
    assert f"{' '.join(encodable(name).split())} page 1 of" in first


def test_names_in_the_style_sheet_are_letters_or_codes() -> None:
    assert css_text("ab 1_-") == "ab 1_-"
    assert css_text('é"\n') == "\\0000e9\\000022\\00000a"


@pytest.mark.parametrize("status", ["pass", "reject"])
def test_a_telephone_scrolls_down_only(
    chromium: Any, report_file: Path, beating: Analysis, tmp_path: Path, status: str
) -> None:
    path = report_file
    if status == "reject":
        finding = Finding("broken", "reject", "w" * 90 + " is broken.", kind="cine", frame=3, slice=2)
        part = replace(beating.parts[0], verdict=Verdict.of((finding,)))
        study = replace(beating.study, name="a_very_long_name_of_a_study_" * 8)
        path = tmp_path / "report.html"
        write_report(replace(beating, study=study, parts=(part,)), path)
    with opened(chromium, path, NARROW_PX) as page:
        for fold in page.locator("details").all():
            fold.evaluate("fold => fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW_PX
        outside = page.evaluate(
            """() => [...document.querySelectorAll("main *")].filter(e => e.checkVisibility()
                && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
        )
        assert outside == []


def _luminance(colour: str) -> float:
    channels = [float(v) / 255 for v in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(chromium: Any, report_file: Path, scheme: str) -> None:
    """A contrast of 4.5 at least, the limit of WCAG 2.2 for running text; what lies on images is left out."""
    with opened(chromium, report_file, color_scheme=scheme) as page:
        pairs = page.evaluate(
            """() => {
              const ground = (e) => {
                for (; e; e = e.parentElement) {
                  const colour = getComputedStyle(e).backgroundColor;
                  if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
                }
                return "rgb(255, 255, 255)";
              };
              const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
              return [...document.querySelectorAll("body *")]
                .filter((e) => own(e) && e.checkVisibility() && !e.closest(".tile, .eye, script, style, option"))
                .map((e) => {
                  const style = getComputedStyle(e);
                  return [e.outerHTML.slice(0, 60), e.closest("svg") ? style.fill : style.color, ground(e)];
                });
            }"""
        )
    assert len(pairs) > 100
    assert {_luminance(ground) > 0.5 for text, _, ground in pairs if "footnote" in text} == {scheme == "light"}
    weak = []
    for text, ink, ground in pairs:
        dark, bright = sorted((_luminance(ink), _luminance(ground)))
        if (bright + 0.05) / (dark + 0.05) < 4.5:
            weak.append((text, ink, ground))
    assert weak == []
