"""How parallel slices follow each other, whatever the files are: one even step, nothing missing, or a refusal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused

#: Images closer along the normal are of one slice. Short-axis slices lie 4 mm apart and more.
SAME_PLACE_MM = 0.5


def slice_step(origins_mm: NDArray[np.float64], normal: NDArray[np.float64], remedy: str) -> NDArray[np.float64]:
    """The vector from a slice to the next one, from the places of all.

    Args:
        origins_mm: float64[Z, 3], centre of the first pixel of each slice, in order along the normal; Z at least 2.
        normal: unit normal of the slices.
        remedy: what a reader of the refusal can do.

    Raises:
        InputRefused: `geometry` for slices unevenly spaced or not above each other; `slice_gap` where one is missing.
    """
    steps = np.diff(origins_mm @ normal)
    _refuse_irregular(steps, remedy)
    index = np.arange(len(origins_mm)) - (len(origins_mm) - 1) / 2
    from_middle = origins_mm - origins_mm.mean(axis=0)
    step = index @ from_middle / float(index @ index)
    off = float(np.linalg.norm(from_middle - index[:, None] * step, axis=1).max())
    if off > SAME_PLACE_MM:
        raise InputRefused(
            "geometry", f"The slices do not lie above each other: one is {off:.2f} mm off the line.", remedy
        )
    return np.asarray(step)


def _refuse_irregular(steps: NDArray[np.float64], remedy: str) -> None:
    """Refuse slice distances that differ; a multiple of the smallest one is a missing slice."""
    base = float(steps.min())
    tolerance = max(0.01 * base, 0.1)
    multiples = np.maximum(1, np.round(steps / base))
    off = np.abs(steps - multiples * float(np.median(steps / multiples)))
    if (off > tolerance * multiples).any():
        listed = ", ".join(f"{step:.2f}" for step in steps)
        raise InputRefused("geometry", f"The slices are not evenly spaced: distances of {listed} mm.", remedy)
    gaps = np.flatnonzero(multiples > 1)
    if len(gaps):
        named = "; ".join(
            f"{int(multiples[gap]) - 1} missing between slices {gap + 1} and {gap + 2} ({steps[gap]:.1f} mm apart)"
            for gap in gaps
        )
        raise InputRefused(
            "slice_gap", f"Slices are missing in a stack of {float(np.median(steps)):.1f} mm: {named}.", remedy
        )
