"""Instances to stacks of parallel slices: one series per stack, a series per slice, or one enhanced object.

A stack holds images of one orientation, matrix, pixel spacing and kind. Series that hold one or two slices are pooled
with their like; what continues a stack, fills its gaps, or was acquired again of it becomes part of it, also from
another field of view. Nothing is dropped here: every frame is in exactly one stack, or in none with a stated reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from cmrseg.io.dicom.examinations import same_examination
from cmrseg.io.dicom.records import Damage, Frame, Vector
from cmrseg.io.dicom.repeats import PHASES, merged, without_earlier
from cmrseg.io.dicom.stacks import MIN_SLICES, Stack, Unplaced, unplaced_reason
from cmrseg.io.slices import SAME_PLACE_MM, step_multiples

#: Direction cosines of parallel images differ by less; 0.01 is half a degree.
SAME_DIRECTION = 0.01
#: Slices of one plan differ by less, digits apart; what differs more may have to be brought onto one grid.
LEVEL_DIRECTION = 1e-3
#: Pixel spacings that differ by this part are one, written with other digits.
SAME_SPACING = 1e-3
#: Slices of one stack may differ this much in their number of images and still be pooled: one may be damaged.
COUNT_RATIO = (0.6, 1.6)
#: Slices of one stack differ less in their echo time; that of T2-weighted images is ten times that of others.
ECHO_RATIO = 3.0
#: More slices beside the places of an even stack are not set apart from it.
MAX_BESIDE = 2
#: Slices of the even stack for each one beside it; fewer do not tell which of them are the stack.
KEPT = 4
#: What lies nearer to a slice than this part of the distance of two is that slice, planned again.
BESIDE = 0.45


def build_stacks(frames: Iterable[Frame]) -> tuple[tuple[Stack, ...], tuple[Unplaced, ...]]:
    """Every image in exactly one stack or, with the reason, in none; independent of the order of the files.

    Returns:
        Stacks, largest first, and what could not be placed. Both empty for no frames.
    """
    unplaced: dict[tuple[str, Damage], list[Frame]] = defaultdict(list)
    placed: list[Frame] = []
    for frame in frames:
        reason = unplaced_reason(frame)
        if reason is not None:
            unplaced[(frame.header.series, reason)].append(frame)
        else:
            placed.append(frame)
    groups = [part for group in _groups(placed) for part in without_earlier(group)]
    whole = [group for group in groups if len(group.slices) >= MIN_SLICES]
    parts = [group for group in groups if len(group.slices) < MIN_SLICES]
    even = [part for stack in (*whole, *_pooled(parts)) for part in _without_beside(stack)]
    return (
        tuple(sorted(_joined(even), key=lambda stack: (-len(stack.frames), stack.frames[0].header.number))),
        tuple(Unplaced(tuple(found), reason) for (_, reason), found in unplaced.items()),
    )


def _groups(frames: Sequence[Frame]) -> list[Stack]:
    """Images of one series, kind and plane together."""
    spacings = _spacings(frames)
    by_kind: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        header = frame.header
        kind = (header.rows, header.columns, spacings[frame.spacing_rc or ()], frame.component, frame.derived)
        by_kind[(header.series, *kind)].append(frame)
    alike = [Stack(tuple(found)) for same in by_kind.values() for found in _by_orientation(same)]
    return [part for group in alike for part in _by_format(group)]


def _spacings(frames: Sequence[Frame]) -> dict[Vector, int]:
    """Numbers of pixel spacings; the same for two that differ in their digits only."""
    numbers: dict[Vector, int] = {}
    known: list[Vector] = []
    for spacing in sorted({frame.spacing_rc or () for frame in frames}):
        same = [n for n, other in enumerate(known) if np.allclose(other, spacing, rtol=SAME_SPACING, atol=0)]
        if not same:
            known.append(spacing)
        numbers[spacing] = same[0] if same else len(known) - 1
    return numbers


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of equal direction cosines together."""
    result: list[list[Frame]] = []
    for frame in sorted(frames, key=lambda f: (f.orientation or (), f.header.number, f.index)):
        for found in result:
            if _apart(found[0].orientation, frame.orientation) < SAME_DIRECTION:
                found.append(frame)
                break
        else:
            result.append([frame])
    return result


def _apart(first: Vector | None, second: Vector | None) -> float:
    return float(np.abs(np.subtract(first or 0.0, second or 0.0)).max())


def _by_format(group: Stack) -> list[Stack]:
    """The group as it is, also where its pixels are stored in several ways; apart where it holds every image in each.

    Archives store some images of a series signed and others unsigned, with the same values. Two reconstructions in one
    series, magnitude unsigned and phase-sensitive signed, show the same places and phases.
    """
    by_format: dict[tuple[int, bool], list[Frame]] = defaultdict(list)
    for frame in group.frames:
        by_format[frame.header.bits_allocated, frame.header.signed].append(frame)
    parts = [Stack(tuple(found)) for found in by_format.values()]
    twins = len(parts) > 1 and all(_same_cells(parts[0], other) for other in parts[1:])
    return parts if twins else [group]


def _same_cells(first: Stack, second: Stack) -> bool:
    """True when two groups hold images of the same places at the same phases."""
    if len(first.slices) != len(second.slices) or np.abs(first.places_mm - second.places_mm).max() > SAME_PLACE_MM:
        return False
    for one, other in zip(first.slices, second.slices, strict=True):
        phases = [sorted(tuple(f.phase.get(key, 0.0) for key in PHASES) for f in found) for found in (one, other)]
        if phases[0] != phases[1]:
            return False
    return True


def akin(first: Stack, second: Stack) -> bool:
    """True when two groups could be parts of one stack by all but their planes: same kind, same words, same visit."""
    a, b = first.frames[0], second.frames[0]
    same_words = (
        "short axis" in first.hints or first.letters == second.letters or not (first.letters and second.letters)
    )
    low, high = COUNT_RATIO
    return (
        a.component == b.component
        and low <= second.n_images / first.n_images <= high
        and first.hints - {"cine"} == second.hints - {"cine"}
        and same_words
        and first.reconstructions == second.reconstructions
        and first.scans_inversion == second.scans_inversion
        and (first.inverted == second.inverted or max(first.n_images, second.n_images) == 1)
        and similar_echo(a, b)
        and same_examination(a.header, b.header)
        and _same_or_absent(a.header.frame_of_reference, b.header.frame_of_reference)
    )


def _alike(first: Stack, second: Stack) -> bool:
    """True when two groups are akin and lie on one grid but for the place of their slices."""
    a, b = first.frames[0], second.frames[0]
    return (
        (a.header.rows, a.header.columns, a.derived) == (b.header.rows, b.header.columns, b.derived)
        and np.allclose(a.spacing_rc or (), b.spacing_rc or (), rtol=SAME_SPACING, atol=0)
        and float(np.abs(first.orientation - second.orientation).max()) < SAME_DIRECTION
        and akin(first, second)
    )


def similar_echo(first: Frame, second: Frame) -> bool:
    """True unless the echo times of two images are those of different weightings."""
    if first.echo_ms is None or second.echo_ms is None:
        return True
    return max(first.echo_ms, second.echo_ms) < ECHO_RATIO * min(first.echo_ms, second.echo_ms)


def _same_or_absent(first: str, second: str) -> bool:
    return not first or not second or first == second


def _pooled(parts: Sequence[Stack]) -> list[Stack]:
    """Series of one or two slices put together; slices acquired again make a further stack."""
    families: list[list[Stack]] = []
    common = Counter(part.n_images for part in parts)
    for part in sorted(parts, key=lambda p: (-common[p.n_images], -p.n_images, p.when, p.frames[0].header.number)):
        family = next((f for f in families if _alike(f[0], part)), None)
        if family is None:
            families.append([part])
        else:
            family.append(part)
    return [stack for family in families for stack in _layers(family)]


def _layers(family: Sequence[Stack]) -> list[Stack]:
    """A family as acquisitions: a slice goes to the first layer, in order of time, where its place is free."""
    layers: list[list[Stack]] = []
    for part in sorted(family, key=lambda p: (p.when, p.frames[0].header.number)):
        layer = next((known for known in layers if not any(_overlap(other, part) for other in known)), None)
        if layer is None:
            layers.append([part])
        else:
            layer.append(part)
    return [_union(layer) for layer in layers]


def _union(parts: Sequence[Stack]) -> Stack:
    frames = [frame for part in parts for frame in part.frames]
    return Stack(
        tuple(sorted(frames, key=lambda f: (f.header.number, f.index))),
        tuple(frame for part in parts for frame in part.repeats),
        tuple(frame for part in parts for frame in part.undecided),
    )


def _overlap(first: Stack, second: Stack) -> bool:
    """True when two parallel groups have an image at the same place."""
    return any(first.slice_at(found[0]) is not None for found in second.slices)


def _without_beside(stack: Stack) -> list[Stack]:
    """A stack, and apart from it what lies beside its places where the rest is even and whole.

    A slice that was planned again a few millimetres away is such a one; the stack has a slice beside it.
    """
    multiples = step_multiples(np.diff(stack.places_mm))
    if len(stack.slices) <= MIN_SLICES or (multiples is not None and (multiples == 1).all()):
        return [stack]
    level = _levelled(stack)
    if level is not None:
        return [level]
    for n_beside in range(1, MAX_BESIDE + 1):
        for left in combinations(range(len(stack.slices)), n_beside):
            kept = [found for z, found in enumerate(stack.slices) if z not in left]
            multiples = step_multiples(np.diff(np.delete(stack.places_mm, left)))
            if len(kept) < KEPT * n_beside or multiples is None or (multiples > 1).any():
                continue
            rest = np.delete(stack.places_mm, left)
            if all(np.abs(rest - stack.places_mm[z]).min() < BESIDE * (rest[1] - rest[0]) for z in left):
                beside = [Stack(stack.slices[z]) for z in left]
                whole = Stack(tuple(frame for found in kept for frame in found), stack.repeats, stack.undecided)
                return [whole, *beside]
    return [stack]


def _levelled(stack: Stack) -> Stack | None:
    """A stack some slices of which are tilted a little, brought onto the grid of the others; None where it does not."""
    planes: list[list[tuple[Frame, ...]]] = []
    for found in stack.slices:
        plane = next((p for p in planes if _apart(p[0][0].orientation, found[0].orientation) < LEVEL_DIRECTION), None)
        if plane is None:
            planes.append([found])
        else:
            plane.append(found)
    most = max(planes, key=len)
    others = [Stack(tuple(f for found in plane for f in found)) for plane in planes if plane is not most]
    if not others or len(most) < MIN_SLICES:
        return None
    level: Stack | None = Stack(tuple(f for found in most for f in found), stack.repeats, stack.undecided)
    for other in others:
        level = merged(level, other) if level is not None else None
    return level


def _joined(stacks: Sequence[Stack]) -> list[Stack]:
    """Stacks with what continues them, e.g. two slices added at the apex, and what was acquired again of them."""
    left = sorted(stacks, key=lambda stack: (-len(stack.slices), stack.when, stack.frames[0].header.number))
    result: list[Stack] = []
    while left:
        stack = left.pop(0)
        found = _next_part(stack, left)
        while found is not None:
            n, stack = found
            left.pop(n)
            found = _next_part(stack, left)
        result.append(stack)
    return result


def _next_part(stack: Stack, others: Sequence[Stack]) -> tuple[int, Stack] | None:
    """The first of other stacks that can be part of one, by its index, and the stack with it."""
    if len(stack.slices) < MIN_SLICES:
        return None
    for n, other in enumerate(others):
        whole = merged(stack, other) if akin(stack, other) else None
        if whole is not None:
            return n, whole
    return None
