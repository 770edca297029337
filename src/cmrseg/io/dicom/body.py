"""Height and weight as somebody typed them: metres and kilograms, or what can only have been meant.

DICOM wants metres and kilograms. People type centimetres, inches, grams, units and decimal commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Beyond these nothing is believed, in whatever unit.
HEIGHT_RANGE_M = (0.3, 2.5)
WEIGHT_RANGE_KG = (1.0, 400.0)
#: What a number in another unit must come to, to be believed.
_CONVERTED_HEIGHT_M = (0.4, 2.3)
_CONVERTED_WEIGHT_KG = (2.0, 300.0)
#: Weight over height squared in kg/m2 that a person can have, from a premature infant to the heaviest adults.
_BODY_MASS_INDEX = (8.0, 90.0)
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "inch": 0.0254, "inches": 0.0254}
_KILOGRAMS = {"kg": 1.0, "g": 0.001, "lb": 0.45359237, "lbs": 0.45359237}
#: Units of a number without one that is no metre; grams are the only such unit of a weight.
_UNWRITTEN = ("cm", "mm", "in")
#: More than any weight in kilograms or pounds.
_LEAST_GRAMS = 1000.0
_WRITTEN = re.compile(r"(\d{1,7}(?:[.,]\d{1,6})?) ?([a-z]{0,6})")


@dataclass(frozen=True)
class Entry:
    """A height in m or a weight in kg, None where there is none that can be used; and what is odd about it."""

    value: float | None = None
    converted: str = ""
    unusable: str = ""


def height(written: Iterable[str], weights: Iterable[str] = ()) -> Entry:
    """The first usable height among the texts of a study's files.

    Args:
        written: what the files hold; empty for nothing.
        weights: what they hold of the weight, which tells centimetres of a child from inches of an adult.
    """
    weight_kg = next((number for text in weights if (number := _plain(text, "kg", WEIGHT_RANGE_KG))), None)
    entries = [_height(text, weight_kg) for text in dict.fromkeys(written)]
    return _first(entries)


def weight(written: Iterable[str], height_m: float | None) -> Entry:
    """The first usable weight among the texts of a study's files; grams must fit the height where it is known."""
    return _first([_weight(text, height_m) for text in dict.fromkeys(written)])


def _first(entries: list[Entry]) -> Entry:
    usable = next((entry for entry in entries if entry.value is not None), None)
    return usable or next((entry for entry in entries if entry.unusable), Entry())


def _height(text: str, weight_kg: float | None) -> Entry:
    metres = _plain(text, "m", HEIGHT_RANGE_M)
    if metres is not None:
        return Entry(metres)
    wrong = f"PatientSize {_shown(text)} is no height in metres"
    found = _number(text)
    if found is None or found[0] == 0:
        return Entry() if not text or found else Entry(unusable=wrong + ".")
    number, unit = found
    low, high = _CONVERTED_HEIGHT_M
    units = [unit] if unit else _UNWRITTEN
    fitting = {one: number * _METRES[one] for one in units if one in _METRES and low <= number * _METRES[one] <= high}
    if not unit and low <= number <= high:
        fitting = {"m": number}
    if weight_kg is not None:
        fitting = {one: metres for one, metres in fitting.items() if _fits(metres, weight_kg)}
    if len(fitting) != 1 or (weight_kg is None and not unit and "in" in fitting):
        return Entry(unusable=wrong + ".")
    (metres,) = fitting.values()
    return Entry(metres, f"{wrong} and was read as {round(metres, 3):g} m.")


def _weight(text: str, height_m: float | None) -> Entry:
    kilograms = _plain(text, "kg", WEIGHT_RANGE_KG)
    if kilograms is not None:
        return Entry(kilograms)
    wrong = f"PatientWeight {_shown(text)} is no weight in kilograms"
    found = _number(text)
    if found is None or found[0] == 0:
        return Entry() if not text or found else Entry(unusable=wrong + ".")
    number, unit = found
    factor = _KILOGRAMS.get(unit or ("g" if number > _LEAST_GRAMS else "kg"))
    kilograms = number * factor if factor else 0.0
    low, high = _CONVERTED_WEIGHT_KG
    if not low <= kilograms <= high or (not unit and height_m is not None and not _fits(height_m, kilograms)):
        return Entry(unusable=wrong + ".")
    return Entry(kilograms, f"{wrong} and was read as {kilograms:.1f} kg.")


def _plain(text: str, unit: str, limits: tuple[float, float]) -> float | None:
    """A number as DICOM wants it, perhaps with its unit, within limits."""
    found = _number(text)
    if found is None or "," in text or found[1] not in ("", unit):
        return None
    return found[0] if limits[0] <= found[0] <= limits[1] else None


def _number(text: str) -> tuple[float, str] | None:
    """A number and its unit, empty for none; None for other text."""
    match = _WRITTEN.fullmatch(text.strip().lower().replace('"', "in"))
    return (float(match[1].replace(",", ".")), match[2]) if match else None


def _shown(text: str) -> str:
    """The entry for a message; only what reads as a number, since anything may have been typed there."""
    return text.strip() if _number(text) else "as it is written"


def _fits(height_m: float, weight_kg: float) -> bool:
    low, high = _BODY_MASS_INDEX
    return low <= weight_kg / height_m**2 <= high
