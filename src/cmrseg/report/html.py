"""One self-contained report.html: no file beside it, nothing from the network, nothing executed but its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import cmrseg
from cmrseg.io.files import write_text
from cmrseg.qc.together import PAIR_RULES
from cmrseg.report.cine_page import CinePage, cine_page
from cmrseg.report.lge_page import LgePage, lge_page
from cmrseg.report.provenance import files_of, finished, run_lines, trace
from cmrseg.report.stack import rules_by_group
from cmrseg.report.summary import summary_of
from cmrseg.report.tables import all_findings
from cmrseg.report.together import side_by_side
from cmrseg.report.values import number
from cmrseg.report.words import ABBREVIATIONS, STATUS_WORDS
from cmrseg.study import Analysis, Kind, Part, Patient, Verdict
from cmrseg.text import encodable

#: What builds the page of each kind of stack. A page names its own template.
PAGES: Mapping[Kind, Callable[[Part], CinePage | LgePage]] = {"cine": cine_page, "lge": lge_page}
#: Badge and first sentence of every verdict: on the segmentation, not on the heart.
VERDICTS = {
    "pass": (
        "Segmentation checks passed",
        "No check of the segmentation asks for a review. Look at the contours all the same: checks miss errors.",
    ),
    "review": ("Review needed", "A person must look at the following before the numbers are used."),
    "reject": ("Do not use", "The result cannot be trusted and must not be used, for these reasons."),
}
#: What every printed page says at its top: the study, and which page of how many it is.
PRINTED_HEADER = """
@media print { @page {
  @top-left { content: "%(name)s"; font: 600 8.5pt sans-serif; color: #16202c; }
  @top-right { content: "page " counter(page) " of " counter(pages); font: 8.5pt sans-serif; color: #444; }
} }
"""
_POLICY = (
    "default-src 'none'; img-src data:; script-src '{script}'; style-src '{style}'; base-uri 'none'; form-action 'none'"
)


def write_report(analysis: Analysis, path: Path) -> None:
    """Write the report of a study.

    Args:
        analysis: any analysed study; missing numbers, empty masks and single frames are said, not left out.
        path: the HTML file to write; its folder is made if need be.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, render(analysis))


def render(analysis: Analysis) -> str:
    """The report as HTML text; everything that comes from the study is escaped."""
    script = _asset("cine.js")
    style = _asset("report.css") + PRINTED_HEADER % {"name": css_text(analysis.study.name)}
    environment = Environment(
        loader=PackageLoader("cmrseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdict = analysis.verdict.status
    badge, advice = VERDICTS[verdict]
    findings = all_findings(analysis)
    pages = [PAGES[part.image.kind](part) for part in analysis.parts]
    pairs = side_by_side(analysis)
    checked = [(page.title, page.rules) for page in pages]
    if pairs:
        checked.append(("both stacks", rules_by_group(PAIR_RULES)))
    return environment.get_template("report.html.j2").render(
        name=analysis.study.name,
        version=cmrseg.__version__,
        verdict=verdict,
        badge=badge,
        advice=advice,
        summary=summary_of(analysis),
        notes=[finding for finding in findings if finding.severity == "info"],
        where=analysis.where,
        reasons=Verdict.of(findings).reasons,
        facts=_facts(analysis.study.patient),
        pages=pages,
        statuses=[part.verdict.status for part in analysis.parts],
        pairs=pairs,
        checked=checked,
        rules_number=sum(len(rules) for _, groups in checked for rules in groups.values()),
        status_words=STATUS_WORDS,
        abbreviations=ABBREVIATIONS,
        run_lines=run_lines(analysis),
        finished=finished(analysis),
        trace=trace(analysis),
        files=files_of(analysis),
        script=Markup(script),
        style=Markup(style),
        policy=_POLICY.format(script=_hash(script), style=_hash(style)),
    )


def css_text(text: str) -> str:
    """A text inside the quotes of a style sheet; whatever could end them, or the sheet, is written as its code."""
    plain = encodable(text)
    return "".join(c if c.isascii() and (c.isalnum() or c in " _-") else f"\\{ord(c):06x}" for c in plain)


def _asset(name: str) -> str:
    return files("cmrseg.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that lets exactly this inline text run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _facts(patient: Patient) -> tuple[str, ...]:
    """What is known of the patient, in a few words each."""
    entries = (
        {"F": "female", "M": "male"}.get(patient.sex or ""),
        patient.age_years is not None and f"{number(patient.age_years, 0)} years",
        patient.height_cm is not None and f"{number(patient.height_cm, 0)} cm",
        patient.weight_kg is not None and f"{number(patient.weight_kg, 0)} kg",
    )
    return tuple(e for e in entries if e)
