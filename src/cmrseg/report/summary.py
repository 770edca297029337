"""What stands on top of the report: the numbers that a reader looks for first, and which of them are not usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cmrseg.quantify.reference_ranges import widest_range
from cmrseg.report.values import CINE_CARDS, COMPANION_WORDS, NO_RANGE, Shown, show
from cmrseg.study import Analysis

#: Short name and key of each number, and the key of its companion.
FIRST = (
    ("LVEF", "lv_ef_percent", ""),
    ("LVEDV", "lv_edv_ml", "lv_edvi_ml_m2"),
    ("LVESV", "lv_esv_ml", "lv_esvi_ml_m2"),
    ("LV mass", "lv_mass_g", "lv_massi_g_m2"),
    ("RVEF", "rv_ef_percent", ""),
    ("Scar mass", "scar_mass_g", "scar_percent"),
    ("No-reflow", "no_reflow_mass_g", ""),
)
#: Added where there is no cine that tells the mass of the ventricle.
FIRST_OF_LGE_ALONE = (("LV mass on LGE", "lge_lv_mass_g", ""),)
#: Numbers whose first decimal a reader needs even at a glance.
_FINE = ("scar_mass_g", "scar_percent", "no_reflow_mass_g")


@dataclass(frozen=True)
class Item:
    """A number of the summary: its short and its full name, its value, and its companion as text."""

    name: str
    label: str
    key: str
    text: str
    unit: str
    companion: str


@dataclass(frozen=True)
class Flag:
    """A measurement outside its healthy range: ``LV ejection fraction 23 %``, ``below``, ``47–72``."""

    text: str
    outside: str
    interval: str


@dataclass(frozen=True)
class Summary:
    """Contents of the summary.

    Args:
        items: the first numbers; those of a stack that was not analysed are left out.
        flags: measurements outside their healthy range by more than the error of measuring; where no range is known,
            those outside the range of everybody.
        comparison: what is to be said instead where nothing is flagged; empty where no number is known.
        open: True where nothing could be compared, so that nothing tells whether a number is usual.
    """

    items: tuple[Item, ...]
    flags: tuple[Flag, ...]
    comparison: str
    open: bool


def summary_of(analysis: Analysis) -> Summary:
    """Gather the first numbers of all stacks, and what lies outside its healthy range."""
    shown = {m.key: show(m) for part in analysis.parts for m in part.measurements.values}
    known = [one for key, one in shown.items() if not one.missing and "_aha" not in key]
    compared = any(one.interval for one in known)
    cine = any(one.measurement.key.startswith(("lv_", "rv_")) for one in known)
    flagged = flags(shown) or beyond_everyone(known)
    comparison = ""
    if compared:
        comparison = "No measurement lies outside its healthy range by more than the error of measuring."
    elif cine:
        comparison = _not_compared(known, flagged=bool(flagged))
    first = FIRST if analysis.part("cine") else (*FIRST, *FIRST_OF_LGE_ALONE)
    return Summary(
        items=tuple(_item(name, shown[key], shown.get(also)) for name, key, also in first if _worth(shown.get(key))),
        flags=flagged,
        comparison=comparison,
        open=cine and not compared,
    )


def _worth(one: Shown | None) -> bool:
    """A number that was measured; no-reflow only where it was assessed."""
    return one is not None and not (one.missing and one.measurement.key == "no_reflow_mass_g")


def flags(shown: Mapping[str, Shown]) -> tuple[Flag, ...]:
    """What lies outside its range; of a number and its index that both do so to one side, the index."""
    indexed = {key: also for cards in CINE_CARDS.values() for _, key, also in cards}
    outside = {key: one for key, one in shown.items() if one.outside and not one.missing}
    told = [one for key, one in outside.items() if not _same_side(one, outside.get(indexed.get(key, "")))]
    return tuple(
        Flag(
            f"{one.measurement.label} {one.text} {one.unit}".strip(), one.outside, f"{one.interval} {one.unit}".strip()
        )
        for one in told
    )


def beyond_everyone(known: Iterable[Shown]) -> tuple[Flag, ...]:
    """Ejection fractions without a range, as sex or age is not known, that lie outside the range of every adult.

    Volumes and masses are left out: without age and sex they may be a child's.
    """
    told = []
    for one in known:
        value, limits = one.measurement.value, widest_range(one.measurement.key)
        if not one.measurement.key.endswith("_ef_percent") or value is None or one.interval or limits is None:
            continue
        low, high = limits
        margin = one.measurement.error or 0.0
        if low - margin <= value <= high + margin:
            continue
        interval = f"{low:.0f}–{high:.0f} {one.unit}, adults of either sex and any age"
        told.append(
            Flag(f"{one.measurement.label} {one.text} {one.unit}", "below" if value < low else "above", interval)
        )
    return tuple(told)


def _same_side(one: Shown, other: Shown | None) -> bool:
    return other is not None and one.outside == other.outside


def _item(name: str, one: Shown, also: Shown | None) -> Item:
    companion = ""
    if also is not None and not also.missing:
        words = COMPANION_WORDS.get(also.measurement.key, "")
        companion = f"{_value(also)} {also.unit} {words}".strip()
    return Item(name, one.measurement.label, one.measurement.key, _value(one), one.unit, companion)


def _value(one: Shown) -> str:
    return one.text if one.measurement.key in _FINE else one.short


def _not_compared(known: Iterable[Shown], *, flagged: bool) -> str:
    """Why there is no healthy range, in the words of the first number that lacks one."""
    notes = (one.measurement.note for one in known)
    reason = next((note.removeprefix(NO_RANGE) for note in notes if note.startswith(NO_RANGE)), "")
    because = f": {reason}" if reason else "."
    if flagged:
        return f"No other number is compared with a healthy range{because}"
    return f"Not compared with healthy ranges{because} Nothing here says whether a number is normal."
