"""Figures that the pages of results quote are those of the stored tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A page, a stored table, and the column whose percentage each of its rows has there.
QUOTED = [
    ("cardiosam-results.md", "cardiosam-table1.csv", "dice_mean"),
    ("cardiosam-results.md", "cardiosam-table5.csv", "dice_mean"),
    ("cardiosam-results.md", "cardiosam-table6.csv", "dice_mean"),
    ("scarnet-results.md", "scarnet-agreement.csv", "dice_scar"),
    ("scarnet-results.md", "scarnet-training-size.csv", "dice_scar"),
    ("scarnet-results.md", "scarnet-ablation.csv", "dice_scar"),
    ("detector-sam-results.md", "yolosam-kl-weight.csv", "dice_scar"),
    ("detector-sam-results.md", "yolosam-context.csv", "dice_scar"),
    ("detector-sam-results.md", "yolosam-acute-errors.csv", "dice_scar_with_scar"),
    ("detector-sam-results.md", "yolosam-cohort-holdout.csv", "dice_scar_with_scar"),
]


@pytest.mark.parametrize(("page", "table", "column"), QUOTED)
def test_each_measured_row_stands_on_its_page_with_its_figure(page: str, table: str, column: str) -> None:
    lines = (ROOT / "docs" / "explanation" / page).read_text("utf-8").splitlines()
    with (ROOT / "benchmarks" / "results" / table).open(newline="") as file:
        # oracles have a column there, and no row
        measured = [row for row in csv.DictReader(file) if row[column] and not row["name"].endswith("ORACLE boxes")]
    assert measured
    for row in measured:
        figure = f"{100 * float(row[column]):.1f}"
        assert any(line.startswith(f"| {row['name']} |") and figure in line for line in lines), row["name"]
