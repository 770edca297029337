"""Measurements for machines: a flat JSON and a CSV with one row per number."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

from cmrseg.io.files import write_text
from cmrseg.quantify.definitions import ventricle_of_key
from cmrseg.study import VENTRICLES, Analysis, Finding, Measurement, Part
from cmrseg.text import json_text

#: Decimals kept in files: below the precision of any cardiac measurement, so nothing of meaning is lost.
DECIMALS = 2
CSV_COLUMNS = (
    "key",
    "label",
    "value",
    "unit",
    "reference_low",
    "reference_high",
    "reference_group",
    "error",
    "outside",
    "verdict",
    "definition",
    "source",
    "note",
)
#: First characters that make a spreadsheet take a cell for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")


def measurements_json(analysis: Analysis) -> dict[str, Any]:
    """The numbers of a study as one flat mapping.

    Args:
        analysis: any analysed study.

    Returns:
        One entry per measurement under its key (float with two decimals, or None where it cannot be known), then
        `ed_frame` and `es_frame` (counted from 0; None without a cine), `verdict` of the whole study, `verdicts` on
        the numbers of ``lv``, ``rv`` (of the cine) and ``lge`` alone (None without), and last `findings`, a list of
        mappings with code, severity, message, where (as a person reads it), kind, ventricle, and the indices frame and
        slice (from 0). Without parts, only these last entries.
    """
    cine = analysis.part("cine")
    return {
        **{m.key: _rounded(m.value) for m in _measurements(analysis)},
        "ed_frame": cine.measurements.ed_frame if cine else None,
        "es_frame": cine.measurements.es_frame if cine else None,
        "verdict": analysis.verdict.status,
        "verdicts": verdicts(analysis),
        "findings": [
            {
                **{"code": f.code, "severity": f.severity, "message": f.message, "where": analysis.where(f)},
                **{"kind": f.kind, "ventricle": f.ventricle, "frame": f.frame, "slice": f.slice},
            }
            for f in all_findings(analysis)
        ],
    }


def verdicts(analysis: Analysis) -> dict[str, str | None]:
    """The verdict on the numbers of each ventricle of the cine, and on those of the LGE stack; None without them."""
    cine, lge = analysis.part("cine"), analysis.part("lge")
    return {
        **{side: cine.verdict.of_ventricle(side).status if cine else None for side in VENTRICLES},
        "lge": lge.verdict.of_ventricle("lv").status if lge else None,
    }


def write_json(analysis: Analysis, path: Path) -> None:
    """Write `measurements_json` to a file; raises OutputError when it cannot be written."""
    write_text(path, json_text(measurements_json(analysis)) + "\n")


def write_csv(analysis: Analysis, path: Path) -> None:
    """Write one row per measurement, with `CSV_COLUMNS` as header; an unknown value is an empty cell.

    Text that a spreadsheet would run as a formula gets an apostrophe in front, and control characters become spaces;
    numbers stay as they are.
    Raises OutputError when the file cannot be written.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for part in analysis.parts:
        writer.writerows([cell(content) for content in _row(m, part)] for m in part.measurements.values)
    write_text(path, buffer.getvalue())


def all_findings(analysis: Analysis) -> tuple[Finding, ...]:
    """What quality control found and what the reader noticed, each once, gravest first."""
    findings = dict.fromkeys((*analysis.verdict.findings, *analysis.study.findings))
    gravity = {"reject": 0, "review": 1, "info": 2}
    return tuple(sorted(findings, key=lambda finding: gravity[finding.severity]))


def _measurements(analysis: Analysis) -> tuple[Measurement, ...]:
    return tuple(m for part in analysis.parts for m in part.measurements.values)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), DECIMALS)


def _row(measurement: Measurement, part: Part) -> tuple[str | float | None, ...]:
    reference, ventricle = measurement.reference, ventricle_of_key(measurement.key)
    verdict = part.verdict.of_ventricle(ventricle) if ventricle else part.verdict
    return (
        measurement.key,
        measurement.label,
        _rounded(measurement.value),
        measurement.unit,
        _rounded(reference.low) if reference else None,
        _rounded(reference.high) if reference else None,
        reference.group if reference else "",
        _rounded(measurement.error),
        measurement.outside,
        verdict.status,
        measurement.definition,
        measurement.source,
        measurement.note,
    )


def cell(content: str | float | None) -> str | float | None:
    """Content of a CSV cell: text without control characters, and nothing that a spreadsheet would run."""
    if not isinstance(content, str):
        return content
    text = _CONTROL_CHARACTERS.sub(" ", content).strip()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
