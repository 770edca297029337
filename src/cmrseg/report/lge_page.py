"""The page of an LGE stack: its numbers, by what they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cmrseg.qc.rules import LGE_RULES
from cmrseg.report.cine_page import flat_text, rules_by_group
from cmrseg.report.values import UNKNOWN, Numbers, number, numbers_of
from cmrseg.study import Part


@dataclass(frozen=True)
class LgePage:
    """Contents of ``lge_page.html.j2``.

    Args:
        numbers: the table and its footnotes.
        segments: mean and greatest transmurality of each AHA segment as text, or empty with its reason in
            `segments_missing`.
        rules: what was checked, by group: a short name and a sentence each.
        method: label and text of every line under "How it was computed".
    """

    numbers: Numbers
    segments: tuple[tuple[int, str, str], ...]
    segments_missing: str
    rules: Mapping[str, tuple[tuple[str, str], ...]]
    method: tuple[tuple[str, str], ...]

    template = "lge_page.html.j2"
    title = "Late enhancement"


def lge_page(part: Part) -> LgePage:
    """Work out the page of an LGE part."""
    notes = (m.note for m in part.measurements.values if "_aha" in m.key and m.note)
    segments = _segments(part)
    return LgePage(
        numbers=numbers_of(part.measurements),
        segments=segments,
        segments_missing="" if segments else next(notes, "Transmurality by segment was not measured."),
        rules=rules_by_group(LGE_RULES),
        method=_method(part),
    )


def _segments(part: Part) -> tuple[tuple[int, str, str], ...]:
    """Number, mean and greatest transmurality of every segment; empty where none has a value."""
    tables = part.measurements.segment_tables
    mean, greatest = (tables.get(f"transmurality_{which}_percent", np.zeros(0)) for which in ("mean", "max"))
    if not np.isfinite(mean).any():
        return ()
    texts = ([UNKNOWN if np.isnan(v) else number(float(v), 0) for v in values] for values in (mean, greatest))
    return tuple((place, *pair) for place, pair in enumerate(zip(*texts, strict=True), start=1))


def _method(part: Part) -> tuple[tuple[str, str], ...]:
    geometry = part.image.geometry
    x_mm, y_mm, z_mm = geometry.spacing_xyz_mm
    lines = [
        ("Image", f"{part.image.n_slices} slices, {geometry.shape_xyz[0]} × {geometry.shape_xyz[1]} pixels"),
        (
            "Voxel size",
            f"{x_mm:.3g} × {y_mm:.3g} mm in plane; slices {z_mm:.3g} mm apart, measured between slice positions, so "
            "that gaps count.",
        ),
        ("Segmentation", part.segmentation.method or "not stated"),
        ("Infarct", "Scar mass includes no-reflow, which is also given apart."),
    ]
    lines += [("Scar", f.message) for f in part.segmentation.findings if f.code.startswith("scar_")]
    lines += [(f"Source: {key.replace('_', ' ')}", flat_text(value)) for key, value in part.image.source.items()]
    return tuple(lines)
