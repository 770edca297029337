"""How far apart in time the images of a slice are: phases of a beat, or one image per heart beat as in perfusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmrseg.io.dicom.phases import CARDIAC_TIMES, EVEN_STEP, OFFSET, PERCENTAGE, milliseconds
from cmrseg.io.dicom.stacks import Stack

#: Cardiac times that differ less within a slice are one moment of the beat, measured again and again.
SAME_MOMENT_MS = 100.0
#: The interval that a share of the heart beat is taken of where the files name none.
USUAL_RR_MS = 900.0


@dataclass(frozen=True)
class Pace:
    """Times of the images of a slice.

    Args:
        step_ms: from one image to the next, median of the stack.
        span_ms: from the first to the last, median over the slices.
        even: no step of a slice is much longer than the others.
    """

    step_ms: float
    span_ms: float
    even: bool


def cardiac_pace(stack: Stack) -> Pace | None:
    """Pace by times after the R wave; None where the files have none, or one moment of the beat for all images."""
    for key in (*CARDIAC_TIMES, PERCENTAGE, OFFSET):
        found = _pace(stack, key, _in_ms(stack, key))
        if found is not None and found.span_ms > SAME_MOMENT_MS:
            return found
    return None


def clock_pace(stack: Stack, key: str) -> Pace | None:
    """Pace by a time of day, which in a gated cine says little; None where it does not tell the images apart."""
    return _pace(stack, key, 1000.0)


def rr_ms(stack: Stack) -> float | None:
    """Median R-R interval of the files; None where they name none."""
    intervals = [frame.rr_ms for frame in stack.frames if frame.rr_ms is not None]
    return float(np.median(intervals)) if intervals else None


def _in_ms(stack: Stack, key: str) -> float:
    if key == PERCENTAGE:
        return (rr_ms(stack) or USUAL_RR_MS) / 100.0
    return 1000.0 if key == OFFSET else milliseconds(stack.slices, key)


def _pace(stack: Stack, key: str, in_ms: float) -> Pace | None:
    times = [sorted({frame.phase[key] * in_ms for frame in found if key in frame.phase}) for found in stack.slices]
    several = [one for one in times if len(one) > 1]
    steps = [np.diff(one) for one in several]
    if not steps or sum(map(len, steps)) < len(stack.frames) // 2:
        return None
    return Pace(
        step_ms=float(np.median(np.concatenate(steps))),
        span_ms=float(np.median([one[-1] - one[0] for one in several])),
        even=_mostly([bool(own.max() <= EVEN_STEP * np.median(own)) for own in steps]),
    )


def _mostly(answers: Sequence[bool]) -> bool:
    return 2 * sum(answers) > len(answers)
