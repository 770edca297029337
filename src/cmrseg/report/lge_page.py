"""The page of an LGE stack: everything that its template prints, worked out beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmrseg.qc.rules import LGE_RULES
from cmrseg.quantify.long_axis import LongAxis
from cmrseg.report import pictures
from cmrseg.report.display import View, grey_levels, upright
from cmrseg.report.figures import Sector, bulls_eye, segment_values
from cmrseg.report.provenance import source_lines
from cmrseg.report.scar_words import (
    PRINTED_BINS,
    VIABILITY_SOURCE,
    SegmentRow,
    bin_level,
    infarct_text,
    scar_lines,
    segment_rows,
    segments_in_words,
)
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
from cmrseg.report.values import LGE_CARDS, Numbers, definitions, numbers_of, show
from cmrseg.study import Measurements, Part

#: What a method of `quantify.scar` says of itself: that it found scar, or why it did not look for any.
_METHOD_CODES = ("scar_method", "scar_not_looked_for")


@dataclass(frozen=True)
class Eye:
    """A bull's-eye of transmurality with its title."""

    title: str
    sectors: tuple[Sector, ...]


@dataclass(frozen=True)
class LgePage:
    """Contents of ``lge_page.html.j2``.

    Args:
        numbers: cards, table and their footnotes.
        scar_free: what is to be said of a study without scar; empty where there is scar or no number.
        described: location, distribution, extent and viability in sentences where there is scar, and the method.
        segments: the table by AHA segment where there is scar, else empty with a sentence in `segments_missing`.
        segment_definitions: how the values of segments are defined, as `Numbers.definitions`.
        eyes: mean and greatest transmurality as bull's-eyes; empty where there are no segments.
        view: what the slices show of the image.
        ends_known: base and apex could be told apart; otherwise slices come as stored.
        outlines: legend of the contours.
        montage: all slices, base first.
        rules: what was checked, by group: a short name and a sentence each.
        empty: True when nothing was segmented.
        method: label and text of every line under "How it was computed".
        brief: the same in two sentences.
    """

    numbers: Numbers
    scar_free: str
    described: tuple[Line, ...]
    segments: tuple[SegmentRow, ...]
    segments_missing: str
    segment_definitions: Mapping[str, Mapping[str, tuple[str, ...]]]
    eyes: tuple[Eye, ...]
    view: View
    ends_known: bool
    outlines: tuple[pictures.Outline, ...]
    montage: tuple[pictures.MontageSlice, ...]
    rules: Mapping[str, tuple[Line, ...]]
    empty: bool
    method: tuple[Line, ...]
    brief: str

    template = "lge_page.html.j2"
    title = "Late enhancement"
    bins = PRINTED_BINS


def lge_page(part: Part) -> LgePage:
    """Work out the page of an LGE part."""
    axis = long_axis_of(part)
    shown = upright(part, mirror=axis.mirrored)
    segmentation, measurements = shown.segmentation, shown.measurements
    view = View.around(segmentation.labels.max(axis=(0, 1)) > 0, shown.image.geometry)
    grey = grey_levels(shown.image, segmentation.labels, view)
    outlines = pictures.outlines_of(segmentation, pictures.LGE_OUTLINES)
    paths = pictures.contour_paths(segmentation, view, outlines)
    scar_free = _scar_free(part)
    segments = () if scar_free else segment_rows(measurements)
    return LgePage(
        numbers=numbers_of(measurements, LGE_CARDS),
        scar_free=scar_free,
        described=(*scar_lines(part), ("Method", _found_by(part))),
        segments=segments,
        segments_missing="" if segments else segments_in_words(measurements),
        segment_definitions=definitions(show(m) for m in measurements.values if "_aha" in m.key),
        eyes=_eyes(measurements) if segments else (),
        view=view,
        ends_known=part.base_first is not None,
        outlines=outlines,
        montage=pictures.montage(grey, paths, view, {"contours": 0}, base_to_apex(part), numbers_from_base(part)),
        rules=rules_by_group(LGE_RULES),
        empty=not segmentation.labels.any(),
        method=_method(part, axis),
        brief=f"Segmentation: {part.segmentation.method or 'not stated'}.",
    )


def _scar_free(part: Part) -> str:
    """What quality control says of a heart without scar; nothing where scar is, or where no mass is told."""
    if next((m.value for m in part.measurements.values if m.key == "scar_mass_g"), None) != 0:
        return ""
    overlooked = (f.message for f in part.verdict.findings if f.code == "scar_none")
    return next(overlooked, "No scar was found on the slices that show LV myocardium.")


def _found_by(part: Part) -> str:
    """The method's own words; masks that hold scar already come without a threshold."""
    findings = (*part.segmentation.findings, *part.measurements.findings)
    told = [f.message for f in findings if f.code in _METHOD_CODES]
    if told:
        return told[-1]
    return (
        f"Scar as labelled: {part.segmentation.method or 'origin not stated'}. No threshold was applied; the remote "
        "myocardium is all that is not scar."
    )


def _eyes(measurements: Measurements) -> tuple[Eye, ...]:
    titles = {"mean": "Mean transmurality of scar", "max": "Greatest transmurality of scar"}
    tables = {
        title: segment_values(measurements.segment_tables, f"transmurality_{which}_percent", 17)
        for which, title in titles.items()
    }
    return tuple(Eye(title, bulls_eye(values, bin_level)) for title, values in tables.items() if values is not None)


def _method(part: Part, axis: LongAxis) -> tuple[Line, ...]:
    return (
        *grid_lines(part),
        ("Segmentation", segmentation_text(part)),
        ("Scar", _found_by(part)),
        ("Infarct", infarct_text(part)),
        (
            "Core and grey zone",
            "Brightness is counted from the median of remote myocardium, two pixels and more beside the scar, to the "
            "99th percentile of the scar: core from 50 %, grey zone from 35 %.",
        ),
        ("Viability", f"Limits of transmurality. {VIABILITY_SOURCE}"),
        ("Counting", counting_text(part)),
        ("Display", display_text(part, axis)),
        *source_lines(part),
    )
