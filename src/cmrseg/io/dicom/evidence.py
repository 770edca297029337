"""What speaks for and against a short-axis stack, whatever its kind: geometry first, then words."""

from __future__ import annotations

from dataclasses import dataclass

from cmrseg.io.dicom.stacks import MIN_SLICES, Stack
from cmrseg.study import Finding

#: So many parallel slices across the usual axis are a short-axis stack, whatever it is called.
MANY_SLICES = 5
#: A short-axis normal lies within this angle of the usual long axis of the heart.
CONE_DEGREES = 50.0
#: Words of stacks that are neither a cine nor LGE; a scout for the inversion time is also called a scout.
NOT_ANATOMY = ("TI scout", "localizer", "map", "perfusion", "flow", "tagging", "dark blood")
#: Values of ImageType that name a computed map; T1 and T2 alone name a weighting.
MAP_TYPES = frozenset(
    ("T1 MAP", "T1_MAP", "T1MAP", "T2 MAP", "T2_MAP", "T2MAP", "T2_STAR MAP", "T2_STAR_MAP", "ECV", "ECV MAP")
)


@dataclass(frozen=True)
class Judgement:
    """Whether a stack can be of a kind.

    Args:
        stack: what was judged.
        points: evidence for it; None when it cannot be.
        reason: in words, for or against.
        phase_sensitive: shows signed signal rather than its magnitude; only known of LGE.
        average: averaged from motion-corrected repeats; derived, and yet the picture to read.
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
    if "short axis" in stack.hints or (n_slices >= MANY_SLICES and in_cone(stack)):
        return ""
    if "long axis" in stack.hints:
        return "called long axis"
    if n_slices < MANY_SLICES and not in_cone(stack) and not forced:
        return f"{n_slices} slices, {stack.axis_angle_degrees:.0f} degrees from a short axis"
    return ""


def named_otherwise(stack: Stack) -> str:
    """Says what the stack is by its image type or its name when that is neither a cine nor LGE; else empty."""
    types = stack.frames[0].image_type
    if "LOCALIZER" in types:
        return "a localizer by its image type"
    if MAP_TYPES.intersection(types):
        return "a map by its image type"
    named = next((word for word in NOT_ANATOMY if word in stack.hints), None)
    return f"called {named}" if named else ""


def in_cone(stack: Stack) -> bool:
    """True when the slices are cut across the usual long axis of the heart."""
    return stack.axis_angle_degrees <= CONE_DEGREES


def common_evidence(stack: Stack) -> tuple[int, list[str]]:
    """Points and reasons that count for any kind of short-axis stack."""
    points = 0
    reasons = [f"normal {stack.axis_angle_degrees:.0f} degrees from the usual long axis"]
    if in_cone(stack):
        points += 3
    if "short axis" in stack.hints:
        points += 3
        reasons.append("called short axis")
    if len(stack.slices) >= MANY_SLICES:
        points += 2
    return points, reasons
