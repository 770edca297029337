"""measurements.json and measurements.csv: flat, exact, and harmless to spreadsheets."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_cases import number

from cmrseg.errors import OutputError
from cmrseg.report.tables import CSV_COLUMNS, all_findings, measurements_json, write_csv, write_json
from cmrseg.study import Analysis, Finding, Verdict


def with_values(analysis: Analysis, *values: object) -> Analysis:
    part = analysis.parts[0]
    return replace(analysis, parts=(replace(part, measurements=replace(part.measurements, values=values)),))


def with_verdict(analysis: Analysis, *findings: Finding) -> Analysis:
    return replace(analysis, parts=(replace(analysis.parts[0], verdict=Verdict.of(findings)),))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_json_is_flat_and_rounds_to_two_decimals(written: Analysis, tmp_path: Path) -> None:
    write_json(written, tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert content == {
        "lv_edv_ml": 151.24,
        "lv_esv_ml": 62.4,
        "lv_ef_percent": 48.74,
        "lv_mass_g": 101.06,
        "rv_edv_ml": 161.0,
        "rv_ef_percent": 55.5,
        "lv_co_l_min": None,
        "lv_edvi_ml_m2": 80.25,
        "bsa_m2": 1.88,
        "ed_frame": 0,
        "es_frame": 2,
        "verdict": "pass",
        "verdicts": {"lv": "pass", "rv": "pass", "lge": None},
        "findings": [],
    }
    assert list(content)[-1] == "findings"


def test_json_of_real_measuring_holds_every_key_as_a_scalar(beating: Analysis) -> None:
    content = measurements_json(beating)
    assert {"lv_edv_ml", "rv_esvi_ml_m2", "wall_thickness_ed_aha16_mm", "heart_rate_bpm"} <= set(content)
    assert all(isinstance(v, float | int | str | None) for k, v in content.items() if k not in ("findings", "verdicts"))


def test_values_that_are_not_finite_become_null(written: Analysis) -> None:
    odd = with_values(written, number("a_ml", float("nan"), "mL", "A"), number("b_ml", float("inf"), "mL", "B"))
    assert measurements_json(odd)["a_ml"] is None
    assert measurements_json(odd)["b_ml"] is None


def test_verdict_and_findings_of_reader_and_checks_come_once_gravest_first(written: Analysis) -> None:
    info, review, reject = (Finding(s, s, f"a {s}") for s in ("info", "review", "reject"))  # type: ignore[arg-type]
    analysis = with_verdict(written, review, info, reject)
    analysis = replace(analysis, study=replace(analysis.study, findings=(info, Finding("read", "info", "a note"))))
    assert measurements_json(analysis)["verdict"] == "reject"
    assert [f.code for f in all_findings(analysis)] == ["reject", "review", "info", "read"]
    assert [f["severity"] for f in measurements_json(analysis)["findings"]] == ["reject", "review", "info", "info"]


def test_a_study_without_parts_has_no_numbers(written: Analysis) -> None:
    content = measurements_json(replace(written, parts=()))
    nothing = {"lv": None, "rv": None, "lge": None}
    assert content == {"ed_frame": None, "es_frame": None, "verdict": "pass", "verdicts": nothing, "findings": []}


def test_csv_has_one_row_per_measurement_with_its_range(written: Analysis, tmp_path: Path) -> None:
    write_csv(written, tmp_path / "m.csv")
    rows = rows_of(tmp_path / "m.csv")
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["key"] for row in rows] == [m.key for m in written.parts[0].measurements.values]
    ef = next(row for row in rows if row["key"] == "lv_ef_percent")
    assert (ef["value"], ef["reference_low"], ef["reference_high"]) == ("48.74", "50.0", "70.0")
    assert ef["reference_group"] == "healthy women, 45 to 74 years"
    output = next(row for row in rows if row["key"] == "lv_co_l_min")
    assert (output["value"], output["note"]) == ("", "The study does not give a heart rate.")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n@", "  +"])
def test_csv_text_that_a_spreadsheet_would_run_is_neutralised(written: Analysis, tmp_path: Path, start: str) -> None:
    evil = number("a_ml", 1.0, "mL", f"{start}HYPERLINK(1)", note=f"{start}2+3")
    write_csv(with_values(written, evil), tmp_path / "m.csv")
    (row,) = rows_of(tmp_path / "m.csv")
    assert row["label"] == f"'{start.strip()}HYPERLINK(1)"
    assert row["note"] == f"'{start.strip()}2+3"


def test_csv_leaves_negative_numbers_alone(written: Analysis, tmp_path: Path) -> None:
    write_csv(with_values(written, number("a_ml", -3.456, "mL", "A")), tmp_path / "m.csv")
    assert rows_of(tmp_path / "m.csv")[0]["value"] == "-3.46"


def test_a_folder_that_cannot_be_is_an_output_error(written: Analysis, tmp_path: Path) -> None:
    (tmp_path / "missing").write_text("a file in the way")
    with pytest.raises(OutputError, match=r"m\.csv could not be written"):
        write_csv(written, tmp_path / "missing" / "m.csv")
