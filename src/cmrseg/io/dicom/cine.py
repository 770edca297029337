"""Can a stack be a short-axis cine?"""

from __future__ import annotations

from collections.abc import Sequence

from cmrseg.io.dicom.evidence import (
    OVERRULED_POINTS,
    Judgement,
    against_short_axis,
    another_by_type,
    called_otherwise,
    common_evidence,
    name_doubts,
    spin_echo,
)
from cmrseg.io.dicom.pace import Pace, cardiac_pace, clock_pace, rr_ms
from cmrseg.io.dicom.stacks import Stack
from cmrseg.study import Finding

#: Distance of neighbouring slices in mm; 8 to 10 is usual, children and 3-D stacks have less.
CINE_DISTANCE_MM = (4.0, 25.0)
#: Phases that make a cine without further evidence, and with the word or the order of the user.
MIN_PHASES = 8
MIN_PHASES_NAMED = 2
#: Steps between two phases of a cine; perfusion takes one image per heart beat.
MAX_PHASE_STEP_MS = 150.0
#: The same by a clock, which in a gated cine says little: only steps as long and as even as those of heart beats count
#: against a stack that is called cine or short axis.
MAX_CLOCK_STEP_MS = 400.0
MAX_BEAT_MS = 3000.0
#: Images of a slice over more than this share of the R-R interval, or so long where it is unknown, are of several
#: beats.
LONGEST_SPAN = 1.2
LONGEST_SPAN_MS = 1500.0
#: What a stack cannot be whose images are phases of one beat.
_AGAINST_PHASES = frozenset(("perfusion", "localizer", "map", "dark blood"))


def judge_cine(stack: Stack, stacks: Sequence[Stack] = (), *, forced: bool = False) -> Judgement:
    """Judge a stack.

    Args:
        stack: to judge.
        stacks: all of the study; not asked.
        forced: the user says that it is one: fewer phases, any direction, any pace and any name are accepted.
    """
    against, overruled = _against(stack, forced), _overruled(stack)
    if against or (overruled and not forced):
        return Judgement(stack, None, against or overruled[0])
    points, reasons = common_evidence(stack)
    if stack.frames[0].derived:
        points -= 4
        reasons.append("derived images")
    if _called(stack) & {"cine"}:
        points += 1
        reasons.append("called cine")
    if stack.frames[0].component == "in-phase":
        points -= 2
        reasons.append("in-phase images")
    points -= OVERRULED_POINTS * len(overruled)
    if stack.n_images >= MIN_PHASES:
        points += 1
    return Judgement(
        stack,
        points,
        f"{len(stack.slices)} parallel slices, {stack.n_images} phases, {', '.join(reasons)}",
        doubts=(*name_doubts(stack, "cine", overruled), *_other_words(stack)),
    )


def _called(stack: Stack) -> frozenset[str]:
    """What any name hints at in favour of a kind."""
    return stack.hints | stack.supported


def _against(stack: Stack, forced: bool) -> str:
    """What speaks against a cine, whatever the user says; empty when nothing does."""
    against = another_by_type(stack)
    if not against and not forced:
        against = called_otherwise(stack, _excused(stack))
    against = against or against_short_axis(stack, CINE_DISTANCE_MM, forced)
    if against:
        return against
    if stack.frames[0].component not in ("magnitude", "in-phase"):
        return f"{stack.frames[0].component} images"
    enough = MIN_PHASES_NAMED if forced or _called(stack) & {"cine", "short axis"} else MIN_PHASES
    if stack.n_images < enough:
        return f"{stack.n_images} image(s) per slice, no cine"
    return "inversion time changes within a slice: a T1 map or a TI scout" if stack.scans_inversion else ""


def _overruled(stack: Stack) -> list[str]:
    """What speaks against a cine and may be overruled by the user."""
    named = "cine" in _called(stack)
    late = stack.hints & {"lge", "early enhancement"} and "cine" not in stack.hints
    reasons = (
        called_otherwise(stack, _excused(stack)),
        spin_echo(stack),
        "an inversion pulse: no cine" if stack.inverted and not named else "",
        f"called {'LGE' if 'lge' in stack.hints else 'early enhancement'}" if late else "",
        _too_slow(stack),
    )
    return [reason for reason in reasons if reason]


def _other_words(stack: Stack) -> list[Finding]:
    """Says that a description names something besides cine, where no time tells that the images are phases."""
    other = [word for word in sorted(_AGAINST_PHASES) if word in stack.described and stack.called_cine]
    if not other or cardiac_pace(stack) is not None:
        return []
    message = f"The series is called {other[0]} as well as cine, and no time tells how far its images are apart."
    return [Finding("label_contradicts", "review", message)]


def _excused(stack: Stack) -> frozenset[str]:
    """Words that the phases contradict: those of a protocol, and of a description that says cine as well."""
    pace = cardiac_pace(stack)
    if stack.called_cine and stack.n_images >= MIN_PHASES:
        # Images that are too far apart are refused for that reason.
        return _AGAINST_PHASES
    if pace is None or pace.step_ms > MAX_PHASE_STEP_MS:
        return frozenset()
    return _AGAINST_PHASES - stack.described


def _too_slow(stack: Stack) -> str:
    """Says so when the images of a slice are heart beats apart, as in perfusion; empty when not or not told."""
    named = bool(_called(stack) & {"cine", "short axis"})
    pace = cardiac_pace(stack)
    if pace is not None:
        interval_ms = rr_ms(stack)
        longest_ms = LONGEST_SPAN_MS if interval_ms is None else LONGEST_SPAN * interval_ms
        slow = pace.step_ms > MAX_PHASE_STEP_MS and (not named or pace.span_ms > longest_ms)
        return _slow(pace) if slow else ""
    for key in ("AcquisitionTime", "ContentTime"):
        pace = clock_pace(stack, key)
        if pace is None:
            continue
        beats = MAX_CLOCK_STEP_MS < pace.step_ms < MAX_BEAT_MS and pace.even
        if key == "ContentTime":
            # The moment at which an image was stored: a cine may well be stored at that pace.
            return _slow(pace) if beats and not stack.called_cine else ""
        return _slow(pace) if beats or (not named and pace.step_ms > MAX_CLOCK_STEP_MS) else ""
    return ""


def _slow(pace: Pace) -> str:
    return f"{pace.step_ms:.0f} ms between images of a slice: not a cine"
