"""Instances to stacks of parallel slices: one series per stack, a series per slice, or one enhanced object.

A stack holds images of one orientation, matrix, pixel spacing and kind. Series that hold one or two slices are pooled
with their like. Nothing is dropped here: every frame is in exactly one stack, or in none with a stated reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import degrees_from_long_axis
from cmrseg.io.dicom.hints import called_cine, hints, letters, reconstruction
from cmrseg.io.dicom.records import Damage, Frame, Header
from cmrseg.io.slices import SAME_PLACE_MM

#: Direction cosines of parallel images differ by less; 0.01 is half a degree.
SAME_DIRECTION = 0.01
SAME_SPACING_MM = 1e-3
#: Fewer parallel slices in one series are a view, or a part of a stack that has a series per slice.
MIN_SLICES = 3
#: Slices of one stack may differ this much in their number of images and still be pooled: one may be damaged.
COUNT_RATIO = (0.6, 1.6)
#: Slices of one stack differ less in their echo time; that of T2-weighted images is ten times that of others.
ECHO_RATIO = 3.0
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Stack:
    """Parallel images of one kind.

    Args:
        frames: at least one; all have position, orientation and spacing.
        repeats: frames of slices that were acquired again later and are left out for that reason.
    """

    frames: tuple[Frame, ...]
    repeats: tuple[Frame, ...] = ()

    @cached_property
    def orientation(self) -> NDArray[np.float64]:
        """Median of the direction cosines, float64[2, 3], rows of unit length but not yet at right angles."""
        median = np.median([frame.orientation for frame in self.frames], axis=0).reshape(2, 3)
        return np.asarray(median / np.linalg.norm(median, axis=1, keepdims=True))

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal of the images, direction of a row times direction of a column."""
        cross = np.cross(self.orientation[0], self.orientation[1])
        return np.asarray(cross / max(float(np.linalg.norm(cross)), 1e-12))

    @cached_property
    def slices(self) -> tuple[tuple[Frame, ...], ...]:
        """Images by place, in the order of their projection on the normal."""
        order = sorted(self.frames, key=lambda frame: (self.projection(frame), frame.header.number, frame.index))
        result: list[list[Frame]] = [[order[0]]]
        for frame in order[1:]:
            if self.projection(frame) - self.projection(result[-1][-1]) > SAME_PLACE_MM:
                result.append([])
            result[-1].append(frame)
        return tuple(tuple(found) for found in result)

    def projection(self, frame: Frame) -> float:
        """Place of an image along the normal, in mm."""
        return float(np.dot(frame.position or (0.0, 0.0, 0.0), self.normal))

    @cached_property
    def places_mm(self) -> NDArray[np.float64]:
        """Place of each slice along the normal, increasing."""
        return np.array([np.median([self.projection(frame) for frame in found]) for found in self.slices])

    @property
    def distance_mm(self) -> float:
        """Median distance of neighbouring slices; 0 for one slice."""
        return float(np.median(np.diff(self.places_mm))) if len(self.slices) > 1 else 0.0

    @cached_property
    def n_images(self) -> int:
        """Images per slice, as most slices have it; the larger number when two are as common."""
        counts = Counter(len(found) for found in self.slices)
        return max(counts, key=lambda count: (counts[count], count))

    @cached_property
    def series(self) -> frozenset[str]:
        """Series the images come from."""
        return frozenset(frame.header.series for frame in self.frames)

    @cached_property
    def hints(self) -> frozenset[str]:
        """What the series are called, by their descriptions, or by a protocol's name where these tell nothing."""
        return self.described or self.protocol_hints

    @cached_property
    def described(self) -> frozenset[str]:
        """What the series descriptions hint at."""
        return frozenset().union(*(hints(description) for description in self._descriptions))

    @cached_property
    def protocol_hints(self) -> frozenset[str]:
        """What protocol names hint at that are not those of the whole examination."""
        return frozenset().union(*(hints(header.protocol) for header in self._headers))

    @cached_property
    def supported(self) -> frozenset[str]:
        """What protocol and sequence names add in favour of a kind; never a reason against one."""
        of_sequences = frozenset().union(*(hints(header.sequence) for header in self._headers))
        return (self.protocol_hints | of_sequences) & {"cine", "lge", "short axis"}

    @property
    def called_cine(self) -> bool:
        """True when a series description says cine by more than the name of a sequence."""
        return any(called_cine(description) for description in self._descriptions)

    @cached_property
    def _headers(self) -> tuple[Header, ...]:
        return tuple({frame.header.number: frame.header for frame in self.frames}.values())

    @cached_property
    def _descriptions(self) -> frozenset[str]:
        return frozenset(frame.header.description for frame in self.frames)

    @property
    def letters(self) -> frozenset[str]:
        """Series descriptions without their numbers; without the empty one."""
        return frozenset(letters(description) for description in self._descriptions) - {""}

    @property
    def reconstructions(self) -> frozenset[str]:
        """``magnitude`` or ``phase-sensitive``, where the series descriptions say so."""
        return frozenset(reconstruction(description) for description in self._descriptions) - {""}

    @cached_property
    def scans_inversion(self) -> bool:
        """True when the inversion time changes within a slice, as in T1 maps and scouts for it."""
        return any(len({f.inversion_ms for f in found if f.inversion_ms is not None}) > 2 for found in self.slices)

    @property
    def inverted(self) -> bool:
        """True when some images follow an inversion pulse."""
        return any(frame.inverted for frame in self.frames)

    @property
    def axis_angle_degrees(self) -> float:
        """Angle between the normal and the heart's usual long axis, 0 to 90 degrees."""
        return degrees_from_long_axis(self.normal)

    @property
    def when(self) -> tuple[int, float, int]:
        """Day, seconds, and series number of the last acquisition; for the later of two stacks."""
        return max(acquired(frame) for frame in self.frames)


@dataclass(frozen=True)
class Unplaced:
    """Images of one series that cannot be in any stack, and why."""

    frames: tuple[Frame, ...]
    damage: Damage


def acquired(frame: Frame) -> tuple[int, float, int]:
    """Day, second and series number of an image; zeros where the file does not say."""
    header = frame.header
    moment = frame.acquired_seconds if frame.acquired_seconds is not None else header.series_seconds
    # A moment of an enhanced file counts from its date, a time of day does not.
    return header.study_day, (moment or 0.0) % SECONDS_PER_DAY, header.series_number or 0


def unplaced_reason(frame: Frame) -> Damage | None:
    """Why an image cannot be in a stack; None when it can."""
    header = frame.header
    if header.secondary_capture:
        return Damage("no_cine", "secondary capture: a screenshot or scanned page")
    if header.modality != "MR":
        return Damage("wrong_modality", "not MR")
    if header.samples != 1:
        return Damage("no_cine", "a colour image")
    if frame.position is None or frame.orientation is None:
        return Damage("no_position", "no usable ImagePositionPatient or ImageOrientationPatient")
    if frame.spacing_rc is None:
        return Damage("no_spacing", "no usable PixelSpacing")
    return None


def build_stacks(frames: Iterable[Frame]) -> tuple[tuple[Stack, ...], tuple[Unplaced, ...]]:
    """Every image in exactly one stack or, with the reason, in none; independent of the order of the files.

    Returns:
        Stacks, largest first, and what could not be placed. Both empty for no frames.
    """
    unplaced: dict[tuple[str, Damage], list[Frame]] = defaultdict(list)
    by_kind: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        reason = unplaced_reason(frame)
        if reason is not None:
            unplaced[(frame.header.series, reason)].append(frame)
        else:
            by_kind[(frame.header.series, *_image_kind(frame))].append(frame)
    groups = [Stack(tuple(found)) for alike in by_kind.values() for found in _by_orientation(alike)]
    whole = [group for group in groups if len(group.slices) >= MIN_SLICES]
    parts = [group for group in groups if len(group.slices) < MIN_SLICES]
    stacks = _joined([*whole, *_pooled(parts)])
    return (
        tuple(sorted(stacks, key=lambda stack: (-len(stack.frames), stack.frames[0].header.number))),
        tuple(Unplaced(tuple(found), reason) for (_, reason), found in unplaced.items()),
    )


def _image_kind(frame: Frame) -> tuple[object, ...]:
    """What images of one stack share besides their orientation."""
    header = frame.header
    row_mm, column_mm = frame.spacing_rc or (0.0, 0.0)
    return (
        header.rows,
        header.columns,
        round(row_mm, 4),
        round(column_mm, 4),
        frame.component,
        frame.derived,
        header.bits_allocated,
        header.signed,
    )


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


def _apart(first: tuple[float, ...] | None, second: tuple[float, ...] | None) -> float:
    return float(np.abs(np.subtract(first or 0.0, second or 0.0)).max())


def _same_family(first: Stack, second: Stack) -> bool:
    """True when two groups could be parts of one stack: same geometry but for the place, same kind, same words."""
    a, b = first.frames[0], second.frames[0]
    same_words = (
        "short axis" in first.hints or first.letters == second.letters or not (first.letters and second.letters)
    )
    low, high = COUNT_RATIO
    return (
        _image_kind(a) == _image_kind(b)
        and float(np.abs(first.orientation - second.orientation).max()) < SAME_DIRECTION
        and low <= second.n_images / first.n_images <= high
        and first.hints - {"cine"} == second.hints - {"cine"}
        and same_words
        and first.reconstructions == second.reconstructions
        and first.scans_inversion == second.scans_inversion
        and (first.inverted == second.inverted or max(first.n_images, second.n_images) == 1)
        and _similar_echo(a, b)
        and _same_or_absent(a.header.study_uid, b.header.study_uid)
        and _same_or_absent(a.header.frame_of_reference, b.header.frame_of_reference)
    )


def _similar_echo(first: Frame, second: Frame) -> bool:
    if first.echo_ms is None or second.echo_ms is None:
        return True
    return max(first.echo_ms, second.echo_ms) < ECHO_RATIO * min(first.echo_ms, second.echo_ms)


def _same_or_absent(first: str, second: str) -> bool:
    return not first or not second or first == second


def _pooled(parts: Sequence[Stack]) -> list[Stack]:
    """Series of one or two slices put together; slices acquired again make a further stack or replace the earlier."""
    families: list[list[Stack]] = []
    common = Counter(part.n_images for part in parts)
    for part in sorted(parts, key=lambda p: (-common[p.n_images], -p.n_images, p.when, p.frames[0].header.number)):
        family = next((f for f in families if _same_family(f[0], part)), None)
        if family is None:
            families.append([part])
        else:
            family.append(part)
    return [stack for family in families for stack in _layers(family)]


def _layers(family: Sequence[Stack]) -> list[Stack]:
    """A family as complete acquisitions: a slice goes to the first layer, in order of time, where its place is free.

    One or two slices acquired again, beside a larger first layer, are a correction: they replace the earlier ones.
    """
    layers: list[list[Stack]] = []
    for part in sorted(family, key=lambda p: (p.when, p.frames[0].header.number)):
        layer = next((known for known in layers if not any(_overlap(other, part) for other in known)), None)
        if layer is None:
            layers.append([part])
        else:
            layer.append(part)
    first, *later = layers
    repeats: list[Frame] = []
    stacks: list[Stack] = []
    for layer in later:
        if sum(len(part.slices) for part in layer) < MIN_SLICES <= len(first):
            replaced = [old for old in first if any(_overlap(old, new) for new in layer)]
            repeats += [frame for old in replaced for frame in old.frames]
            first = [part for part in first if part not in replaced] + layer
        else:
            stacks.append(_union(layer))
    return [_union(first, tuple(repeats)), *stacks]


def _union(parts: Sequence[Stack], repeats: tuple[Frame, ...] = ()) -> Stack:
    frames = [frame for part in parts for frame in part.frames]
    return Stack(tuple(sorted(frames, key=lambda f: (f.header.number, f.index))), repeats)


def _overlap(first: Stack, second: Stack) -> bool:
    """True when two parallel groups have an image at the same place."""
    places = np.array([first.projection(found[0]) for found in second.slices])
    return bool((np.abs(first.places_mm[:, None] - places[None, :]) <= SAME_PLACE_MM).any())


def _joined(stacks: Sequence[Stack]) -> list[Stack]:
    """Stacks that continue each other at the same slice distance, e.g. two slices added at the apex, made one."""
    left = sorted(stacks, key=lambda stack: (-len(stack.slices), stack.when, stack.frames[0].header.number))
    result: list[Stack] = []
    while left:
        stack = left.pop(0)
        extension = next((other for other in left if _continues(stack, other)), None)
        while extension is not None:
            left.remove(extension)
            stack = _union([stack, extension], stack.repeats + extension.repeats)
            extension = next((other for other in left if _continues(stack, other)), None)
        result.append(stack)
    return result


def _continues(stack: Stack, other: Stack) -> bool:
    if len(stack.slices) < MIN_SLICES or not _same_family(stack, other) or _overlap(stack, other):
        return False
    steps = np.diff(_union([stack, other]).places_mm)
    return bool(np.abs(steps - stack.distance_mm).max() <= max(0.01 * stack.distance_mm, 0.1))
