"""What is said of generated LGE is what was measured."""

from __future__ import annotations

import csv

from docpages import ROOT, table_rows

PAGE = ROOT / "docs" / "explanation" / "generated-lge.md"


def measured() -> dict[str, dict[str, str]]:
    with (ROOT / "benchmarks" / "results" / "lge_realism.csv").open(newline="", encoding="utf-8") as file:
        return {row["quantity"]: row for row in csv.DictReader(file)}


def test_the_table_is_that_of_the_benchmark() -> None:
    found = measured()
    rows = table_rows(PAGE, "Real beside generated")
    assert len(rows) >= 10
    for quantity, *cells in rows:
        for group, cell in zip(("real", "generated", "repainted"), cells, strict=True):
            low, middle, high = (found[quantity][f"{group} {p}%"] for p in (5, 50, 95))
            assert cell == f"{middle} ({low} to {high})"


def test_the_areas_under_the_curve_are_those_of_the_benchmark() -> None:
    found = measured()
    rows = table_rows(PAGE, "Telling them apart")
    assert len(rows) == 5
    for name, *cells in rows:
        assert cells == [found[f"AUC {name}, {unit}"]["real 50%"] for unit in ("patches", "patients")]
