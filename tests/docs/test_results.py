"""Figures that the README quotes are those that were measured on the bundle that ships."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

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
