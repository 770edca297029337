"""Can a stack be late gadolinium enhancement in the short axis?

One image per slice after an inversion pulse, or repeats of it. Localizers, cines, maps, scouts for the inversion time,
perfusion, early enhancement and T2-weighted images share one or another of these traits; each is told by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

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
from cmrseg.io.dicom.pace import SAME_MOMENT_MS
from cmrseg.io.dicom.phases import CARDIAC_TIMES
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.stacks import Stack
from cmrseg.io.slices import SAME_PLACE_MM
from cmrseg.study import Finding

LGE_DISTANCE_MM = (1.0, 25.0)
#: Inversion times that null the myocardium late after contrast; T1 maps scan a range, fluid-nulled images have more.
LGE_INVERSION_MS = (100.0, 700.0)
#: Beyond this, myocardium late after contrast is not nulled; early enhancement is taken so.
USUAL_INVERSION_MS = (150.0, 450.0)
#: LGE is a gradient echo of a few ms; black-blood and T2-weighted images, also inverted, have 40 and more.
MAX_ECHO_MS = 20.0
#: More images of a slice than anyone repeats; perfusion has 40 to 80.
MAX_REPEATS = 16
#: Values of ImageType of an average of motion-corrected repeats, which is derived and yet the image to read.
_AVERAGES = frozenset(("MOCO", "AVE", "AVG", "MEAN", "AVERAGE"))

#: Components of the signal that are signed, and images of a Dixon acquisition in which scar cannot be told.
_SIGNED = frozenset(("phase", "real"))
_NOT_WATER = frozenset(("fat", "opposed-phase"))


def judge_lge(stack: Stack, stacks: Sequence[Stack] = (), *, forced: bool = False) -> Judgement:
    """Judge a stack.

    Args:
        stack: to judge.
        stacks: all of the study: a stack that is called phase-sensitive is the magnitude when its signed twin is here.
        forced: the user says that it is one: any direction and any name are accepted, and no inversion time is needed.
    """
    part = latest(stack)
    signed = _phase_sensitive(stack, stacks)
    against, overruled = _against(stack, part, forced), _overruled(stack)
    if against or (overruled and not forced):
        return Judgement(stack, None, against or overruled[0], signed)
    points, reasons = common_evidence(stack)
    more_points, more_reasons = _evidence(stack)
    points, reasons = points + more_points, reasons + more_reasons
    points -= OVERRULED_POINTS * len(overruled)
    if part.repeats != stack.repeats:
        points -= 3
        reasons.append(f"the last of {stack.n_images} images per slice")
    if signed:
        reasons.append("phase-sensitive")
    else:
        points += 1
        reasons.append("magnitude")
    return Judgement(
        stack,
        points,
        ", ".join((f"{len(stack.slices)} parallel slices", *reasons)),
        phase_sensitive=signed,
        average=_is_average(stack),
        part=part,
        doubts=(*_doubts(stack, signed, forced), *name_doubts(stack, "lge", overruled)),
    )


def latest(stack: Stack) -> Stack:
    """The stack with only the last acquired image of each slice; itself when each has one, or when times are unknown.

    Images of one slice and one time stay together: they are copies, or what the headers do not tell apart.
    """
    if any(frame.acquired_seconds is None for found in stack.slices if len(found) > 1 for frame in found):
        return stack
    kept: list[Frame] = []
    for found in stack.slices:
        last = max(frame.acquired_seconds or 0.0 for frame in found)
        kept += [frame for frame in found if len(found) == 1 or frame.acquired_seconds == last]
    if len(kept) == len(stack.frames):
        return stack
    left = tuple(frame for frame in stack.frames if not any(frame is other for other in kept))
    return Stack(tuple(kept), stack.repeats + left)


def inversion_ms(stack: Stack) -> float | None:
    """Median inversion time; None when no image has one."""
    times = [frame.inversion_ms for frame in stack.frames if frame.inversion_ms is not None]
    return float(np.median(times)) if times else None


def _against(stack: Stack, part: Stack, forced: bool) -> str:
    """What speaks against LGE, whatever the user says; empty when nothing does."""
    against = another_by_type(stack)
    if not against and not forced:
        against = _called_another(stack)
    component = stack.frames[0].component
    if not against and component in _NOT_WATER:
        against = f"{component} images of a Dixon acquisition"
    against = against or against_short_axis(stack, LGE_DISTANCE_MM, forced) or _against_repeats(stack, part, forced)
    if against:
        return against
    if component == "phase" and not (forced or "phase-sensitive" in stack.reconstructions):
        return "phase images that are not called PSIR"
    return "" if forced else _against_contrast(stack)


def _called_another(stack: Stack) -> str:
    early = "called early enhancement" if "early enhancement" in stack.hints else ""
    return called_otherwise(stack) or early


def _overruled(stack: Stack) -> list[str]:
    """What speaks against LGE and may be overruled by the user."""
    return [reason for reason in (_called_another(stack), _long_echo(stack) or spin_echo(stack)) if reason]


def _long_echo(stack: Stack) -> str:
    echoes = [frame.echo_ms for frame in stack.frames if frame.echo_ms is not None]
    if echoes and float(np.median(echoes)) > MAX_ECHO_MS:
        return f"echo time {float(np.median(echoes)):.0f} ms: T2-weighted or black blood"
    return ""


def _against_repeats(stack: Stack, part: Stack, forced: bool) -> str:
    """What speaks against LGE when slices hold several images; empty when they are repeats of one."""
    if stack.scans_inversion:
        return "inversion time changes within a slice: a T1 map or a TI scout"
    if stack.n_images == 1:
        return ""
    several = f"{stack.n_images} images per slice"
    if ("cine" in stack.hints and not forced) or _spread_over_the_beat(stack):
        return f"{several}, phases of the heart beat"
    if stack.n_images > MAX_REPEATS or not (forced or _named(stack)):
        return several
    if any(len({(f.image_type, f.echo_ms) for f in found}) > 1 for found in stack.slices):
        return f"{several} that differ in image type or echo time"
    if part.n_images > 1:
        return f"{several} of one moment that the files do not tell apart"
    return ""


def _against_contrast(stack: Stack) -> str:
    """What speaks against inversion recovery late after contrast; empty when nothing does."""
    if _named(stack):
        return ""
    n_inverted = sum(frame.inverted for frame in stack.frames)
    if n_inverted == 0:
        return "one image per slice, and neither an inversion pulse nor a name of LGE"
    if n_inverted < len(stack.frames):
        return f"an inversion pulse in {n_inverted} of {len(stack.frames)} images only"
    time, (low, high) = inversion_ms(stack), LGE_INVERSION_MS
    return "" if time is None or low <= time <= high else f"inversion time {time:.0f} ms"


def _evidence(stack: Stack) -> tuple[int, list[str]]:
    """Points and reasons for late enhancement."""
    points, reasons = 0, []
    if stack.frames[0].component == "in-phase":
        points -= 2
        reasons.append("in-phase images")
    if _named(stack):
        points += 2
        reasons.append("called LGE")
    time, (low, high) = inversion_ms(stack), USUAL_INVERSION_MS
    if time is not None:
        points += low <= time <= high
        reasons.append(f"inversion time {time:.0f} ms")
    elif stack.inverted:
        reasons.append("inversion recovery")
    if stack.frames[0].derived:
        average = _is_average(stack)
        points -= 1 if average else 4
        reasons.append("average of repeats" if average else "derived images")
    return points, reasons


def _named(stack: Stack) -> bool:
    """True when a name says LGE; that of a protocol or a sequence counts only in favour."""
    return "lge" in stack.hints | stack.supported


def _is_average(stack: Stack) -> bool:
    return stack.frames[0].derived and bool(_AVERAGES.intersection(stack.frames[0].image_type))


def _phase_sensitive(stack: Stack, stacks: Sequence[Stack]) -> bool:
    """Signed signal, by the image type; else by the name, unless the signed images of the same places are here too."""
    if stack.frames[0].component in _SIGNED:
        return True
    if stack.reconstructions != {"phase-sensitive"}:
        return False
    return not any(other.frames[0].component in _SIGNED and _same_places(stack, other) for other in stacks)


def _same_places(first: Stack, second: Stack) -> bool:
    if len(first.slices) != len(second.slices) or abs(float(first.normal @ second.normal)) < np.cos(np.radians(1.0)):
        return False
    places = sorted(first.projection(found[0]) for found in second.slices)
    return bool(np.abs(first.places_mm - np.array(places)).max() <= SAME_PLACE_MM)


def _spread_over_the_beat(stack: Stack) -> bool:
    """True when the images of a slice are of different moments of the beat, as the phases of a cine are."""
    for key in CARDIAC_TIMES:
        times = [sorted(f.phase[key] for f in found if key in f.phase) for found in stack.slices if len(found) > 1]
        steps = [b - a for one in times for a, b in pairwise(one)]
        if steps and float(np.median([one[-1] - one[0] for one in times if one])) > SAME_MOMENT_MS:
            return True
    return False


def _doubts(stack: Stack, signed: bool, forced: bool) -> list[Finding]:
    """What asks a person to look before scar is believed."""
    doubts = []
    why = "" if forced else _thin_evidence(stack)
    if why:
        doubts.append(Finding("lge_evidence", "review", f"The stack was taken as LGE {why}."))
    if signed:
        message = (
            "Only phase-sensitive images (PSIR) can be used. Scar methods and networks were tested on magnitude; a "
            "threshold that is a share of the greatest intensity, as that of fwhm, depends on the offset of the images."
        )
        doubts.append(Finding("phase_sensitive", "review", message))
    return doubts


def _thin_evidence(stack: Stack) -> str:
    """Where name, pulse and time do not all speak for LGE, what it rests on; empty where they do."""
    time, (low, high) = inversion_ms(stack), USUAL_INVERSION_MS
    named = _named(stack)
    if named and not stack.inverted:
        return "by its name alone; the files tell of no inversion pulse"
    if time is None and not named:
        return "by its inversion pulse alone; the files tell neither a name nor an inversion time"
    if not all(frame.inverted for frame in stack.frames):
        return "although some of its images tell of no inversion pulse"
    if time is not None and not named and not low <= time <= high:
        return f"though its inversion time of {time:.0f} ms is unusual late after contrast; it may be early enhancement"
    return ""
