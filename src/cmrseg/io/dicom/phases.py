"""The order of the images of each slice in the heart beat, and the times that come of it; or a refusal.

A phase is the rank of an image within its slice: each slice has its own R-R interval, so equal trigger times do not
mean equal phases. One element orders the stack where it can. A slice in which it is missing, zero or the same in all
images is ordered by the next element that can, if that element agrees with the first in the other slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.records import Frame
from cmrseg.numbering import counted, slice_number
from cmrseg.study import Finding

#: In the order in which they are trusted; names as in `frames.make_frame`. Clocks that say when an image was stored
#: come after its number.
PHASE_KEYS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ActualCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "TemporalPosition",
    "TemporalPositionIndex",
    "TemporalPositionTimeOffset",
    "PhilipsPhaseNumber",
    "DimensionIndexValues",
    "AcquisitionTime",
    "InstanceNumber",
    "ContentTime",
)
#: Keys that are times after the R wave in ms.
CARDIAC_TIMES = ("TriggerTime", "NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime")
#: Keys that number the phases.
PHASE_NUMBERS = ("TemporalPosition", "TemporalPositionIndex", "PhilipsPhaseNumber", "DimensionIndexValues")
#: Keys that exist to tell the phases apart; the others tell images apart and may do so in any order.
_MEANT = PHASE_KEYS[: PHASE_KEYS.index("AcquisitionTime")]
#: A share of the R-R interval, and seconds since the first phase.
PERCENTAGE, OFFSET = "NominalPercentageOfCardiacPhase", "TemporalPositionTimeOffset"
#: A cardiac time that takes at least this many values in a slice is meant to tell phases apart.
MIN_DISTINCT_TIMES = 5
#: A step between two phases of this many usual steps means that one is missing.
MISSING_STEP = 1.5
#: An element that takes this many values for each image repeats few.
FEW_REPEATED = 0.75
#: The longest step of a clock that runs with the phases, in usual steps; one that only happens to differ has longer.
EVEN_STEP = 2.0
#: Steps of a cardiac time below this are no ms: two phases of a cine are at least one repetition apart.
MIN_STEP_MS = 2.0

EXPORT_AGAIN = "Export the complete series again from the scanner or archive."

Slices = Sequence[Sequence[Frame]]


@dataclass(frozen=True)
class Order:
    """Images in the order of their phases.

    Args:
        cells: frames by slice, then by phase.
        key: the element that orders most slices; None for one phase.
        keys: the element that orders each slice.
        findings: what was accepted.
    """

    cells: tuple[tuple[Frame, ...], ...]
    key: str | None
    keys: tuple[str | None, ...]
    findings: tuple[Finding, ...]


def order_phases(slices: Slices, base_first: bool | None = None) -> Order:
    """Order the images of every slice.

    Args:
        slices: each with the same number of images.
        base_first: True when the first lies at the base, where messages count from; None where that is not known.

    Raises:
        InputRefused: `uneven_phases` when nothing orders a slice; `duplicate_slices` for several acquisitions in one.
    """
    key = phase_key(slices)
    if key is None:
        if len(slices[0]) > 1:
            raise _nothing_orders(slices[0])
        return Order(tuple(tuple(found) for found in slices), None, (None,) * len(slices), ())
    keys = tuple(key if _tells(found, key) else _stand_in(slices, z, key, base_first) for z, found in enumerate(slices))
    cells = tuple(tuple(_sorted(found, own)) for found, own in zip(slices, keys, strict=True))
    findings = [*_count_findings(cells), *_stand_in_findings(slices, key, keys)]
    findings += _phase_findings(cells, key, keys, base_first)
    return Order(cells, key, keys, tuple(findings))


def phase_key(slices: Slices) -> str | None:
    """The element that orders the stack: one that is meant to and can in every slice, else the first that can in most.

    None when nothing orders a slice, or for one image per slice.
    """
    if max(len(found) for found in slices) < 2:
        return None
    count = {key: sum(_tells(found, key) for found in slices) for key in PHASE_KEYS}
    whole = next((key for key in _MEANT if count[key] == len(slices)), None)
    most = next((key for key in PHASE_KEYS if 2 * count[key] > len(slices)), None)
    best = max(PHASE_KEYS, key=lambda key: count[key])
    return whole or most or (best if count[best] else None)


def claimed_keys(slices: Slices) -> tuple[str | None, ...]:
    """For each slice the element by which two of its images could claim the same phase; None where none is meant so.

    An element that is the same in all images of a slice claims nothing. Nor does one that repeats a value in a slice
    with no more images than the others have, if another element orders these images without contradicting it, and if it
    works in the other slices or repeats few values: two acquisitions in one series repeat all of them.
    """
    usual = int(np.median([len(found) for found in slices]))
    meant = [
        key
        for key in (*CARDIAC_TIMES, *PHASE_NUMBERS)
        if np.median([len({f.phase[key] for f in found if key in f.phase}) for found in slices]) >= MIN_DISTINCT_TIMES
    ]
    works = {key for key in meant if 2 * sum(_tells(found, key) for found in slices) > len(slices)}
    return tuple(next((key for key in meant if _claims(found, key, usual, key in works)), None) for found in slices)


def _claims(found: Sequence[Frame], key: str, usual: int, works: bool) -> bool:
    values = [frame.phase[key] for frame in found if key in frame.phase]
    if len(values) < len(found) or len(set(values)) == 1:
        return False
    if len(set(values)) == len(values) or len(found) > usual:
        return True
    if not works and len(set(values)) < FEW_REPEATED * len(values):
        return True
    return not any(_tells(found, other) and _agrees(found, key, other) for other in PHASE_KEYS if other != key)


def _tells(found: Sequence[Frame], key: str) -> bool:
    """True when every image of a slice carries the element and no two the same value of it."""
    values = {frame.phase[key] for frame in found if key in frame.phase}
    if len(values) != len(found):
        return False
    # A clock that runs with the phases has even steps; one that only happens to differ gives way to the number.
    return key != "AcquisitionTime" or _even(values) or not _tells(found, "InstanceNumber")


def _even(values: set[float]) -> bool:
    steps = np.diff(sorted(values))
    return not len(steps) or bool(steps.max() <= EVEN_STEP * np.median(steps))


def _sorted(found: Sequence[Frame], key: str | None) -> list[Frame]:
    return sorted(found, key=lambda frame: frame.phase[key]) if key else list(found)


def _agrees(found: Sequence[Frame], key: str, other: str) -> bool:
    """True when the images in the order of `other` never run against what they carry of `key`; repeated zeros are none.

    Args:
        found: images of a slice, which `other` tells apart.
    """
    values = [frame.phase[key] for frame in _sorted(found, other) if key in frame.phase]
    if values.count(0.0) > 1:
        values = [value for value in values if value != 0.0]
    return values == sorted(values)


def _stand_in(slices: Slices, z: int, key: str, base_first: bool | None) -> str:
    """The element that orders a slice in which the stack's own cannot.

    Raises:
        InputRefused: `uneven_phases` when there is none that agrees with the stack's own, here and in the other slices.
    """
    others = [found for found in slices if _tells(found, key)]
    for other in PHASE_KEYS:
        if not _tells(slices[z], other) or not _agrees(slices[z], key, other):
            continue
        if all(_agrees(found, key, other) for found in others if _tells(found, other)):
            return other
    raise InputRefused(
        "uneven_phases",
        f"{key} orders the images of the other slices; in slice {slice_number(z, len(slices), base_first)} it "
        f"{_flaw(slices[z], key)}, and no other element orders these images in the same way.{counted(base_first)}",
        EXPORT_AGAIN,
    )


def _flaw(found: Sequence[Frame], key: str) -> str:
    """Why an element does not tell the images of a slice apart, in words."""
    values = [frame.phase[key] for frame in found if key in frame.phase]
    if len(values) < len(found):
        return f"is missing in {len(found) - len(values)} of {len(found)} images"
    if len(set(values)) == 1:
        return f"is {values[0]:g} in all images"
    return f"has only {len(set(values))} values for {len(found)} images"


def _stand_in_findings(slices: Slices, key: str, keys: Sequence[str | None]) -> list[Finding]:
    """Says which slices another element orders; a value that some images share asks for a look."""
    fallen = [z for z, own in enumerate(keys) if own != key]
    if not fallen:
        return []
    z = fallen[0]
    odd = any(
        all(key in frame.phase for frame in slices[at]) and len({frame.phase[key] for frame in slices[at]}) > 1
        for at in fallen
    )
    where = "one slice" if len(fallen) == 1 else f"{len(fallen)} slices"
    message = f"{key} orders the phases; in {where} it {_flaw(slices[z], key)}, and {keys[z]} orders them there."
    return [Finding("phase_key_of_slice", "review" if odd else "info", message, slice=z)]


def _nothing_orders(found: Sequence[Frame]) -> InputRefused:
    enhanced = found[0].header.n_frames > 1
    return InputRefused(
        "uneven_phases",
        f"No element of the headers orders the {len(found)} images of each slice in time.",
        "Export the series with "
        + (
            "NominalCardiacTriggerDelayTime, NominalPercentageOfCardiacPhase or TemporalPositionIndex of every frame."
            if enhanced
            else "TriggerTime or InstanceNumber."
        ),
    )


def _count_findings(cells: Slices) -> list[Finding]:
    """Compare the number of phases with CardiacNumberOfImages; refuses whole multiples as several acquisitions."""
    announced = max((frame.header.cardiac_images or 0 for found in cells for frame in found), default=0)
    n_phases = len(cells[0])
    if announced < MIN_DISTINCT_TIMES or n_phases == announced:
        return []
    if n_phases > announced and n_phases % announced == 0:
        raise InputRefused(
            "duplicate_slices",
            f"Every slice holds {n_phases} images of a heart beat of {announced}: several acquisitions in one series.",
            "Keep one acquisition per folder, or export the series again.",
        )
    if n_phases > announced:
        return []
    message = f"The scanner made {announced} phases of the heart beat; {n_phases} are here."
    return [Finding("phases_missing", "review", message)]


def _phase_findings(cells: Slices, key: str, keys: Sequence[str | None], base_first: bool | None) -> list[Finding]:
    """Holes and shifts in the order of the phases; refuses holes that differ between slices."""
    ordered = {z: found for z, (found, own) in enumerate(zip(cells, keys, strict=True)) if own == key}
    if key in PHASE_NUMBERS:
        _refuse_other_numbers(ordered, key, len(cells), base_first)
    if key not in CARDIAC_TIMES or len(cells[0]) < MIN_DISTINCT_TIMES:
        return []
    times = np.array([[frame.phase[key] for frame in found] for found in ordered.values()])
    steps = np.diff(times, axis=1)
    usual = np.median(steps, axis=1, keepdims=True)
    holes = steps > MISSING_STEP * usual
    findings = []
    if milliseconds(cells, key) != 1.0:
        findings.append(Finding("time_unit", "info", f"{key} is in seconds, not in milliseconds, and was read so."))
    if holes.any():
        if not (holes == holes[:1]).all():
            at = [z for z, own in zip(ordered, holes, strict=True) if own.any()]
            numbers = ", ".join(map(str, sorted(slice_number(z, len(cells), base_first) for z in at)))
            raise InputRefused(
                "uneven_phases",
                f"{key} jumps within slice(s) {numbers} and not at the same phase in all slices: phases are missing."
                f"{counted(base_first)}",
                EXPORT_AGAIN,
            )
        first = int(np.flatnonzero(holes[0])[0])
        message = f"{key} jumps in every slice after this frame: a phase is missing."
        findings.append(Finding("phase_gap", "review", message, frame=first))
    starts = times[:, 0] / usual[:, 0]
    if float(np.ptp(starts)) > MISSING_STEP / 2:
        findings.append(
            Finding(
                "phase_shift",
                "review",
                f"Slices begin up to {float(np.ptp(starts)):.1f} phases apart after the R wave; "
                "frames of different slices may not show the same moment.",
            )
        )
    return findings


def _refuse_other_numbers(
    ordered: dict[int, Sequence[Frame]], key: str, n_slices: int, base_first: bool | None
) -> None:
    """Refuse slices whose phase numbers overlap but are not the same: different phases are missing."""
    numbers = {z: frozenset(frame.phase[key] for frame in found) for z, found in ordered.items()}
    first, expected = next(iter(numbers.items()))
    for z, own in numbers.items():
        if own != expected and own & expected:
            a, b = sorted(slice_number(at, n_slices, base_first) for at in (first, z))
            raise InputRefused(
                "uneven_phases",
                f"{key} does not run over the same numbers in slices {a} and {b}.{counted(base_first)}",
                EXPORT_AGAIN,
            )


def milliseconds(slices: Slices, key: str) -> float:
    """What to multiply a cardiac time with to have ms: 1000 where a scanner or program wrote seconds, else 1."""
    series = [sorted({frame.phase[key] for frame in found if key in frame.phase}) for found in slices]
    series = [values for values in series if len(values) >= MIN_DISTINCT_TIMES]
    if not series:
        return 1.0
    steps = [float(np.median(np.diff(values))) for values in series]
    begins = max(abs(values[0]) for values in series)
    seconds = max(steps) < MIN_STEP_MS and begins < MIN_STEP_MS and all(_even(set(values)) for values in series)
    return 1000.0 if seconds else 1.0


def frame_times(order: Order) -> NDArray[np.float64] | None:
    """Time of each phase after the R wave in ms, float64[T], as the median over the slices; None when not told.

    Without times after the R wave: the share of the R-R interval that the files name, else even parts of it.
    """
    n_phases, key = len(order.cells[0]), order.key
    told = [found for found, own in zip(order.cells, order.keys, strict=True) if own == key]
    intervals = [frame.rr_ms for found in order.cells for frame in found if frame.rr_ms is not None]
    rate_bpm = heart_rate(order.cells)
    rr_ms = float(np.median(intervals)) if intervals else 60_000.0 / rate_bpm if rate_bpm else None
    if key is not None and key in (*CARDIAC_TIMES, PERCENTAGE, OFFSET):
        values = np.asarray(np.median([[frame.phase[key] for frame in found] for found in told], axis=0), np.float64)
        if key in CARDIAC_TIMES:
            return np.asarray(values * milliseconds(told, key))
        if key == OFFSET:
            # The offset counts from a moment that the standard leaves to the scanner; the first phase begins the beat.
            return np.asarray((values - values[0]) * 1000.0)
        if rr_ms is not None:
            # A share of 1 instead of 100 %.
            return np.asarray(values * (rr_ms if values.max() <= 1.0 else rr_ms / 100.0))
    if n_phases < 2 or rr_ms is None:
        return None
    return np.arange(n_phases, dtype=np.float64) * (rr_ms / n_phases)


def heart_rate(cells: Slices) -> float | None:
    """Median over the slices of HeartRate, or of the rate of the nominal R-R interval; beats per minute."""
    for rates in (
        [frame.heart_rate_bpm for found in cells for frame in found if frame.heart_rate_bpm is not None],
        [60_000.0 / frame.rr_ms for found in cells for frame in found if frame.rr_ms is not None],
    ):
        if rates:
            return float(np.median(rates))
    return None
