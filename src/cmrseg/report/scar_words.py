"""Where the scar lies, in which layer, and how deep: in sentences and by segment, as a reader reports LGE.

Order and content follow the SCMR reporting guidelines (doi:10.1186/s12968-021-00827-z, table 2): location,
distribution in the wall, extent. Interpretation is the reader's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cmrseg.numbering import COUNTED
from cmrseg.quantify.lge import WITHOUT_NO_REFLOW
from cmrseg.quantify.lge_definitions import SEGMENT_SCAR_PERCENT
from cmrseg.quantify.transmurality import BIN_NAMES, bin_name
from cmrseg.report.figures import SEGMENT_NAMES, segment_values
from cmrseg.report.stack import Line, numbers_from_base
from cmrseg.report.values import UNKNOWN, number
from cmrseg.study import Measurements, Part

#: Segments that a coronary artery usually feeds (Cerqueira et al., Circulation 2002;105:539).
TERRITORIES = {"LAD": (1, 2, 7, 8, 13, 14, 17), "RCA": (3, 4, 9, 10, 15), "LCx": (5, 6, 11, 12, 16)}
#: Up to this mean transmurality a segment is called viable: in chronic infarction, and in the first days.
VIABLE_CHRONIC_PERCENT, VIABLE_ACUTE_PERCENT = 50.0, 75.0
VIABILITY_SOURCE = (
    "50 % in chronic infarction: Kim et al., N Engl J Med 2000;343:1445. 75 % in the first days: Bulluck et al., Sci "
    "Rep 2017;7:14676."
)
#: The scar is told to spare the inner third with a smaller part in it, and to lie mostly there with a larger part than
#: the other. Between the two no word is given: mid-wall and subepicardial scar is what spares the endocardium. Limits
#: of wording, not of diagnosis.
SPARED_PERCENT, MOSTLY_PERCENT = 10.0, 45.0


@dataclass(frozen=True)
class SegmentRow:
    """A segment of the table: mean and greatest transmurality as text, and the bin of the mean."""

    number: int
    name: str
    territory: str
    mean: str
    greatest: str
    bin: str
    scarred: bool


def printed_bin(percent: float) -> str:
    """The bin of a transmurality, with a dash between its ends."""
    return bin_name(percent).replace("-", "–")


PRINTED_BINS = tuple(name.replace("-", "–") for name in BIN_NAMES)


def bin_level(percent: float) -> float:
    """Colour level of a transmurality: one for each bin, 0 to 1."""
    return BIN_NAMES.index(bin_name(percent)) / (len(BIN_NAMES) - 1)


def segment_rows(measurements: Measurements) -> tuple[SegmentRow, ...]:
    """The 17 segments; empty where none has a value."""
    tables = measurements.segment_tables
    mean, greatest = (segment_values(tables, f"transmurality_{which}_percent", 17) for which in ("mean", "max"))
    if mean is None or greatest is None:
        return ()
    territory = {segment: artery for artery, segments in TERRITORIES.items() for segment in segments}
    return tuple(
        SegmentRow(
            place,
            name,
            territory[place],
            _percent(m),
            _percent(g),
            printed_bin(m) if math.isfinite(m) else UNKNOWN,
            m >= SEGMENT_SCAR_PERCENT,
        )
        for place, name, m, g in zip(range(1, 18), SEGMENT_NAMES, mean.tolist(), greatest.tolist(), strict=True)
    )


def scar_lines(part: Part) -> tuple[Line, ...]:
    """Location, distribution, extent and viability, each in a few sentences; empty without scar or withheld numbers."""
    known = {m.key: m.value for m in part.measurements.values if m.value is not None}
    if not known.get("scar_mass_g"):
        return ()
    rows = [row for row in segment_rows(part.measurements) if row.mean != UNKNOWN]
    lines = [
        ("Location", f"{segments_in_words(part.measurements)} {_slices_text(part)}"),
        ("Distribution", _distribution_text(known)),
        ("Extent", _extent_text(known, rows)),
        ("Viability", _viability_text(part.measurements)),
        ("Core and grey zone", _zones_text(part.measurements)),
        ("No-reflow", _no_reflow_text(part, known)),
    ]
    return tuple((heading, text) for heading, text in lines if text)


def segments_in_words(measurements: Measurements) -> str:
    """Which segments have scar; where none has a value, why: the note of the first segment says so."""
    rows = [row for row in segment_rows(measurements) if row.mean != UNKNOWN]
    if not rows:
        return next((m.note for m in measurements.values if "_aha" in m.key and m.note), "Segments were not measured.")
    scarred = [row for row in rows if row.scarred]
    if not scarred:
        return (
            f"{len(rows)} of 17 segments are seen; none has scar (mean transmurality of at least "
            f"{SEGMENT_SCAR_PERCENT:.0f} %)."
        )
    names = ", ".join(f"{row.name} ({row.number})" for row in scarred)
    arteries = Counter(row.territory for row in scarred)
    usual = ", ".join(f"{artery} {arteries[artery]}" for artery in TERRITORIES if arteries[artery])
    return (
        f"{len(rows)} of 17 segments are seen; {len(scarred)} of them have scar (mean transmurality of at least "
        f"{SEGMENT_SCAR_PERCENT:.0f} %): {names}. By usual coronary territory: {usual}."
    )


def _slices_text(part: Part) -> str:
    labels, scheme = part.segmentation.labels[0], part.segmentation.scheme
    scarred = np.flatnonzero(scheme.mask(labels, "scar", "no_reflow").any(axis=(1, 2))).tolist()
    wall = int(scheme.whole_myocardium(labels).any(axis=(1, 2)).sum())
    number_of = numbers_from_base(part)
    numbers = _runs(sorted(number_of(z) for z in scarred))
    return f"On {len(scarred)} of {wall} slices that show myocardium: {numbers}, counted {COUNTED[part.base_first]}."


def _runs(places: Iterable[int]) -> str:
    """Ascending numbers with runs told by their ends: 1, 3–5."""
    numbers = list(places)
    breaks = [0, *(k for k, (a, b) in enumerate(pairwise(numbers), start=1) if b > a + 1), len(numbers)]
    runs = [numbers[first:end] for first, end in pairwise(breaks)]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _distribution_text(known: dict[str, float]) -> str:
    inner, middle, outer = (known.get(f"scar_{third}_percent") for third in ("endocardial", "midwall", "epicardial"))
    if inner is None or middle is None or outer is None:
        return ""
    text = (
        f"Of the scar {_percent(inner)} % lies in the inner third of the wall, {_percent(middle)} % in the middle "
        f"third and {_percent(outer)} % in the outer third"
    )
    if inner > MOSTLY_PERCENT:
        text += ": mostly subendocardial."
    elif inner < SPARED_PERCENT:
        word = "mid-wall" if middle >= outer else "subepicardial"
        text += f": mostly {word}. The inner third is nearly spared; ischaemic scar begins there."
    else:
        text += "."
    pieces = known.get("scar_components")
    if pieces is not None:
        text += f" It is {'one connected region' if pieces == 1 else f'{pieces:.0f} separate regions'}."
    return text


def _extent_text(known: dict[str, float], rows: list[SegmentRow]) -> str:
    mean, greatest = (known.get(f"scar_transmurality_{which}_percent") for which in ("mean", "max"))
    text = ""
    if mean is not None and greatest is not None:
        text = f"Where there is scar, it takes {_percent(mean)} % of the wall on average and {_percent(greatest)} % at "
        text += "most."
    if rows:
        counted = Counter(row.bin for row in rows)
        bins = ", ".join(f"{name}: {counted[name]}" for name in PRINTED_BINS)
        text += f" Segments by mean transmurality – {bins}."
    return text.strip()


def _viability_text(measurements: Measurements) -> str:
    mean = segment_values(measurements.segment_tables, "transmurality_mean_percent", 17)
    if mean is None:
        return ""
    scarred = mean[mean >= SEGMENT_SCAR_PERCENT]
    if not len(scarred):
        return ""
    chronic, acute = (int((scarred <= limit).sum()) for limit in (VIABLE_CHRONIC_PERCENT, VIABLE_ACUTE_PERCENT))
    return (
        f"Scar of up to {VIABLE_CHRONIC_PERCENT:.0f} % of the wall, which counts as viable in chronic infarction: "
        f"{chronic} of {len(scarred)} segments with scar. In the first days enhancement overestimates scar; up to "
        f"{VIABLE_ACUTE_PERCENT:.0f} %, which counts as viable then: {acute} of {len(scarred)}. A cue for the reader, "
        "who knows the age of the infarct."
    )


def infarct_text(part: Part) -> str:
    """What scar mass holds of no-reflow."""
    why = part.segmentation.not_assessed.get("no_reflow")
    if why is None:
        return "Scar mass includes no-reflow, which is also given apart."
    return f"No-reflow is not assessed. {why} {WITHOUT_NO_REFLOW}"


def _zones_text(measurements: Measurements) -> str:
    """The caveat of the grey zone, where there is one."""
    return next((m.note for m in measurements.values if m.key == "scar_grey_zone_mass_g" and m.value is not None), "")


def _no_reflow_text(part: Part, known: dict[str, float]) -> str:
    if "no_reflow" in part.segmentation.not_assessed:
        return infarct_text(part)
    grams, share = known.get("no_reflow_mass_g"), known.get("no_reflow_percent_of_scar")
    if not grams or share is None:
        return "None seen."
    return (
        f"{number(grams, 1)} g, {number(share, 1)} % of the scar, which includes it: a dark core in enhanced "
        "myocardium (microvascular obstruction, a sign of a recent infarct)."
    )


def _percent(value: float) -> str:
    return number(value if math.isfinite(value) else None, 0)
