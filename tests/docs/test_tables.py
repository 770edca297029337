"""Tables of the documentation say what the code does."""

from __future__ import annotations

import numpy as np
import pytest
from docpages import ROOT, table_rows

import cmrseg.errors
from cmrseg.errors import REFUSAL_CODES, CmrsegError, InputRefused
from cmrseg.geometry import Geometry
from cmrseg.labels import CANONICAL_NAMES, CINE, SCHEMES
from cmrseg.quantify import definitions, measure
from cmrseg.report.tables import CSV_COLUMNS, measurements_json
from cmrseg.study import Analysis, Image, Part, Segmentation, Study, Verdict

DOCS = ROOT / "docs"


def test_every_refusal_code_is_explained() -> None:
    rows = table_rows(DOCS / "how-to" / "refusals.md", "Refusal codes")
    assert [row[0] for row in rows] == list(REFUSAL_CODES)
    assert all(len(row) == 4 and all(row) for row in rows)


def test_every_other_error_is_explained_with_its_exit_code() -> None:
    rows = table_rows(DOCS / "how-to" / "refusals.md", "Other errors")
    kinds = {k for k in vars(cmrseg.errors).values() if isinstance(k, type) and issubclass(k, CmrsegError)}
    expected = {k.__name__: str(k.exit_code) for k in kinds - {CmrsegError, InputRefused}}
    assert {row[0]: row[1] for row in rows} == expected


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_every_label_scheme_is_shown_with_its_numbers(scheme: cmrseg.labels.LabelScheme) -> None:
    rows = table_rows(DOCS / "reference" / "label-schemes.md", "Schemes")
    assert {row[0] for row in rows} == set(SCHEMES)
    (row,) = (row for row in rows if row[0] == scheme.name)
    shown = {name: int(cell) for name, cell in zip(CANONICAL_NAMES, row[1:], strict=True) if cell}
    assert shown == dict(scheme.numbers)


def test_every_measurement_is_listed_with_its_unit_and_name() -> None:
    rows = table_rows(DOCS / "reference" / "outputs.md", "Measurements")
    assert [row[:3] for row in rows] == [[key, d.unit, d.label] for key, d in definitions.CINE.items()]
    assert all(len(row) == 4 and row[3] for row in rows)


def test_every_other_key_is_listed() -> None:
    image = Image("cine", np.zeros((1, 1, 2, 2), np.float32), Geometry.from_spacing((1, 1, 8), (2, 2, 1)))
    empty = Segmentation(np.zeros((1, 1, 2, 2), np.uint8), CINE, image.geometry)
    part = Part(image, empty, measure(empty), Verdict("pass"))
    written = measurements_json(Analysis(Study("s", ROOT, (image,)), (part,)))
    measured = {row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Measurements")}
    others = {row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Other keys")}
    assert set(written) == measured | others
    assert not measured & others


def test_every_csv_column_is_listed() -> None:
    assert tuple(row[0] for row in table_rows(DOCS / "reference" / "outputs.md", "Columns")) == CSV_COLUMNS
