"""The page of a short-axis cine: everything that its template prints, worked out beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmrseg.numbering import frame_number
from cmrseg.qc.rules import CINE_RULES
from cmrseg.quantify.long_axis import LongAxis
from cmrseg.report import cine, pictures
from cmrseg.report.display import View, grey_levels, upright
from cmrseg.report.figures import CurveChart, Sector, bulls_eye, curve_chart, evenly, segment_values
from cmrseg.report.provenance import source_lines
from cmrseg.report.stack import (
    Line,
    base_to_apex,
    counting_text,
    display_text,
    grid_lines,
    long_axis_of,
    numbers_from_base,
    rules_by_group,
    segmentation_text,
)
from cmrseg.report.values import Numbers, numbers_of
from cmrseg.study import Measurements, Part

#: Wall thickness drawn lightest and darkest: a thinned wall and one of hypertrophic cardiomyopathy.
WALL_RANGE_MM = (4.0, 16.0)
#: What stands beside the bull's-eye.
WALL_WORDS: Mapping[str, str] = {
    "wall_thickness_ed_max_mm": "greatest",
    "wall_thickness_ed_mean_mm": "mean, mid-cavity",
}
PAPILLARY = "Papillary muscles and trabeculae belong to the cavity, not to the myocardium."


@dataclass(frozen=True)
class CinePage:
    """Contents of ``cine_page.html.j2``.

    Args:
        numbers: cards, table and their footnotes.
        chart: volume-time curves, or None with its reason in `chart_missing`.
        view: what the slices show of the image.
        ends_known: base and apex could be told apart; otherwise slices come as stored.
        outlines: legend of the contours.
        montage: slices at end-diastole and end-systole, base first.
        player: data of the playing cine; None for a single frame.
        eye: bull's-eye of wall thickness, or None with its reason in `eye_missing`.
        rules: what was checked, by group: a short name and a sentence each.
        empty: True when nothing was segmented in any frame.
        method: label and text of every line under "How it was computed".
        brief: the same in two sentences.
        ventricles: what quality control says of each ventricle, by the title of its cards.
    """

    numbers: Numbers
    chart: CurveChart | None
    chart_missing: str
    view: View
    ends_known: bool
    outlines: tuple[pictures.Outline, ...]
    montage: tuple[pictures.MontageSlice, ...]
    player: Mapping[str, Any] | None
    eye: tuple[Sector, ...] | None
    eye_missing: str
    rules: Mapping[str, tuple[Line, ...]]
    empty: bool
    method: tuple[Line, ...]
    brief: str
    ventricles: Mapping[str, str]

    template = "cine_page.html.j2"
    title = "Short-axis cine"
    wall_range_mm = WALL_RANGE_MM
    wall_words = WALL_WORDS


def cine_page(part: Part) -> CinePage:
    """Work out the page of a cine part."""
    axis = long_axis_of(part)
    shown = upright(part, mirror=axis.mirrored)
    image, segmentation, measurements = shown.image, shown.segmentation, shown.measurements
    view = View.around(segmentation.labels.max(axis=(0, 1)) > 0, image.geometry)
    grey = grey_levels(image, segmentation.labels, view)
    paths = pictures.contour_paths(segmentation, view)
    order, number_of = base_to_apex(part), numbers_from_base(part)
    walls = segment_values(measurements.segment_tables, "wall_thickness_ed_mm")
    return CinePage(
        numbers=numbers_of(measurements),
        chart=curve_chart(measurements, image.frame_times_ms),
        chart_missing=_why_no_chart(part),
        view=view,
        ends_known=part.base_first is not None,
        outlines=pictures.CINE_OUTLINES,
        montage=pictures.montage(grey, paths, view, _montage_frames(part), order, number_of),
        player=cine.payload(image, grey, paths, view, order, number_of) if image.n_frames > 1 else None,
        eye=bulls_eye(walls, evenly(*WALL_RANGE_MM)) if walls is not None else None,
        eye_missing=_why_no_eye(measurements),
        rules=rules_by_group(CINE_RULES),
        empty=not segmentation.labels.any(),
        method=_method(part, axis),
        brief=_brief(part),
        ventricles={
            "Left ventricle": part.verdict.of_ventricle("lv").status,
            "Right ventricle": part.verdict.of_ventricle("rv").status,
        },
    )


def _montage_frames(part: Part) -> dict[str, int]:
    named = {"ED": part.measurements.ed_frame, "ES": part.measurements.es_frame}
    return {name: frame for name, frame in named.items() if frame is not None} or {part.place(0, None): 0}


def _why_no_chart(part: Part) -> str:
    if part.image.n_frames < 2:
        return "The stack holds a single frame, so there is no volume–time curve and no ejection fraction."
    if part.verdict.status == "reject":
        return "No volume–time curve: quality control rejected this segmentation."
    return "No volume–time curve: nothing was measured over the beat."


def _why_no_eye(measurements: Measurements) -> str:
    """The note of the first wall segment says why none has a value."""
    notes = (m.note for m in measurements.values if "_aha" in m.key and m.note)
    return next(notes, "Wall thickness by segment was not measured.")


def _method(part: Part, axis: LongAxis) -> tuple[Line, ...]:
    measurements, n_frames = part.measurements, part.image.n_frames
    return (
        *grid_lines(part, f" × {n_frames} phases" if n_frames > 1 else " × one phase"),
        ("Segmentation", segmentation_text(part)),
        ("End-diastole, end-systole", _frames_text(measurements.ed_frame, measurements.es_frame)),
        ("Counting", counting_text(part)),
        ("Papillary muscles", PAPILLARY),
        ("Display", display_text(part, axis)),
        *source_lines(part),
    )


def _brief(part: Part) -> str:
    measurements = part.measurements
    frames = _frames_text(measurements.ed_frame, measurements.es_frame)
    return f"Segmentation: {part.segmentation.method or 'not stated'}. {frames} {PAPILLARY}"


def _frames_text(ed_frame: int | None, es_frame: int | None) -> str:
    named = (("end-diastole", ed_frame), ("end-systole", es_frame))
    names = [f"{name} is frame {frame_number(frame)}" for name, frame in named if frame is not None]
    if not names:
        return "Neither could be told."
    text = f"{', '.join(names)}: the largest and the smallest LV volume."
    return text[0].upper() + text[1:]
