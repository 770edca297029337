"""Figures that the README quotes are those that were measured on the bundle that ships."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from docpages import table_rows

from cmrseg.quantify import definitions
from cmrseg.quantify.measurement_errors import ERRORS
from cmrseg.quantify.reference_tables import TABLES
from cmrseg.segment.bundle import load

ROOT = Path(__file__).parents[2]


def section() -> str:
    """The part of the README between the comments."""
    text = (ROOT / "README.md").read_text("utf-8")
    return text.split("<!-- measured-results", 1)[1].split("<!-- /measured-results", 1)[0]


@pytest.mark.parametrize("structure", ["lv_cavity", "rv_cavity", "lv_myocardium"])
def test_dice_is_that_of_the_bundle(structure: str) -> None:
    measured = load("cine").manifest["measured"]["held_out"]
    for phase in ("ed", "es"):
        assert f"{measured[f'dice_{structure}_{phase}']:.3f}" in section()


def test_means_errors_and_counts_are_those_of_the_bundle() -> None:
    measured = load("cine").manifest["measured"]["held_out"]
    text = section()
    for figure in (
        f"{measured['dice_mean']:.3f}",
        f"{measured['dice_sd']:.3f}",
        f"{measured['lv_ef_mae_points']:.1f}",
        f"{measured['rv_ef_mae_points']:.1f}",
        f"{measured['n']} patients",
    ):
        assert figure in text


def test_other_figures_are_those_of_the_stored_runs() -> None:
    text = section()
    sunnybrook = json.loads((ROOT / "benchmarks" / "results" / "sunnybrook.json").read_text())
    assert f"{sunnybrook['lv_cavity_dice_all_contoured_pixels']:.3f}" in text
    assert f"{sunnybrook['seconds_import_excluded']:.1f} s" in text
    speeds = json.loads((ROOT / "benchmarks" / "results" / "runtimes.json").read_text())["speeds"]
    assert all(f"{row['ratio']:.1f}" in text for name, row in speeds.items() if name != "torch")
    assert sunnybrook["bundle"] == load("cine").version


def test_what_is_said_of_referral_is_in_the_table() -> None:
    with (ROOT / "benchmarks" / "results" / "referral.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    low = [row for row in rows if float(row["dice_mean"]) < 0.9]
    off = [row for row in rows if abs(float(row["lv_ef_error_points"])) > 5]
    referred = [row for row in rows if row["verdict"] != "pass"]
    page = " ".join((ROOT / "docs" / "explanation" / "quality-control.md").read_text("utf-8").split())
    assert f"On the {len(rows)} patients" in page
    assert f"{len(referred)} were sent to a person" in page
    assert f"{sum(r in referred for r in low)} of the {len(low)} whose mean Dice" in page
    assert f"{sum(r in referred for r in off)} of the {len(off)} whose LVEF" in page
    assert f"{sum(r in referred for r in low)} of the {len(low)} with a mean Dice under 0.9" in section()
    rv_off = [row for row in rows if abs(float(row["rv_ef_error_points"])) > 9]
    rv_low = [row for row in rows if min(float(row["dice_rv_ed"]), float(row["dice_rv_es"])) < 0.85]
    doubted = [row for row in rows if row["verdict_rv"] != "pass"]
    others = [row for row in rows if row not in rv_off and row not in rv_low]
    assert f"{sum(r in doubted for r in rv_off)} of the {len(rv_off)} whose RVEF" in page
    assert f"{sum(r in doubted for r in rv_low)} of the {len(rv_low)} whose RV has" in page
    assert f"{sum(r in doubted for r in others)} of the {len(others)} with neither" in page
    # the aim: most right ventricles that are off are seen
    assert sum(r in doubted for r in rv_off) > 0.5 * len(rv_off)


def test_what_is_said_of_the_experts_is_in_the_table() -> None:
    with (ROOT / "benchmarks" / "results" / "referral_experts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = " ".join((ROOT / "docs" / "explanation" / "quality-control.md").read_text("utf-8").split())
    counts = [sum(row[key] != "pass" for row in rows) for key in ("verdict", "verdict_lv", "verdict_rv")]
    assert len(rows) == 100
    assert f"{counts[0]} % are sent to a person: {counts[1]} % for the LV, {counts[2]} % for the RV" in page
    assert counts[0] <= 25


def test_errors_of_measurements_are_those_of_the_table_and_the_page() -> None:
    with (ROOT / "benchmarks" / "results" / "referral.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = ROOT / "docs" / "explanation" / "indexing-and-reference-ranges.md"
    shown = {row[0]: row[1] for row in table_rows(page, "When a number is flagged")}
    assert shown == {key: f"{error:.1f} {definitions.CINE[key].unit}" for key, error in ERRORS.items()}
    assert {key for table in TABLES for key in table.values} == set(ERRORS)
    for key, error in ERRORS.items():
        differences = [float(row[f"error_{key}"]) for row in rows if row[f"error_{key}"]]
        rms = (sum(d * d for d in differences) / len(differences)) ** 0.5
        assert rms == pytest.approx(error, abs=0.06), key
