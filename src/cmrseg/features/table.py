"""Features as a table: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.extras import is_installed
from cmrseg.features.definitions import FEATURES
from cmrseg.features.patient import features_of
from cmrseg.features.sources import FeatureCase
from cmrseg.io.files import output_file, refuse_unwritable
from cmrseg.text import printable

#: Columns before the features.
LEADING = ("id", "source", "verdict")
FORMATS = (".csv", ".parquet")

Row = dict[str, str | float | None]


def row_of(case: FeatureCase) -> Row:
    """One patient's row: every column of `LEADING` and `FEATURES`.

    A stack that is not there has no values, and nothing has that quality control rejected: what must not be used must
    not be used by accident.
    """
    row: Row = {
        "id": printable(case.case_id),
        "source": case.source,
        "verdict": case.verdict,
        **dict.fromkeys(FEATURES),
    }
    if case.verdict != "reject":
        for stack in case.stacks:
            row.update(features_of(stack.segmentation, stack.image))
    return row


def check_table(path: Path) -> None:
    """Refuse a table that could not be written, before the work.

    Raises:
        UsageError: another ending, or Parquet without pyarrow.
        OutputError: nothing can be written there.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"A table is not written as {path.suffix or 'a file without ending'}.", "End it .csv or .parquet."
        )
    if path.suffix.lower() == ".parquet" and not is_installed("pyarrow"):
        raise UsageError("Parquet needs pyarrow.", "pip install 'cmrseg[parquet]', or write .csv.")
    refuse_unwritable(path, file=True)


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write rows of `row_of`; the table appears whole or not at all. What is not known is an empty cell, or null.

    Raises:
        UsageError: as `check_table`.
        OutputError: as `check_table`, or writing failed.
    """
    check_table(path)
    with output_file(path) as partial:
        if path.suffix.lower() == ".parquet":
            _write_parquet(rows, partial)
        else:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, [*LEADING, *FEATURES])
                writer.writeheader()
                writer.writerows(rows)


def _write_parquet(rows: Sequence[Row], path: Path) -> None:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    fields = [(name, arrow.string()) for name in LEADING] + [(name, arrow.float64()) for name in FEATURES]
    units = {f"unit.{key}": definition.unit for key, definition in FEATURES.items()}
    schema = arrow.schema(fields, metadata=units)
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
