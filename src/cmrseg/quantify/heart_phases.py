"""End-diastole and end-systole from the volume curve of the left ventricle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: With fewer frames a neighbour is too far away in the beat to be averaged with.
FEWEST_FRAMES_TO_SMOOTH = 8


@dataclass(frozen=True)
class HeartPhases:
    """The two frames that volumes are read from.

    Args:
        ed_frame: largest volume, counted from 0; None when the structure is nowhere.
        es_frame: smallest volume; None when it cannot be told.
        note: why one is None, and what stood in for the LV cavity; empty otherwise.
    """

    ed_frame: int | None
    es_frame: int | None
    note: str = ""


def smooth_over_the_beat(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve averaged 1-2-1 with its neighbours, last and first frame being neighbours; short curves as they are."""
    if len(curve) < FEWEST_FRAMES_TO_SMOOTH:
        return curve
    return 0.5 * curve + 0.25 * (np.roll(curve, 1) + np.roll(curve, -1))


def find_phases(curve_ml: NDArray[np.float64]) -> HeartPhases:
    """Frames of the largest (end-diastole) and the smallest (end-systole) volume of the left ventricle.

    The smoothed curve says in which part of the beat they lie, so that one bad frame elsewhere is not taken for
    either; among that frame and its two neighbours the measured, unsmoothed curve decides, so that the volumes read
    there are not pulled towards each other. End-diastole is never assumed to be the first frame. Frames without the
    ventricle are passed over: an empty mask is nobody's end-systole.

    Args:
        curve_ml: float64[T] LV cavity volume in mL, T at least 1, equally spaced over the beat.

    Returns:
        Both frames; no end-systole for one frame or a volume that never changes, none at all for an empty curve.
    """
    seen = np.flatnonzero(curve_ml > 0.0)
    if len(seen) == 0:
        return HeartPhases(None, None, "The left ventricle is labelled in no frame.")
    if len(seen) < len(curve_ml):
        found = find_phases(curve_ml[seen])
        return replace(found, ed_frame=_place(seen, found.ed_frame), es_frame=_place(seen, found.es_frame))
    if len(curve_ml) == 1:
        return HeartPhases(0, None, "One phase only: its volume stands for end-diastole, and nothing for end-systole.")
    if curve_ml.max() == curve_ml.min():
        return HeartPhases(0, None, "The volume is the same in every frame, so no frame is end-systole.")
    smooth = smooth_over_the_beat(curve_ml)
    ed_frame = _extreme_near(int(smooth.argmax()), curve_ml)
    es_frame = _extreme_near(int(smooth.argmin()), -curve_ml)
    return HeartPhases(ed_frame, es_frame)


def _place(frames: NDArray[np.intp], k: int | None) -> int | None:
    return None if k is None else int(frames[k])


def _extreme_near(frame: int, curve: NDArray[np.float64]) -> int:
    """Frame of the largest value among a frame and its neighbours around the beat; the frame itself when equal."""
    if len(curve) < FEWEST_FRAMES_TO_SMOOTH:
        return frame
    candidates = [frame, (frame - 1) % len(curve), (frame + 1) % len(curve)]
    return max(candidates, key=lambda k: float(curve[k]))
