"""Boxes that decide something themselves."""

import math

import pytest

from cmrseg.study import Measurement, ReferenceRange

HEALTHY = ReferenceRange(60.0, 5.0, "healthy men", "a table")  # 50 to 70


@pytest.mark.parametrize(
    ("value", "error", "outside"),
    [
        (49.0, None, "below"),
        (71.0, None, "above"),
        (50.0, None, ""),
        (47.0, 4.0, ""),
        (46.0, 4.0, ""),
        (45.9, 4.0, "below"),
        (74.0, 4.0, ""),
        (74.1, 4.0, "above"),
        (None, 4.0, ""),
        (math.nan, 4.0, ""),
    ],
)
def test_a_value_is_outside_by_more_than_its_own_error(value, error, outside):
    assert Measurement("k", value, "%", "EF", "", "", HEALTHY, error=error).outside == outside


def test_without_a_range_nothing_is_outside():
    assert Measurement("k", 5.0, "%", "EF", "", "").outside == ""
