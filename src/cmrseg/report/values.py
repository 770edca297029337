"""Measurements as the report prints them: rounded text, healthy interval, cards, and the table of both ventricles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cmrseg.report.figures import RangeBar, range_bar
from cmrseg.study import Measurement, Measurements

UNKNOWN = "—"
#: A reason that so many values lack is told on top of the page.
COMMON_FROM = 4
#: How quantification begins the note of a number without a healthy range.
NO_RANGE = "No reference range: "
#: Decimals in the table by unit; one where a unit is not named. Cards round to whole numbers where this says one.
TABLE_DECIMALS = {"m2": 2, "bpm": 0, "/min": 0, "1/min": 0, "": 2}
#: What is counted has no unit and no decimals; other numbers without a unit are shapes between 0 and 1.
COUNTS = ("lge_slices", "scar_segments", "scar_segments_over_50_percent", "scar_components")
#: Units whose first decimal a reader needs even at a glance.
_FINE_UNITS = ("L/min", "L/min/m2", "mm", "m2")
_PRINTED_UNITS = {"1/min": "bpm", "/min": "bpm"}


@dataclass(frozen=True)
class Shown:
    """One measurement ready to print.

    Args:
        measurement: what is shown.
        text: value for the table, or a dash.
        short: value for a card.
        unit: with raised digits.
        interval: healthy interval as text, empty without one.
        bar: the value against it, or None.
    """

    measurement: Measurement
    text: str
    short: str
    unit: str
    interval: str
    bar: RangeBar | None

    @property
    def outside(self) -> str:
        """``below`` or ``above`` the healthy interval by more than the error of measuring, or empty."""
        return self.measurement.outside

    @property
    def defined(self) -> tuple[str, ...]:
        """Definition, source and healthy group, by which two numbers are told to be defined alike."""
        reference = self.measurement.reference
        healthy = (reference.group, reference.source) if reference else ()
        return (self.measurement.definition, self.measurement.source, *healthy)

    @property
    def missing(self) -> str:
        """Why there is no value; empty where there is one."""
        return (self.measurement.note or "Not known.") if self.text == UNKNOWN else ""


@dataclass(frozen=True)
class Card:
    """A key number, its companion (indexed, or another measure of the same), and the one of the two that has a range.

    Args:
        title: above the number.
        main: the key number.
        indexed: its companion, or None.
        ranged: which of them is drawn against a healthy interval, or None.
    """

    title: str
    main: Shown
    indexed: Shown | None
    ranged: Shown | None

    @property
    def companion_words(self) -> str:
        """What stands after the companion's unit; empty where the unit says all."""
        return COMPANION_WORDS.get(self.indexed.measurement.key, "") if self.indexed else ""


@dataclass(frozen=True)
class Row:
    """A line of the table: the same quantity of both ventricles; None where a ventricle has no such number."""

    title: str
    unit: str
    lv: Shown | None
    rv: Shown | None

    @property
    def shown(self) -> tuple[Shown, ...]:
        """What there is, left before right."""
        return tuple(s for s in (self.lv, self.rv) if s)


@dataclass(frozen=True)
class Numbers:
    """All measurements of a stack, arranged for printing.

    Args:
        cards: key numbers by group, as a cine's by ventricle.
        rows: table of both ventricles.
        others: measurements of neither; wall segments are left to the bull's-eye.
        references: groups and sources of the healthy intervals.
        remarks: caveats of numbers that are known; why there is no range only where others have one.
        reasons: why numbers are missing, each reason once with the numbers that lack it.
        common_reason: why most missing numbers are missing; empty where there is no such reason.
        definitions: labels by definition by source.
    """

    cards: Mapping[str, tuple[Card, ...]]
    rows: tuple[Row, ...]
    others: tuple[Shown, ...]
    references: tuple[str, ...]
    remarks: tuple[str, ...]
    reasons: tuple[str, ...]
    common_reason: str
    definitions: Mapping[str, Mapping[str, tuple[str, ...]]]


#: Title, key, and key of the companion of every card, by group.
CardSpecs = Mapping[str, Sequence[tuple[str, str, str]]]
CINE_CARDS: CardSpecs = {
    "Left ventricle": (
        ("Ejection fraction", "lv_ef_percent", ""),
        ("End-diastolic volume", "lv_edv_ml", "lv_edvi_ml_m2"),
        ("End-systolic volume", "lv_esv_ml", "lv_esvi_ml_m2"),
        ("Stroke volume", "lv_sv_ml", "lv_svi_ml_m2"),
        ("Myocardial mass", "lv_mass_g", "lv_massi_g_m2"),
        ("Cardiac output", "lv_co_l_min", "lv_ci_l_min_m2"),
    ),
    "Right ventricle": (
        ("Ejection fraction", "rv_ef_percent", ""),
        ("End-diastolic volume", "rv_edv_ml", "rv_edvi_ml_m2"),
        ("End-systolic volume", "rv_esv_ml", "rv_esvi_ml_m2"),
        ("Stroke volume", "rv_sv_ml", "rv_svi_ml_m2"),
    ),
}
LGE_CARDS: CardSpecs = {
    "Scar, no-reflow included": (
        ("Scar mass", "scar_mass_g", "scar_volume_ml"),
        ("Scar, of LV mass", "scar_percent", "lge_lv_mass_g"),
        ("Of which no-reflow", "no_reflow_mass_g", "no_reflow_percent_of_scar"),
        ("Scar core", "scar_core_mass_g", ""),
        ("Grey zone", "scar_grey_zone_mass_g", ""),
    ),
}
#: What a companion on a card is, where its unit does not say.
COMPANION_WORDS = {
    "scar_volume_ml": "scar volume",
    "scar_percent": "of LV mass",
    "lge_lv_mass_g": "LV mass on LGE",
    "no_reflow_percent_of_scar": "of the scar",
}


def numbers_of(measurements: Measurements, card_specs: CardSpecs = CINE_CARDS) -> Numbers:
    """Arrange the measurements of a stack."""
    shown = {m.key: show(m) for m in measurements.values if "_aha" not in m.key}
    tabled = tuple(shown.values())
    return Numbers(
        cards=cards(shown, card_specs),
        rows=ventricle_rows(tabled),
        others=tuple(s for key, s in shown.items() if not key.startswith(("lv_", "rv_"))),
        references=reference_notes(tabled),
        remarks=remarks(tabled),
        reasons=reasons(tabled),
        common_reason=common_reason(tabled),
        definitions=definitions(tabled),
    )


def show(measurement: Measurement) -> Shown:
    """A measurement with its printed texts; a value that is None or not finite prints as a dash."""
    value = measurement.value
    known = value if value is not None and math.isfinite(value) else None
    decimals = 0 if measurement.key in COUNTS else TABLE_DECIMALS.get(measurement.unit, 1)
    short_decimals = decimals if measurement.unit in _FINE_UNITS else 0
    reference = measurement.reference
    interval = f"{_limit(reference.low)}–{_limit(reference.high)}" if reference else ""
    return Shown(
        measurement,
        number(known, decimals),
        number(known, short_decimals),
        printed_unit(measurement.unit),
        interval,
        range_bar(known, reference),
    )


def _limit(value: float) -> str:
    """A limit with one decimal, or none where it is a whole number, as reference tables print them."""
    return number(value, 1).removesuffix(".0")


def number(value: float | None, decimals: int) -> str:
    """A value rounded for reading, with a true minus sign and never minus zero; a dash for None."""
    if value is None:
        return UNKNOWN
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def printed_unit(unit: str) -> str:
    """A unit as printed, e.g. mL/m²."""
    return _PRINTED_UNITS.get(unit, unit.replace("m2", "m²"))


def cards(shown: Mapping[str, Shown], card_specs: CardSpecs) -> dict[str, tuple[Card, ...]]:
    """The key numbers by group; what was not measured has no card."""
    result = {}
    for group, entries in card_specs.items():
        found = tuple(
            Card(title, shown[key], shown.get(indexed), _ranged(shown[key], shown.get(indexed)))
            for title, key, indexed in entries
            if key in shown
        )
        if found:
            result[group] = found
    return result


def _ranged(main: Shown, indexed: Shown | None) -> Shown | None:
    """Which of the two is drawn against its interval: one outside it, else the indexed one."""
    drawn = [s for s in (indexed, main) if s and s.bar]
    return next((s for s in drawn if s.outside), next(iter(drawn), None))


def ventricle_rows(shown: Iterable[Shown]) -> tuple[Row, ...]:
    """Rows of the table LV | RV, in the order of measurement; what belongs to no ventricle is left out."""
    pairs: dict[str, dict[str, Shown]] = {}
    for one in shown:
        ventricle, _, quantity = one.measurement.key.partition("_")
        if ventricle in ("lv", "rv"):
            pairs.setdefault(quantity, {})[ventricle] = one
    rows = []
    for pair in pairs.values():
        first = pair.get("lv") or pair["rv"]
        title = first.measurement.label.removeprefix("LV ").removeprefix("RV ")
        rows.append(Row(title[:1].upper() + title[1:], first.unit, pair.get("lv"), pair.get("rv")))
    return tuple(rows)


def reference_notes(shown: Iterable[Shown]) -> tuple[str, ...]:
    """Where the healthy intervals come from: each group and source once."""
    references = (s.measurement.reference for s in shown)
    return tuple(dict.fromkeys(f"{r.group}: {r.source}" for r in references if r))


def remarks(shown: Iterable[Shown]) -> tuple[str, ...]:
    """What is to be said of numbers that are known, each remark once, with what it is about where that is short.

    Where no number has a healthy range, the summary says why.
    """
    listed = tuple(shown)
    compared = any(one.interval for one in listed)
    known = [one for one in listed if not one.missing]
    return _once(
        (one.measurement.note, one.measurement.label)
        for one in known
        if compared or not one.measurement.note.startswith(NO_RANGE)
    )


def reasons(shown: Iterable[Shown]) -> tuple[str, ...]:
    """Why numbers are missing, each reason once."""
    return _once((one.missing, one.measurement.label) for one in shown)


def _once(noted: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Each note once, behind the labels that it is about where they are few."""
    about: dict[str, list[str]] = {}
    for note, label in noted:
        if note:
            about.setdefault(note, []).append(label)
    return tuple(f"{', '.join(labels)}: {note}" if len(labels) <= 3 else note for note, labels in about.items())


def definitions(shown: Iterable[Shown]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Labels by definition by source: every definition and every source once, segments as one label."""
    sources: dict[str, dict[str, tuple[str, ...]]] = {}
    for one in shown:
        about = sources.setdefault(one.measurement.source, {})
        label, _, segment = one.measurement.label.partition(", AHA segment ")
        labels = (*about.get(one.measurement.definition, ()), f"{label} by AHA segment" if segment else label)
        about[one.measurement.definition] = tuple(dict.fromkeys(labels))
    return sources


def common_reason(shown: Iterable[Shown]) -> str:
    """The reason that most missing values share, if it is worth telling on top of the page; otherwise empty."""
    reasons = Counter(one.missing for one in shown if one.missing).most_common(1)
    return reasons[0][0] if reasons and reasons[0][1] >= COMMON_FROM else ""
