"""The page about metrics says what the code does."""

from __future__ import annotations

from dataclasses import asdict

from docpages import ROOT, table_rows

from cmrseg.evaluate.metrics import METRICS
from cmrseg.evaluate.taxonomy import DEFAULT_LIMITS, DEFINITIONS

PAGE = ROOT / "docs" / "explanation" / "metrics.md"


def test_every_metric_is_defined_as_in_the_code() -> None:
    assert [row[:3] for row in table_rows(PAGE, "Metrics")] == [
        [name, metric.unit, metric.definition] for name, metric in METRICS.items()
    ]


def test_every_kind_of_error_and_every_limit_is_that_of_the_code() -> None:
    rows = table_rows(PAGE, "Kinds of error")
    assert rows[: len(DEFINITIONS)] == [list(item) for item in DEFINITIONS.items()]
    assert [row[:2] for row in rows[len(DEFINITIONS) :]] == [[k, f"{v:g}"] for k, v in asdict(DEFAULT_LIMITS).items()]
