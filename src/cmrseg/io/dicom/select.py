"""Which stack is the short-axis cine and which the LGE, with a stated reason for every stack.

No label is trusted alone. Geometry decides what can be a short-axis stack (parallel slices, their distance, their
direction), the number of images per slice what can be a cine; words break ties and exclude what moves but is not a
cine: perfusion, flow, tagging, mapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmrseg.io.dicom.grid import CARDIAC_TIMES
from cmrseg.io.dicom.stacks import MIN_SLICES, Stack
from cmrseg.study import Kind

#: Distance of neighbouring slices of a short-axis stack in mm; 8 to 10 is usual, children and 3-D stacks have less.
CINE_DISTANCE_MM = (4.0, 25.0)
LGE_DISTANCE_MM = (1.0, 25.0)
#: Phases that make a cine without further evidence, and with the word or the order of the user.
MIN_PHASES = 8
MIN_PHASES_NAMED = 2
#: So many parallel slices across the usual axis are a short-axis stack, whatever it is called.
MANY_SLICES = 5
#: A short-axis normal lies within this angle of the usual long axis of the heart.
CONE_DEGREES = 50.0
#: Steps between two phases of a cine; perfusion takes one image per heart beat.
MAX_PHASE_STEP_MS = 150.0
#: The same by the time of acquisition in seconds, which in a gated cine says little.
BEAT_BY_BEAT = ("AcquisitionTime", 1000.0, 400.0)
#: Inversion times of LGE; T1 maps scan a range, cine has none.
LGE_INVERSION_MS = (100.0, 700.0)
#: Words of stacks that are neither a cine nor LGE.
NOT_ANATOMY = ("localizer", "map", "perfusion", "flow", "tagging", "dark blood")


@dataclass(frozen=True)
class Judgement:
    """Whether a stack can be of a kind.

    Args:
        stack: what was judged.
        points: evidence for it; None when it cannot be.
        reason: in words, for or against.
    """

    stack: Stack
    points: int | None
    reason: str


@dataclass(frozen=True)
class Selection:
    """Stacks of one kind, the best first, and why the others are not.

    Args:
        kind: what was looked for.
        candidates: those that qualify, best first.
        others: those that do not.
    """

    kind: Kind
    candidates: tuple[Judgement, ...]
    others: tuple[Judgement, ...]

    @property
    def rivals(self) -> tuple[Judgement, ...]:
        """Candidates as good as the best by kind of evidence; the number of slices and phases or the time decided."""
        return tuple(c for c in self.candidates[1:] if c.points == self.candidates[0].points)


def select(stacks: Sequence[Stack], kind: Kind, *, forced: bool) -> Selection:
    """Find the stacks of a kind.

    Args:
        stacks: all of the study.
        kind: ``cine`` or ``lge``.
        forced: the user asked for this kind: fewer phases, no words and any direction are accepted.
    """
    judge = judge_cine if kind == "cine" else judge_lge
    judged = [judge(stack, forced=forced) for stack in stacks]
    candidates = sorted((j for j in judged if j.points is not None), key=_rank, reverse=True)
    return Selection(kind, tuple(candidates), tuple(j for j in judged if j.points is None))


def _rank(judgement: Judgement) -> tuple[object, ...]:
    """More evidence, then more slices, then more phases, then the later acquisition."""
    stack = judgement.stack
    return (judgement.points, len(stack.slices), stack.n_images, stack.when)


def judge_cine(stack: Stack, *, forced: bool = False) -> Judgement:
    """Can this be a short-axis cine?"""
    against = _against_cine(stack, forced)
    if against:
        return Judgement(stack, None, against)
    points, reasons = _common_evidence(stack)
    if "cine" in stack.hints:
        points += 1
        reasons.append("called cine")
    if stack.n_images >= MIN_PHASES:
        points += 1
    return Judgement(
        stack, points, f"{len(stack.slices)} parallel slices, {stack.n_images} phases, {', '.join(reasons)}"
    )


def _against_cine(stack: Stack, forced: bool) -> str:
    against = _against_short_axis(stack, CINE_DISTANCE_MM, forced)
    if against:
        return against
    if stack.frames[0].component != "magnitude":
        return f"{stack.frames[0].component} images"
    if "LOCALIZER" in stack.frames[0].image_type:
        return "a localizer by its image type"
    named = next((word for word in NOT_ANATOMY if word in stack.hints), None)
    if named:
        return f"called {named}"
    enough = MIN_PHASES_NAMED if forced or stack.hints & {"cine", "short axis"} else MIN_PHASES
    if stack.n_images < enough:
        return f"{stack.n_images} image(s) per slice, no cine"
    if _scans_inversion(stack):
        return "inversion time changes within a slice: a T1 map"
    return "" if forced or stack.hints & {"cine", "short axis"} else _too_slow(stack)


def judge_lge(stack: Stack, *, forced: bool = False) -> Judgement:
    """Can this be a late gadolinium enhancement stack in the short axis?"""
    against = _against_lge(stack, forced)
    if against:
        return Judgement(stack, None, against)
    points, reasons = _common_evidence(stack)
    if "lge" in stack.hints:
        points += 2
        reasons.append("called LGE")
    if _inversion_ms(stack) is not None:
        points += 1
        reasons.append(f"inversion time {_inversion_ms(stack):.0f} ms")
    if stack.frames[0].component == "magnitude" and not any("psir" in name for name in stack.letters):
        points += 1
        reasons.append("magnitude")
    return Judgement(stack, points, ", ".join((f"{len(stack.slices)} parallel slices", *reasons)))


def _against_lge(stack: Stack, forced: bool) -> str:
    against = _against_short_axis(stack, LGE_DISTANCE_MM, forced)
    if against:
        return against
    if stack.n_images != 1:
        return f"{stack.n_images} images per slice"
    if stack.frames[0].component == "phase" and "lge" not in stack.hints:
        return "phase images"
    if "LOCALIZER" in stack.frames[0].image_type:
        return "a localizer by its image type"
    named = next((word for word in NOT_ANATOMY if word in stack.hints), None)
    if named:
        return f"called {named}"
    inversion = _inversion_ms(stack)
    low, high = LGE_INVERSION_MS
    if not forced and "lge" not in stack.hints and not (inversion is not None and low <= inversion <= high):
        return "one image per slice, and neither an inversion time nor a name of LGE"
    return ""


def _against_short_axis(stack: Stack, distance_mm: tuple[float, float], forced: bool) -> str:
    """What speaks against a short-axis stack of any kind; empty when nothing does."""
    n_slices = len(stack.slices)
    if n_slices < MIN_SLICES:
        return "a single view" if n_slices == 1 else f"only {n_slices} parallel slices"
    low, high = distance_mm
    if not low <= stack.distance_mm <= high:
        return f"slices {stack.distance_mm:.1f} mm apart"
    if "short axis" in stack.hints or (n_slices >= MANY_SLICES and in_cone(stack)):
        return ""
    if "long axis" in stack.hints:
        return "called long axis"
    if n_slices < MANY_SLICES and not in_cone(stack) and not forced:
        return f"{n_slices} slices, {stack.axis_angle_degrees:.0f} degrees from a short axis"
    return ""


def in_cone(stack: Stack) -> bool:
    """True when the slices are cut across the usual long axis of the heart."""
    return stack.axis_angle_degrees <= CONE_DEGREES


def _common_evidence(stack: Stack) -> tuple[int, list[str]]:
    points = 0
    reasons = [f"normal {stack.axis_angle_degrees:.0f} degrees from the usual long axis"]
    if in_cone(stack):
        points += 3
    if "short axis" in stack.hints:
        points += 3
        reasons.append("called short axis")
    if len(stack.slices) >= 5:
        points += 2
    if stack.frames[0].derived:
        points -= 4
        reasons.append("derived images")
    return points, reasons


def _inversion_ms(stack: Stack) -> float | None:
    times = [frame.inversion_ms for frame in stack.frames if frame.inversion_ms is not None]
    return float(np.median(times)) if times else None


def _scans_inversion(stack: Stack) -> bool:
    return any(len({f.inversion_ms for f in found if f.inversion_ms is not None}) > 2 for found in stack.slices)


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
