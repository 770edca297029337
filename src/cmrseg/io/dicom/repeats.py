"""Slices that were acquired again, inside a series or as one of their own, and slices that continue a stack.

Of two breath holds of a slice the later one is used. Where no time tells which is later, both are kept in mind and the
stack is refused when it is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.resampling import MAX_TILT_DEGREES, ON_GRID_MM, Bore
from cmrseg.io.dicom.stacks import SECONDS_PER_DAY, Stack, acquired, moment
from cmrseg.io.slices import step_multiples

#: Breath holds are farther apart in time; the images of one follow each other faster.
PAUSE_S = 8.0
#: Hearts that beat at rates farther apart are at rest and under stress: no breath hold that stands in for another.
SAME_RATE = 1.25
#: Elements that tell the phase of an image, to see whether two groups of images are of the same phases.
PHASES = ("TriggerTime", "NominalCardiacTriggerDelayTime", "TemporalPosition", "PhilipsPhaseNumber")


def without_earlier(group: Stack) -> list[Stack]:
    """A series with the last whole breath hold of each slice; earlier ones are its repeats, broken-off ones follow."""
    holds = [_breath_holds(found) for found in group.slices]
    sizes = Counter(len(hold) for found in holds for hold in found)
    usual = max(sizes, key=lambda size: (sizes[size], size))
    if usual < 2 or all(len(found) == 1 for found in holds):
        return [group]
    kept: list[Frame] = []
    earlier: list[Frame] = []
    broken: list[list[Frame]] = []
    for found in holds:
        whole = [n for n, hold in enumerate(found) if len(hold) == usual]
        if not whole:
            kept += [frame for hold in found for frame in hold]
            continue
        kept += found[whole[-1]]
        for n, hold in enumerate(found):
            if n < whole[-1]:
                earlier += hold
            elif n > whole[-1]:
                broken.append(hold)
    return [Stack(tuple(kept), tuple(earlier)), *(Stack(tuple(hold)) for hold in broken)]


def _breath_holds(found: Sequence[Frame]) -> list[list[Frame]]:
    """Images of a slice by acquisition, the earliest first; together where times do not part them, or phases do."""
    if any(frame.acquired_seconds is None for frame in found):
        return [list(found)]
    order = sorted(found, key=lambda f: (_seconds(f), f.header.number, f.index))
    holds = [[order[0]]]
    for frame in order[1:]:
        if _seconds(frame) - _seconds(holds[-1][-1]) > PAUSE_S:
            holds.append([])
        holds[-1].append(frame)
    alike = min(len(hold) for hold in holds) > 1 and all(_same_phases(holds[0], hold) for hold in holds[1:])
    return holds if alike else [list(found)]


def _seconds(frame: Frame) -> float:
    day, seconds, _ = acquired(frame)
    return day * SECONDS_PER_DAY + seconds


def _same_phases(first: Sequence[Frame], second: Sequence[Frame]) -> bool:
    """True unless the images of two groups share out the beat among them."""
    for key in PHASES:
        if all(key in frame.phase for frame in (*first, *second)):
            a, b = (sorted(frame.phase[key] for frame in found) for found in (first, second))
            shared = min(a[-1], b[-1]) - max(a[0], b[0])
            return shared >= 0.5 * min(a[-1] - a[0], b[-1] - b[0])
    return True


def merged(stack: Stack, other: Stack) -> Stack | None:
    """A stack with another group of its kind that continues it, fills its gaps, or shows slices of it again.

    Args:
        stack: three slices or more.
        other: akin to it; of the same plane, or of one that is tilted little.

    Returns:
        None when it is neither, as a second stack of its own, or when its planes cannot be brought onto the grid.
    """
    fitted = _fitted(stack, other)
    if fitted is None:
        return None
    again = [z for found in fitted.slices if (z := stack.slice_at(found[0])) is not None]
    if not _even_together(stack, fitted):
        return None
    if not again:
        return _with(stack, stack.frames, fitted, fitted.frames, ())
    if not _a_correction(stack, other, again):
        return None
    return _corrected(stack, fitted)


def _fitted(stack: Stack, other: Stack) -> Stack | None:
    """The other group on the grid of the stack; None when its planes are others or do not show the heart."""
    bore = Bore.of(stack)
    if any(bore.tilt_degrees(found[0]) > MAX_TILT_DEGREES for found in other.slices):
        return None
    frames = []
    for found in other.slices:
        places = [bore.place_of(frame) for frame in found]
        place = float(np.median(places))
        near = int(np.abs(stack.places_mm - place).argmin())
        if abs(stack.places_mm[near] - place) <= ON_GRID_MM * 5:
            place = float(stack.places_mm[near])
        for frame, own in zip(found, places, strict=True):
            if abs(own - place) <= ON_GRID_MM and _on_grid(stack, bore, frame, place):
                frames.append(frame)
            elif bore.covered_by(frame):
                frames.append(bore.fit(frame, place))
            else:
                return None
    return Stack(tuple(frames), other.repeats, other.undecided)


def _on_grid(stack: Stack, bore: Bore, frame: Frame, place_mm: float) -> bool:
    """True when an image needs no resampling."""
    header = frame.header
    turned = float(np.abs(np.reshape(frame.orientation or (), (2, 3)) - bore.axes[:2]).max())
    return (
        (header.rows, header.columns) == (bore.rows, bore.columns)
        and np.allclose(frame.spacing_rc or (), bore.spacing_rc, rtol=1e-3, atol=0)
        and turned * max(bore.rows, bore.columns) * max(bore.spacing_rc) <= ON_GRID_MM
        and bore.lateral_mm(frame, place_mm) <= ON_GRID_MM * 5
    )


def _even_together(stack: Stack, other: Stack) -> bool:
    """True when both groups have even places together, at the stack's distance, and no gap is new."""
    own = step_multiples(np.diff(stack.places_mm))
    new = [stack.projection(found[0]) for found in other.slices if stack.slice_at(found[0]) is None]
    steps = np.diff(np.sort([*stack.places_mm, *new]))
    multiples = step_multiples(steps)
    if own is None or multiples is None:
        return False
    step, distance = float(np.median(steps / multiples)), float(np.median(np.diff(stack.places_mm) / own))
    if abs(step - distance) <= max(0.01 * distance, 0.1):
        return bool((multiples - 1).sum() <= (own - 1).sum())
    return bool((multiples == 1).all()) and _odd_one(stack, other)


def _odd_one(stack: Stack, other: Stack) -> bool:
    """True when every second slice of a stack is in another group for its field of view, not for another plan."""
    return not stack.frames[0].acquired and any(frame.acquired for frame in other.frames)


def _a_correction(stack: Stack, other: Stack, again: Sequence[int]) -> bool:
    """True when slices of a stack were acquired again, rather than another stack of the same places."""
    rates = [rate for found in (stack, other) if (rate := heart_rate(found.frames)) is not None]
    return (
        2 * len(again) <= len(stack.slices)
        and other.n_images == stack.n_images
        and other.frames[0].derived == stack.frames[0].derived
        and (len(rates) < 2 or max(rates) < SAME_RATE * min(rates))
    )


def heart_rate(frames: Sequence[Frame]) -> float | None:
    """Median heart rate of some images, told or by the R-R interval."""
    rates = [f.heart_rate_bpm or (60_000.0 / f.rr_ms if f.rr_ms else None) for f in frames]
    known = [rate for rate in rates if rate is not None]
    return float(np.median(known)) if known else None


def _corrected(stack: Stack, other: Stack) -> Stack:
    """A stack with the later images of each slice; as it is where no time tells which are later."""
    kept, added = list(stack.slices), []
    repeats: list[Frame] = []
    undecided: list[Frame] = []
    for found in other.slices:
        z = stack.slice_at(found[0])
        if z is None:
            added.append(found)
            continue
        own, again = moment(kept[z]), moment(found)
        if own is None or again is None or own == again:
            undecided += found
        elif again > own:
            repeats += kept[z]
            kept[z] = found
        else:
            repeats += found
    frames = tuple(frame for found in (*kept, *added) for frame in found)
    return _with(stack, frames, other, (), (*repeats,), (*undecided,))


def _with(
    stack: Stack,
    frames: Sequence[Frame],
    other: Stack,
    more: Sequence[Frame],
    repeats: Sequence[Frame],
    undecided: Sequence[Frame] = (),
) -> Stack:
    """A stack of some frames, with what was left out of both that it is made of; acquired images go first."""
    order = sorted((*frames, *more), key=lambda f: (f.derived, f.acquired is not None, f.header.number, f.index))
    return Stack(
        tuple(order),
        (*stack.repeats, *other.repeats, *repeats),
        (*stack.undecided, *other.undecided, *undecided),
    )
