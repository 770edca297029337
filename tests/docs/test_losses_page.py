"""The page on losses names every setting of a loss with its default and range, and the sums as they are."""

from __future__ import annotations

import dataclasses

from docpages import ROOT, table_rows

from cmrseg.losses.composite import DICE_CE, PAPER, LossConfig
from cmrseg.train.space import Continuous

PAGE = ROOT / "docs" / "explanation" / "losses.md"


def test_every_setting_is_listed_with_its_default_and_range() -> None:
    expected = []
    for field in dataclasses.fields(LossConfig):
        space = field.metadata.get("tune")
        reach = f"{space.low} to {space.high}" if isinstance(space, Continuous) else ""
        expected.append([field.name, str(field.default), reach])
    rows = table_rows(PAGE, "Settings")
    assert [row[:3] for row in rows] == expected
    assert all(row[3] for row in rows)


def test_named_sums_have_their_weights() -> None:
    names = ("dice", "cross_entropy", "focal", "boundary", "structural", "contour")
    for row, loss in zip(table_rows(PAGE, "Sums with a name"), (DICE_CE, PAPER), strict=True):
        assert [float(cell) for cell in row[1:]] == [getattr(loss, name) for name in names]
        assert all(getattr(loss, f.name) == f.default for f in dataclasses.fields(loss) if f.name not in names)
