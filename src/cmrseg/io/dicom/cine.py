"""Can a stack be a short-axis cine?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmrseg.io.dicom.evidence import Judgement, against_short_axis, common_evidence, named_otherwise
from cmrseg.io.dicom.phases import CARDIAC_TIMES
from cmrseg.io.dicom.stacks import Stack

#: Distance of neighbouring slices in mm; 8 to 10 is usual, children and 3-D stacks have less.
CINE_DISTANCE_MM = (4.0, 25.0)
#: Phases that make a cine without further evidence, and with the word or the order of the user.
MIN_PHASES = 8
MIN_PHASES_NAMED = 2
#: Steps between two phases of a cine; perfusion takes one image per heart beat.
MAX_PHASE_STEP_MS = 150.0
#: The same by the time of acquisition in seconds, which in a gated cine says little.
BEAT_BY_BEAT = ("AcquisitionTime", 1000.0, 400.0)


def judge_cine(stack: Stack, stacks: Sequence[Stack] = (), *, forced: bool = False) -> Judgement:
    """Judge a stack.

    Args:
        stack: to judge.
        stacks: all of the study; not asked.
        forced: the user says that it is one: fewer phases, any direction and any pace are accepted.
    """
    against = _against(stack, forced)
    if against:
        return Judgement(stack, None, against)
    points, reasons = common_evidence(stack)
    if stack.frames[0].derived:
        points -= 4
        reasons.append("derived images")
    if "cine" in stack.hints:
        points += 1
        reasons.append("called cine")
    if stack.n_images >= MIN_PHASES:
        points += 1
    return Judgement(
        stack, points, f"{len(stack.slices)} parallel slices, {stack.n_images} phases, {', '.join(reasons)}"
    )


def _against(stack: Stack, forced: bool) -> str:
    against = named_otherwise(stack) or against_short_axis(stack, CINE_DISTANCE_MM, forced)
    if against:
        return against
    if stack.frames[0].component != "magnitude":
        return f"{stack.frames[0].component} images"
    enough = MIN_PHASES_NAMED if forced or stack.hints & {"cine", "short axis"} else MIN_PHASES
    if stack.n_images < enough:
        return f"{stack.n_images} image(s) per slice, no cine"
    if stack.scans_inversion:
        return "inversion time changes within a slice: a T1 map or a TI scout"
    if forced:
        return ""
    if stack.inverted and "cine" not in stack.hints:
        return "an inversion pulse: no cine"
    if stack.hints & {"lge", "early enhancement"} and "cine" not in stack.hints:
        return f"called {'LGE' if 'lge' in stack.hints else 'early enhancement'}"
    return "" if stack.hints & {"cine", "short axis"} else _too_slow(stack)


def _too_slow(stack: Stack) -> str:
    """Says so when the images of a slice are heart beats apart, as in perfusion; empty when not or not told."""
    for key, factor, limit_ms in (*((time, 1.0, MAX_PHASE_STEP_MS) for time in CARDIAC_TIMES), BEAT_BY_BEAT):
        steps = [
            step * factor
            for found in stack.slices
            for step in np.diff(sorted({frame.phase[key] for frame in found if key in frame.phase}))
        ]
        if len(steps) < len(stack.frames) // 2:
            continue
        step = float(np.median(steps))
        return f"{step:.0f} ms between images of a slice: not a cine" if step > limit_ms else ""
    return ""
