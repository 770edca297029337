"""A stack of parallel slices: what is known of it, and when and where its images were acquired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import base_comes_first, degrees_from_long_axis
from cmrseg.io.dicom.hints import called_cine, hints, letters, reconstruction
from cmrseg.io.dicom.records import Damage, Frame, Header
from cmrseg.io.slices import SAME_PLACE_MM
from cmrseg.numbering import slice_number

#: Fewer parallel slices in one series are a view, or a part of a stack that has a series per slice.
MIN_SLICES = 3
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Stack:
    """Parallel images of one kind.

    Args:
        frames: at least one; all have position, orientation and spacing.
        repeats: frames of slices that were acquired again later and are left out for that reason.
        undecided: other images of slices of the stack, of which no time tells whether they are later.
    """

    frames: tuple[Frame, ...]
    repeats: tuple[Frame, ...] = ()
    undecided: tuple[Frame, ...] = ()

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
    def base_first(self) -> bool | None:
        """True when the first slice lies at the base of the heart; None where the directions do not tell."""
        return base_comes_first(self.normal)

    def number(self, z: int) -> int:
        """Number of a slice as a person reads it, from 1 at the base."""
        return slice_number(z, len(self.slices), self.base_first)

    def slice_at(self, frame: Frame) -> int | None:
        """Index of the slice at whose place an image lies; None where there is none."""
        near = np.flatnonzero(np.abs(self.places_mm - self.projection(frame)) <= SAME_PLACE_MM)
        return int(near[0]) if len(near) else None

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


def moment(frames: Iterable[Frame]) -> tuple[float, ...] | None:
    """When the last of some images was acquired: day, acquisition, series and content; None where a file does not say.

    Later elements decide only where the earlier ones are equal, as where all series carry the time of the study.
    """
    found = []
    for frame in frames:
        day, seconds, _ = acquired(frame)
        if frame.acquired_seconds is None and frame.header.series_seconds is None:
            return None
        found.append((float(day), seconds, frame.header.series_seconds or 0.0, frame.phase.get("ContentTime", 0.0)))
    return max(found, default=None)


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
