"""The reference of features is that of the code, word for word."""

from __future__ import annotations

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
