"""What is not part of the stack that was taken and yet lies where it would continue, or shows its slices again.

Nothing of that sort is left out in silence: without a slice at the base every volume is too small, and looks right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmrseg.io.dicom.cine import LONGEST_SPAN_MS
from cmrseg.io.dicom.evidence import NOT_ANATOMY, Judgement
from cmrseg.io.dicom.examinations import same_examination
from cmrseg.io.dicom.findings import series_numbers
from cmrseg.io.dicom.hints import hints, letters
from cmrseg.io.dicom.lge import MAX_REPEATS
from cmrseg.io.dicom.pace import cardiac_pace
from cmrseg.io.dicom.pooling import similar_echo
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.repeats import SAME_RATE, heart_rate
from cmrseg.io.dicom.resampling import Bore
from cmrseg.io.dicom.stacks import Stack, Unplaced
from cmrseg.io.slices import SAME_PLACE_MM
from cmrseg.study import Finding, Kind

#: Planes that are tilted more are another view of the heart; more is needed where the names are the same.
PARALLEL_DEGREES = 15.0
PARALLEL_NAMED_DEGREES = 35.0
#: An image farther beyond the end of a stack, in slice distances, does not continue it.
REACH = 2.6
#: More groups are counted, not listed.
MAX_LISTED = 4


def left_out(
    kind: Kind, taken: Judgement, stacks: Sequence[Stack], unplaced: Sequence[Unplaced], named: Sequence[Judgement]
) -> list[Finding]:
    """A finding that names what was left out beside the stack that was taken; empty for nothing of that sort.

    Args:
        kind: what was taken.
        taken: the stack.
        stacks, unplaced: all of the study.
        named: stacks that another finding names; here they are named where they continue the one that was taken.
    """
    stack = taken.read
    said = []
    for other in stacks:
        if other is not taken.stack and _could_be_part(kind, stack, other):
            known = any(other is judgement.stack for judgement in named)
            said.append(_where(stack, other, again=not known and _shows_again(kind, stack, other)))
    said = [text for text in said if text]
    said += [text for images in unplaced if (text := _without_place(stack, images))]
    if not said:
        return []
    more = f"; and {len(said) - MAX_LISTED} more" if len(said) > MAX_LISTED else ""
    return [
        Finding(
            "slices_left_out",
            "review",
            f"Images that may belong to the stack are not in it, so that slices may be missing or outdated: "
            f"{'; '.join(said[:MAX_LISTED])}{more}.",
        )
    ]


def _could_be_part(kind: Kind, stack: Stack, other: Stack) -> bool:
    """True unless its kind, its words or its examination say that a group is something else."""
    a, b = stack.frames[0], other.frames[0]
    if (other.hints - stack.hints) & set(NOT_ANATOMY) or not same_examination(a.header, b.header):
        return False
    if (other.scans_inversion and not stack.scans_inversion) or not similar_echo(a, b):
        return False
    same_name = bool(stack.letters & other.letters) or bool(stack.series & other.series)
    if kind == "lge":
        of_kind = "lge" in other.hints or other.inverted or same_name
        early = "early enhancement" in other.hints - stack.hints
        return other.n_images <= MAX_REPEATS and of_kind and not early and "cine" not in other.hints - stack.hints
    if other.n_images < max(2, stack.n_images // 4) and not same_name:
        return False
    late = other.hints & {"lge", "early enhancement"} and "cine" not in other.hints
    return (
        b.component == a.component and not (other.inverted and not stack.inverted) and not late and not _too_slow(other)
    )


def _too_slow(other: Stack) -> bool:
    """True when the images of a slice are of several heart beats, as those of perfusion are, whatever their name."""
    pace = cardiac_pace(other)
    return pace is not None and pace.span_ms > LONGEST_SPAN_MS


def _where(stack: Stack, other: Stack, *, again: bool) -> str:
    """Which slices of a group continue a stack, fill it, or show it again, and what tells them apart; or nothing.

    Args:
        stack, other: as in `left_out`.
        again: name slices at places of the stack too.
    """
    bore = Bore.of(stack)
    limit = PARALLEL_NAMED_DEGREES if stack.letters & other.letters else PARALLEL_DEGREES
    places = []
    for found in other.slices:
        if bore.tilt_degrees(found[0]) > limit or not bore.covered_by(found[0], middle=0.0):
            return ""
        places.append(bore.place_of(found[0]))
    first, last, reach = float(stack.places_mm[0]), float(stack.places_mm[-1]), REACH * stack.distance_mm
    at_slices = [bool(np.abs(stack.places_mm - place).min() <= SAME_PLACE_MM) for place in places]
    new = [place for place, same in zip(places, at_slices, strict=True) if not same]
    below, above = [p for p in new if p < first], [p for p in new if p > last]
    beyond = [
        below if below and first - max(below) <= reach else [],
        above if above and min(above) - last <= reach else [],
    ]
    between = [place for place in new if first < place < last]
    ends = {True: ("base", "apex"), False: ("apex", "base"), None: ("beginning", "end")}[stack.base_first]
    parts = [f"{len(found)} beyond the {end}" for found, end in zip(beyond, ends, strict=True) if found]
    if between:
        parts.append(f"{len(between)} between its slices")
    if again and any(at_slices):
        numbers = sorted({stack.number(int(np.abs(stack.places_mm - p).argmin())) for p in places})
        parts.append(f"{sum(at_slices)} at the place of slice {', '.join(map(str, numbers))}")
    if not parts:
        return ""
    differs = "; ".join(_differences(stack, other, bore))
    return f"series {series_numbers(other.frames)}, {len(other.slices)} slice(s): {', '.join(parts)} ({differs})"


def _shows_again(kind: Kind, stack: Stack, other: Stack) -> bool:
    """True when a group at places of the stack may be wanted instead: the same kind of image, not made from it."""
    a, b = stack.frames[0], other.frames[0]
    alike = a.component == b.component and a.derived == b.derived and "long axis" not in other.hints - stack.hints
    # Whole stacks of LGE are acquired again as a rule.
    return alike and (kind == "cine" or 2 * len(other.slices) <= len(stack.slices))


def _differences(stack: Stack, other: Stack, bore: Bore) -> list[str]:
    """What tells a group from the stack, in words."""
    a, b = stack.frames[0], other.frames[0]
    found = []
    if (a.header.rows, a.header.columns) != (b.header.rows, b.header.columns):
        sizes = (b.header.rows, b.header.columns, a.header.rows, a.header.columns)
        found.append("{} x {} pixels instead of {} x {}".format(*sizes))
    if not np.allclose(a.spacing_rc or (), b.spacing_rc or (), rtol=1e-3):
        sides = [" x ".join(f"{mm:.3g}" for mm in f.spacing_rc or ()) for f in (b, a)]
        found.append(f"pixels of {sides[0]} mm instead of {sides[1]} mm")
    tilt = max(bore.tilt_degrees(images[0]) for images in other.slices)
    if tilt >= 0.1:
        found.append(f"tilted by {tilt:.1f} degrees")
    if other.n_images != stack.n_images:
        found.append(f"{other.n_images} image(s) per slice instead of {stack.n_images}")
    if a.component != b.component:
        found.append(f"{b.component} images")
    if a.derived != b.derived:
        found.append("derived images" if b.derived else "not derived")
    if other.hints != stack.hints:
        found.append("another name")
    rates = [rate for frames in (stack.frames, other.frames) if (rate := heart_rate(frames)) is not None]
    if len(rates) == 2 and max(rates) >= SAME_RATE * min(rates):
        found.append(f"{rates[1]:.0f} beats per minute instead of {rates[0]:.0f}")
    offs = [float(np.abs(stack.places_mm - bore.place_of(images[0])).min()) for images in other.slices]
    off = min((mm for mm in offs if mm > SAME_PLACE_MM), default=0.0)
    if off and abs(off - round(off / stack.distance_mm) * stack.distance_mm) > 0.1:
        found.append(f"{off:.1f} mm from a slice")
    return found or ["another acquisition"]


def _without_place(stack: Stack, unplaced: Unplaced) -> str:
    """Images of the stack's kind of which the file does not say where they lie; nothing for others."""
    if unplaced.damage.code not in ("no_position", "no_spacing"):
        return ""
    alike = [frame for frame in unplaced.frames if _named_alike(stack, frame)]
    if not alike:
        return ""
    return f"series {series_numbers(alike)}, {len(alike)} image(s): {unplaced.damage.reason}"


def _named_alike(stack: Stack, frame: Frame) -> bool:
    header, own = frame.header, stack.frames[0].header
    same_name = letters(header.description) in stack.letters or bool(hints(header.description) & stack.hints)
    return same_name and same_examination(header, own)
