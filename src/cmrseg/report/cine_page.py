"""The page of a short-axis cine: everything that its template prints, worked out beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cmrseg.qc.rules import CINE_RULES, Rule
from cmrseg.quantify.long_axis import LongAxis, find_long_axis
from cmrseg.report import cine, pictures
from cmrseg.report.display import View, grey_levels, upright
from cmrseg.report.figures import CurveChart, Sector, bulls_eye, curve_chart, segment_values
from cmrseg.report.values import Numbers, numbers_of
from cmrseg.study import Measurements, Part

#: Wall thickness drawn lightest and darkest: a thinned wall and one of hypertrophic cardiomyopathy.
WALL_RANGE_MM = (4.0, 16.0)


@dataclass(frozen=True)
class CinePage:
    """Contents of ``cine_page.html.j2``.

    Args:
        numbers: cards, table and their footnotes.
        chart: volume-time curves, or None with its reason in `chart_missing`.
        view: what the pictures show.
        ends_known: base and apex could be told apart; otherwise slices come as stored.
        outlines: legend of the contours.
        montage: slices at end-diastole and end-systole, base first.
        player: data of the playing cine; None for a single frame.
        eye: bull's-eye of wall thickness, or None with its reason in `eye_missing`.
        rules: what was checked, by group: a short name and a sentence each.
        empty: True when nothing was segmented in any frame.
        method: label and text of every line under "How it was computed".
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
    rules: Mapping[str, tuple[tuple[str, str], ...]]
    empty: bool
    method: tuple[tuple[str, str], ...]

    template = "cine_page.html.j2"
    title = "Short-axis cine"
    wall_range_mm = WALL_RANGE_MM


def cine_page(part: Part) -> CinePage:
    """Work out the page of a cine part."""
    axis = _long_axis(part)
    shown = upright(part, mirror=axis.mirrored)
    image, segmentation, measurements = shown.image, shown.segmentation, shown.measurements
    view = View.around(segmentation.labels.max(axis=(0, 1)) > 0, image.geometry)
    grey = grey_levels(image, segmentation.labels, view)
    paths = pictures.contour_paths(segmentation, view)
    order = range(image.n_slices) if axis.base_first is not False else range(image.n_slices)[::-1]
    walls = segment_values(measurements.segment_tables, "wall_thickness_ed_mm")
    return CinePage(
        numbers=numbers_of(measurements),
        chart=curve_chart(measurements, image.frame_times_ms),
        chart_missing=_why_no_chart(part),
        view=view,
        ends_known=axis.base_first is not None,
        outlines=pictures.CINE_OUTLINES,
        montage=pictures.montage(grey, paths, view, _montage_frames(part), order),
        player=cine.payload(image, grey, paths, view, order) if image.n_frames > 1 else None,
        eye=bulls_eye(walls, *WALL_RANGE_MM) if walls is not None else None,
        eye_missing=_why_no_eye(measurements),
        rules=rules_by_group(CINE_RULES),
        empty=not segmentation.labels.any(),
        method=_method(part, axis),
    )


def _long_axis(part: Part) -> LongAxis:
    """Base, apex and side of view as measuring sees them, at end-diastole."""
    labels, scheme = part.segmentation.labels[part.measurements.ed_frame or 0], part.segmentation.scheme
    muscle = scheme.whole_myocardium(labels)
    lv = muscle | scheme.mask(labels, "lv_cavity")
    return find_long_axis(lv, scheme.mask(labels, "rv_cavity"), part.image.geometry)


def _montage_frames(part: Part) -> dict[str, int]:
    named = {"ED": part.measurements.ed_frame, "ES": part.measurements.es_frame}
    return {name: frame for name, frame in named.items() if frame is not None} or {"frame 0": 0}


def rules_by_group(rules: Iterable[Rule]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Rules of quality control under the name of its group, told by its own name and docstring."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for rule in rules:
        group = rule.__module__.rpartition(".")[2].capitalize()
        name = rule.__name__.replace("_", " ").replace("rv ", "RV ")
        sentence = " ".join((rule.__doc__ or "").partition("\n\n")[0].split())
        groups.setdefault(group, []).append((name[0].upper() + name[1:], sentence))
    return {group: tuple(told) for group, told in groups.items()}


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


def _method(part: Part, axis: LongAxis) -> tuple[tuple[str, str], ...]:
    image, measurements, geometry = part.image, part.measurements, part.image.geometry
    x_mm, y_mm, z_mm = geometry.spacing_xyz_mm
    frames = f"{image.n_frames} phases" if image.n_frames > 1 else "one phase"
    lines = [
        ("Image", f"{image.n_slices} slices × {frames}, {geometry.shape_xyz[0]} × {geometry.shape_xyz[1]} pixels"),
        (
            "Voxel size",
            f"{x_mm:.3g} × {y_mm:.3g} mm in plane; slices {z_mm:.3g} mm apart, measured between slice positions, so "
            "that gaps count. Volumes are computed on this grid, whatever grid the network saw.",
        ),
        ("Segmentation", _segmentation_text(part)),
        ("End-diastole, end-systole", _frames_text(measurements.ed_frame, measurements.es_frame)),
        ("Papillary muscles", "Papillary muscles and trabeculae belong to the cavity, not to the muscle."),
        ("Pictures", _pictures_text(part, axis)),
    ]
    lines += [(f"Source: {key.replace('_', ' ')}", flat_text(value)) for key, value in image.source.items()]
    return tuple(lines)


def _segmentation_text(part: Part) -> str:
    """Who drew the masks, and how far the networks of an ensemble agreed."""
    text = part.segmentation.method or "not stated"
    if not part.segmentation.agreement:
        return text
    agreement = ", ".join(f"{name.replace('_', ' ')} {dice:.2f}" for name, dice in part.segmentation.agreement.items())
    return f"{text}. Agreement between the networks of the ensemble (mean Dice): {agreement}."


def _pictures_text(part: Part, axis: LongAxis) -> str:
    """How the pictures relate to the files."""
    turns = part.image.geometry.quarter_turns
    degrees = 90 * min(turns, 4 - turns)
    changes = [text for text, made in (("mirrored", axis.mirrored), (f"turned by {degrees} degrees", degrees)) if made]
    if not part.image.geometry.orientation_known:
        seen = "The file does not say which way the patient lies; slices are shown as stored."
    elif changes:
        seen = f"Slices were {' and '.join(changes)} into the usual view, from the apex with the head side up."
    else:
        seen = "Slices are shown as stored, in the usual view from the apex with the head side up."
    order = "" if axis.base_first is not None else " Base and apex could not be told apart: slices come as stored."
    lines = "Contours are the borders of the masks with their pixel steps rounded off; no number comes from them."
    return f"{seen}{order} {lines}"


def flat_text(value: object) -> str:
    """A value of run.json or of an image's source as one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {flat_text(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(flat_text(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _frames_text(ed_frame: int | None, es_frame: int | None) -> str:
    names = [f"{name} is frame {frame}" for name, frame in (("ED", ed_frame), ("ES", es_frame)) if frame is not None]
    if not names:
        return "Neither could be told."
    return f"{', '.join(names)}: the largest and the smallest LV volume. Frames and slices are counted from 0."
