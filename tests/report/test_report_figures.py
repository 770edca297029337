"""Drawn figures: every position follows from the number it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.report.figures import bulls_eye, curve_chart, evenly, nice_ticks, range_bar, segment_values
from cmrseg.study import Measurements, ReferenceRange

REFERENCE = ReferenceRange(100.0, 10.0, "healthy people", "Somebody 2017")


def chart_of(times: np.ndarray | None = None, **curves: list[float]):  # type: ignore[no-untyped-def]
    arrays = {name: np.array(values) for name, values in curves.items()}
    return curve_chart(Measurements("cine", (), ed_frame=0, es_frame=2, curves_ml=arrays), times)


def test_points_of_a_curve_stand_at_their_time_and_volume() -> None:
    chart = chart_of(np.array([10.0, 110.0, 210.0, 410.0]), lv_cavity=[150.0, 100.0, 50.0, 150.0])
    (curve,) = chart.curves
    x, y = np.array(curve.points).T
    zero, top = (next(t for t in chart.y_ticks if t.text == text).at for text in ("0", "150"))
    assert (zero, top) == pytest.approx((chart.bottom, chart.top))
    assert y == pytest.approx([top, zero + (top - zero) * 2 / 3, zero + (top - zero) / 3, top])
    assert (x - chart.left) / (chart.right - chart.left) == pytest.approx([0, 0.25, 0.5, 1.0])
    assert [(m.text, m.at) for m in chart.marks] == [("ED", x[0]), ("ES", x[2])]
    assert chart.frame_x == pytest.approx(x, abs=0.01)
    assert "ms" in chart.x_title


def test_without_times_the_axis_counts_frames() -> None:
    chart = chart_of(lv_cavity=[3.0, 2.0, 1.0])
    assert chart.x_title == "Frame"
    assert [t.text for t in chart.x_ticks] == ["1", "2", "3"]
    assert [t.at for t in chart.x_ticks] == pytest.approx(chart.frame_x, abs=0.01)
    many = chart_of(lv_cavity=[float(k) for k in range(20)])
    assert [t.text for t in many.x_ticks] == ["1", "5", "10", "15", "20"]


def test_names_at_the_end_of_curves_never_stand_on_each_other() -> None:
    chart = chart_of(lv_cavity=[9.0, 1.0, 5.0], rv_cavity=[9.0, 1.0, 5.0], lv_myocardium=[9.0, 1.0, 5.1])
    places = sorted(c.label_y for c in chart.curves)
    assert min(np.diff(places)) >= 14.0


def test_frames_that_were_not_measured_break_the_line() -> None:
    chart = chart_of(lv_cavity=[100.0, np.nan, 50.0, 60.0], rv_cavity=[np.nan] * 4)
    (curve,) = chart.curves
    assert curve.title == "LV"
    assert len(curve.points) == 3
    assert [letter for letter in curve.path if letter.isalpha()] == ["M", "M", "L"]


@pytest.mark.parametrize("curves", [{}, {"lv_cavity": [120.0]}, {"lv_cavity": [0.0, 0.0]}, {"lv_cavity": [np.nan] * 3}])
def test_there_is_no_chart_where_there_is_nothing_to_draw(curves: dict[str, list[float]]) -> None:
    assert chart_of(**curves) is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 187, [0, 50, 100, 150, 200]), (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 5, [0, 1, 2, 3, 4, 5])],
)
def test_ticks_are_round_and_span_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(ticks)


def test_range_bar_is_to_scale_and_ends_at_its_ends() -> None:
    at = {v: range_bar(v, REFERENCE) for v in (80.0, 100.0, 120.0, 1e6, -1e6)}
    assert at[80.0].value == pytest.approx(at[80.0].low)  # type: ignore[union-attr]
    assert at[120.0].value == pytest.approx(at[120.0].high)  # type: ignore[union-attr]
    assert at[100.0].value == pytest.approx(50.0)  # type: ignore[union-attr]
    assert (at[1e6].value, at[-1e6].value) == (98.0, 2.0)  # type: ignore[union-attr]


def test_there_is_no_range_bar_without_value_or_range() -> None:
    assert range_bar(None, REFERENCE) is None
    assert range_bar(1.0, None) is None
    assert range_bar(1.0, ReferenceRange(1.0, 0.0, "", "")) is None


def test_bulls_eye_has_anterior_on_top_septum_on_the_left_and_base_outside() -> None:
    values = np.arange(1.0, 17.0)
    values[4] = np.nan
    sectors = {s.number: s for s in bulls_eye(values, evenly(4.0, 16.0))}
    assert sorted(sectors) == list(range(1, 17))
    for top, bottom in ((1, 4), (7, 10), (13, 15)):
        assert sectors[top].y < 0 < sectors[bottom].y
        assert sectors[top].x == pytest.approx(0, abs=1e-9)
    for septal, lateral in ((2, 6), (3, 5), (8, 12), (9, 11), (14, 16)):
        assert sectors[septal].x < 0 < sectors[lateral].x
    assert sectors[2].y < 0 < sectors[3].y
    radius = {n: np.hypot(s.x, s.y) for n, s in sectors.items()}
    assert radius[1] > radius[7] > radius[13]
    assert (sectors[5].value, sectors[5].level) == (None, 0.0)
    assert (sectors[4].level, sectors[10].level, sectors[16].level) == (0.0, 0.5, 1.0)
    assert sectors[2].name == "basal anteroseptal"


def test_segments_that_hold_nothing_are_no_table() -> None:
    assert segment_values({}, "wall") is None
    assert segment_values({"wall": np.full(16, np.nan)}, "wall") is None
    assert segment_values({"wall": np.ones(16)}, "wall") is not None
