"""What speaks for and against a short-axis stack, whatever its kind: geometry first, then words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmrseg.io.dicom.stacks import MIN_SLICES, Stack
from cmrseg.study import Finding, Kind

#: So many parallel slices across the usual axis are a short-axis stack, whatever it is called.
MANY_SLICES = 5
#: Points that a stack loses for each thing that speaks against it and that the user overruled; more than all others
#: give.
OVERRULED_POINTS = 12
#: A short-axis normal lies within this angle of the usual long axis of the heart.
CONE_DEGREES = 50.0
#: Words of stacks that are neither a cine nor LGE; a scout for the inversion time is also called a scout.
NOT_ANATOMY = ("TI scout", "localizer", "map", "perfusion", "flow", "tagging", "dark blood")
#: Values of ImageType that name a computed map; T1 and T2 alone name a weighting.
MAP_TYPES = frozenset(
    ("T1 MAP", "T1_MAP", "T1MAP", "T2 MAP", "T2_MAP", "T2MAP", "T2_STAR MAP", "T2_STAR_MAP", "ECV", "ECV MAP")
)

#: Values of AcquisitionContrast and of ImageType of what is neither a cine nor LGE.
OTHER_CONTRASTS = ("PERFUSION", "TAGGING", "FLOW_ENCODED", "DIFFUSION", "STIR", "TOF", "T2_STAR")


@dataclass(frozen=True)
class Judgement:
    """Whether a stack can be of a kind.

    Args:
        stack: what was judged.
        points: evidence for it; None when it cannot be.
        reason: in words, for or against.
        phase_sensitive: shows signed signal rather than its magnitude; only known of LGE.
        average: averaged from motion-corrected repeats; derived, and yet the image to read.
        part: what of the stack is read, where earlier repeats are left out; None for all of it.
        doubts: what a reader of the result should know if it is taken.
    """

    stack: Stack
    points: int | None
    reason: str
    phase_sensitive: bool = False
    average: bool = False
    part: Stack | None = None
    doubts: tuple[Finding, ...] = ()

    @property
    def read(self) -> Stack:
        """The images that are read."""
        return self.part or self.stack


def against_short_axis(stack: Stack, distance_mm: tuple[float, float], forced: bool) -> str:
    """What speaks against a short-axis stack of any kind; empty when nothing does."""
    n_slices = len(stack.slices)
    if n_slices < MIN_SLICES:
        return "a single view" if n_slices == 1 else f"only {n_slices} parallel slices"
    low, high = distance_mm
    if not low <= stack.distance_mm <= high:
        return f"slices {stack.distance_mm:.1f} mm apart"
    if "short axis" in stack.hints | stack.supported or (n_slices >= MANY_SLICES and in_cone(stack)):
        return ""
    if "long axis" in stack.hints:
        return "called long axis"
    if n_slices < MANY_SLICES and not in_cone(stack) and not forced:
        return f"{n_slices} slices, {stack.axis_angle_degrees:.0f} degrees from a short axis"
    return ""


def another_by_type(stack: Stack) -> str:
    """Says what the stack is by its image type when that is neither a cine nor LGE; else empty."""
    types = stack.frames[0].image_type
    if "LOCALIZER" in types:
        return "a localizer by its image type"
    if MAP_TYPES.intersection(types):
        return "a map by its image type"
    contrast = next((one for one in OTHER_CONTRASTS if one in (stack.frames[0].contrast, *types)), "")
    return f"{contrast.lower().replace('_', ' ')} images by their type" if contrast else ""


def called_otherwise(stack: Stack, excused: frozenset[str] = frozenset()) -> str:
    """Says what the stack is called when that is neither a cine nor LGE; else empty.

    Args:
        stack: to judge.
        excused: words that something better than a name contradicts.
    """
    named = next((word for word in NOT_ANATOMY if word in stack.hints - excused), None)
    return f"called {named}" if named else ""


def spin_echo(stack: Stack) -> str:
    """Says so when refocusing pulses make the echoes, which is neither how a cine nor how LGE is acquired."""
    many = 2 * sum(frame.spin_echo for frame in stack.frames) > len(stack.frames)
    return "spin echo: T2-weighted or black blood" if many else ""


def name_doubts(stack: Stack, kind: Kind, overruled: Sequence[str]) -> list[Finding]:
    """Findings about names and the like that speak against a stack which is taken all the same.

    Args:
        stack: to judge.
        kind: what it is taken for.
        overruled: what speaks against it, where the user named its kind.
    """
    if overruled:
        message = f"Taken as {kind} since this kind was asked for, although it is: {'; '.join(overruled)}."
        return [Finding("kind_contradicts", "review", message)]
    other = [word for word in NOT_ANATOMY if word in stack.protocol_hints - stack.hints]
    if other and not stack.described & {"cine", "lge"}:
        message = f"ProtocolName speaks of {other[0]}; the images were taken as {kind} by what they are."
        return [Finding("label_contradicts", "review", message)]
    return []


def in_cone(stack: Stack) -> bool:
    """True when the slices are cut across the usual long axis of the heart."""
    return stack.axis_angle_degrees <= CONE_DEGREES


def common_evidence(stack: Stack) -> tuple[int, list[str]]:
    """Points and reasons that count for any kind of short-axis stack."""
    points = 0
    reasons = [f"normal {stack.axis_angle_degrees:.0f} degrees from the usual long axis"]
    if in_cone(stack):
        points += 3
    if "short axis" in stack.hints | stack.supported:
        points += 3
        reasons.append("called short axis")
    if len(stack.slices) >= MANY_SLICES:
        points += 2
    return points, reasons
