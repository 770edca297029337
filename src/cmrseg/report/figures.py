"""Positions of what the drawn figures show: volume-time curves, range bars, bull's-eye. Templates draw them as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.numbering import frame_number
from cmrseg.study import Measurements, ReferenceRange

#: Names, colours (keys of the style sheet) and label names of the curves, in the order of the legend.
CURVES = (("LV", "endo", "lv_cavity"), ("RV", "rv", "rv_cavity"), ("Myocardium", "epi", "lv_myocardium"))


@dataclass(frozen=True)
class Tick:
    """A labelled position along an axis, in units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its colour key, its points as SVG path data, and where its name stands."""

    title: str
    key: str
    path: str
    points: tuple[tuple[float, float], ...]
    label_y: float


@dataclass(frozen=True)
class CurveChart:
    """Volume-time curves in a drawing of `width` x `height` units.

    Args:
        x_title: ``Time after the R wave (ms)``, or ``Frame`` where times are not known; frames count from 1.
        frame_x: horizontal position of every frame, for the line that follows the cine.
        marks: end-diastole and end-systole.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    marks: tuple[Tick, ...]
    frame_x: tuple[float, ...]


@dataclass(frozen=True)
class RangeBar:
    """A value on a line from 0 to 100 with the healthy interval shaded."""

    low: float
    high: float
    value: float


@dataclass(frozen=True)
class Sector:
    """One segment of the bull's-eye: its outline, where its number stands, and its colour level 0 to 1."""

    number: int
    name: str
    path: str
    x: float
    y: float
    value: float | None
    level: float


def curve_chart(
    measurements: Measurements, frame_times_ms: NDArray[np.float64] | None, width: float = 460, height: float = 300
) -> CurveChart | None:
    """Chart of the volumes over the beat, NaN where a frame was not measured.

    None with fewer than two frames, or where nothing has a volume.
    """
    curves = {title: measurements.curves_ml[name] for title, _, name in CURVES if name in measurements.curves_ml}
    frames = max((len(c) for c in curves.values()), default=0)
    highest = max((float(np.max(c[np.isfinite(c)], initial=0.0)) for c in curves.values()), default=0.0)
    if frames < 2 or not highest > 0:
        return None
    left, right, top, bottom = 44.0, width - 92.0, 26.0, height - 42.0
    counted = frame_number(0) + np.arange(frames, dtype=float)
    times = counted if frame_times_ms is None else np.asarray(frame_times_ms, float)
    y_values = nice_ticks(0.0, highest, 5)
    x_values = nice_ticks(float(times[0]), float(times[-1]), 6, whole=True)
    if frame_times_ms is None:  # the first frame instead of a frame 0
        x_values = list(dict.fromkeys(max(v, times[0]) for v in x_values))
    x_at = left + (times - times[0]) / (times[-1] - times[0]) * (right - left)

    def y_at(value: float) -> float:
        return bottom - value / y_values[-1] * (bottom - top)

    drawn = [
        _curve(title, key, x_at, [y_at(float(v)) for v in curves[title]])
        for title, key, _ in CURVES
        if np.isfinite(curves.get(title, np.nan)).any()
    ]
    marked = (("ED", measurements.ed_frame), ("ES", measurements.es_frame))
    return CurveChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_title="Frame" if frame_times_ms is None else "Time after the R wave (ms)",
        x_ticks=tuple(
            Tick(left + (v - times[0]) / (times[-1] - times[0]) * (right - left), f"{v:g}")
            for v in x_values
            if times[0] <= v <= times[-1]
        ),
        y_ticks=tuple(Tick(y_at(v), f"{v:g}") for v in y_values),
        curves=_with_labels_apart(drawn),
        marks=tuple(Tick(float(x_at[frame]), name) for name, frame in marked if frame is not None),
        frame_x=tuple(round(float(x), 2) for x in x_at),
    )


def _curve(title: str, key: str, x_at: NDArray[np.float64], y_at: list[float]) -> Curve:
    """A line through neighbouring frames that were measured; it breaks where frames between them were not."""
    points = [(float(x), y) for x, y in zip(x_at, y_at, strict=True) if math.isfinite(y)]
    pens = ["L" if k and math.isfinite(y_at[k - 1]) else "M" for k, y in enumerate(y_at) if math.isfinite(y)]
    path = "".join(f"{pen}{x:.1f} {y:.1f}" for pen, (x, y) in zip(pens, points, strict=True))
    return Curve(title, key, path, tuple(points), points[-1][1])


def _with_labels_apart(curves: list[Curve], distance: float = 14.0) -> tuple[Curve, ...]:
    """The same curves, their names moved down where they would stand on each other."""
    lowest = -math.inf
    placed = {}
    for curve in sorted(curves, key=lambda c: c.label_y):
        lowest = max(curve.label_y, lowest + distance)
        placed[curve.key] = lowest
    return tuple(Curve(c.title, c.key, c.path, c.points, placed[c.key]) for c in curves)


def nice_ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """Round numbers that span low to high in about `about` steps of 1, 2 or 5 times a power of ten."""
    rough = max((high - low) / about, 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def range_bar(value: float | None, reference: ReferenceRange | None) -> RangeBar | None:
    """Bar that shows a value against its healthy interval; None when either is missing.

    The interval fills the middle of the bar; a value far outside is drawn at the bar's end.
    """
    if value is None or reference is None or not reference.high > reference.low:
        return None
    span = reference.high - reference.low
    start, length = reference.low - 0.6 * span, 2.2 * span
    at = min(98.0, max(2.0, 100 * (value - start) / length))
    return RangeBar(100 * 0.6 / 2.2, 100 * 1.6 / 2.2, at)


_WALLS = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")
_APICAL_WALLS = ("anterior", "septal", "inferior", "lateral")
#: Levels of the ventricle, base first, with their walls.
_LEVELS = (("basal", _WALLS), ("mid", _WALLS), ("apical", _APICAL_WALLS))
#: Names of the 17 segments, in their order.
SEGMENT_NAMES = (*(f"{level} {wall}" for level, walls in _LEVELS for wall in walls), "apical cap")
#: Radii between the rings of a drawing of radius 100, base first: without and with the cap.
_RADII = {16: (100.0, 68.0, 36.0, 0.0), 17: (100.0, 71.0, 44.0, 18.0)}


def evenly(low: float, high: float) -> Callable[[float], float]:
    """Colour level of a value: 0 up to `low`, 1 from `high` on, and even steps between."""
    return lambda value: min(1.0, max(0.0, (value - low) / (high - low)))


def bulls_eye(values: NDArray[np.float64], level_of: Callable[[float], float]) -> tuple[Sector, ...]:
    """The segments of the American Heart Association: base outside, anterior wall on top, septum on the left.

    Args:
        values: float64[16], or float64[17] with the apical cap, in the order of the segments; NaN where not visible.
        level_of: colour level of a value, 0 for the lightest to 1 for the darkest.

    Source: Cerqueira et al., Circulation 2002;105:539-542.
    """
    radii, places = _RADII[len(values)], []
    for (_, walls), outer, inner in zip(_LEVELS, radii, radii[1:], strict=False):
        width = 360.0 / len(walls)
        for k in range(len(walls)):
            middle = 90.0 + k * width
            # pieces of pie are wider outside
            place = _on_circle((inner + outer) / 2 + (4.0 if inner == 0 else 0.0), middle)
            places.append((_sector_path(inner, outer, middle - width / 2, middle + width / 2), place))
    places.append((_disc_path(radii[-1]), (0.0, 0.0)))
    sectors = []
    for number, (value, (path, (x, y))) in enumerate(zip(values.tolist(), places, strict=False), start=1):
        known = math.isfinite(value)
        level = level_of(value) if known else 0.0
        sectors.append(Sector(number, SEGMENT_NAMES[number - 1], path, x, y, value if known else None, level))
    return tuple(sectors)


def _on_circle(radius: float, degrees: float) -> tuple[float, float]:
    """Point of a drawing (y down) at an angle counted anticlockwise from the right."""
    return radius * math.cos(math.radians(degrees)), -radius * math.sin(math.radians(degrees))


def _sector_path(inner: float, outer: float, start: float, end: float) -> str:
    (x0, y0), (x1, y1) = _on_circle(outer, start), _on_circle(outer, end)
    (x2, y2), (x3, y3) = _on_circle(inner, end), _on_circle(inner, start)
    arcs = f"M{x0:.2f} {y0:.2f}A{outer} {outer} 0 0 0 {x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}"
    return f"{arcs}A{inner} {inner} 0 0 1 {x3:.2f} {y3:.2f}Z" if inner else f"{arcs}Z"


def _disc_path(radius: float) -> str:
    return f"M{radius} 0A{radius} {radius} 0 1 0 {-radius} 0A{radius} {radius} 0 1 0 {radius} 0Z"


def segment_values(tables: Mapping[str, NDArray[np.float64]], key: str, number: int = 16) -> NDArray[np.float64] | None:
    """A table of so many segments, or None when it is missing or holds nothing visible."""
    values = tables.get(key)
    return values if values is not None and len(values) == number and np.isfinite(values).any() else None
