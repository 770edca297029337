"""The reference of features is that of the code, word for word."""

from __future__ import annotations

import csv

from docpages import ROOT, table_rows

from cmrseg.features.definitions import CINE_FEATURES, FEATURES, LGE_FEATURES
from cmrseg.features.table import LEADING

PAGE = ROOT / "docs" / "reference" / "features.md"


def test_every_feature_is_listed_with_unit_name_and_definition() -> None:
    for heading, keys in (("Features of cine", CINE_FEATURES), ("Features of LGE", LGE_FEATURES)):
        expected = [[k, FEATURES[k].unit, FEATURES[k].label, FEATURES[k].definition] for k in keys]
        assert table_rows(PAGE, heading) == expected
    assert [*CINE_FEATURES, *LGE_FEATURES] == [*FEATURES]


def test_every_first_column_is_listed() -> None:
    assert [row[0] for row in table_rows(PAGE, "First columns")] == [*LEADING]


def test_what_is_said_of_acute_infarcts_was_measured() -> None:
    with (ROOT / "benchmarks" / "results" / "acute_features.csv").open(newline="") as file:
        lines = {(r["masks"], r["features"]): r for r in csv.DictReader(file) if r["held_out"] == "cohorts"}
    rows = table_rows(ROOT / "docs" / "how-to" / "make-a-feature-table.md", "What it measured here")
    assert [row[0] for row in rows] == list(dict.fromkeys(name for _, name in lines))
    for name, *cells in rows:
        for masks, shown in zip(("drawn", "gmm"), cells, strict=True):
            area, low, high = (float(lines[masks, name][key]) for key in ("auc", "auc_low", "auc_high"))
            assert shown == f"{area:.2f} ({low:.2f} to {high:.2f})"
