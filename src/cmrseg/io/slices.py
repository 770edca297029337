"""How parallel slices follow each other, whatever the files are: one even step, nothing missing, or a refusal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.numbering import counted, slice_number

#: Images closer along the normal are of one slice. Short-axis slices lie 4 mm apart and more.
SAME_PLACE_MM = 0.5
#: A step smaller than this part of the others is no usual one: a slice lies beside the stack.
LEAST_STEP = 0.3


def slice_step(
    origins_mm: NDArray[np.float64], normal: NDArray[np.float64], remedy: str, base_first: bool | None = None
) -> NDArray[np.float64]:
    """The vector from a slice to the next one, from the places of all.

    Args:
        origins_mm: float64[Z, 3], centre of the first pixel of each slice, in order along the normal; Z at least 2.
        normal: unit normal of the slices.
        remedy: what a reader of the refusal can do.
        base_first: True when the first slice lies at the base, where messages count from; None where that is not known.

    Raises:
        InputRefused: `geometry` for slices unevenly spaced or not above each other; `slice_gap` where one is missing.
    """
    steps = np.diff(origins_mm @ normal)
    _refuse_irregular(steps, remedy, base_first)
    index = np.arange(len(origins_mm)) - (len(origins_mm) - 1) / 2
    from_middle = origins_mm - origins_mm.mean(axis=0)
    step = index @ from_middle / float(index @ index)
    off = float(np.linalg.norm(from_middle - index[:, None] * step, axis=1).max())
    if off > SAME_PLACE_MM:
        raise InputRefused(
            "geometry", f"The slices do not lie above each other: one is {off:.2f} mm off the line.", remedy
        )
    return np.asarray(step)


def step_multiples(steps_mm: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """How many times the usual step each step is, from one slice to the next; None where they are no multiples of one.

    Args:
        steps_mm: float64[Z - 1] distances of neighbouring slices, positive; the smallest is taken for the usual one.
    """
    if not len(steps_mm):
        return np.zeros(0, np.intp)
    base = float(steps_mm.min())
    if base < LEAST_STEP * float(np.median(steps_mm)):
        return None
    tolerance = max(0.01 * base, 0.1)
    multiples = np.maximum(1, np.round(steps_mm / base))
    off = np.abs(steps_mm - multiples * float(np.median(steps_mm / multiples)))
    return None if (off > tolerance * multiples).any() else np.asarray(multiples, np.intp)


def _refuse_irregular(steps: NDArray[np.float64], remedy: str, base_first: bool | None) -> None:
    """Refuse slice distances that differ; a multiple of the smallest one is a missing slice."""
    multiples = step_multiples(steps)
    if multiples is None:
        in_order = steps[::-1] if base_first is False else steps
        listed = ", ".join(f"{step:.2f}" for step in in_order)
        start = "" if base_first is None else ", from the base"
        raise InputRefused(
            "geometry",
            f"The slices are not evenly spaced: distances of {listed} mm{start}.",
            remedy,
        )
    gaps = np.flatnonzero(multiples > 1)
    if len(gaps):
        named = []
        for gap in gaps[::-1] if base_first is False else gaps:
            a, b = sorted(slice_number(int(z), len(steps) + 1, base_first) for z in (gap, gap + 1))
            named.append(f"{int(multiples[gap]) - 1} missing between slices {a} and {b} ({steps[gap]:.1f} mm apart)")
        raise InputRefused(
            "slice_gap",
            f"Slices are missing in a stack of {float(np.median(steps)):.1f} mm: {'; '.join(named)}."
            f"{counted(base_first)}",
            remedy,
        )
