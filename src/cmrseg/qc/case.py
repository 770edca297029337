"""What a rule looks at: one analysed stack and the limits, with the masks that several rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cmrseg import labels
from cmrseg.qc.thresholds import QcThresholds
from cmrseg.quantify.long_axis import LongAxis, find_long_axis
from cmrseg.study import Finding, Image, Measurements, Segmentation, Ventricle

Mask = NDArray[np.bool_]

#: As readers say it.
WORDS = {name: labels.WORDS[name] for name in ("lv_cavity", "lv_myocardium", "rv_cavity")}


@dataclass(frozen=True)
class Case:
    """Image, masks, measurements and limits of one stack; masks are of the frames that numbers are read from."""

    image: Image
    segmentation: Segmentation
    measurements: Measurements
    limits: QcThresholds

    @cached_property
    def phases(self) -> tuple[tuple[str, int], ...]:
        """The frames that numbers are read from, by name: end-diastole and, if known, end-systole; LGE: nameless."""
        if self.image.kind == "lge":
            return (("", 0),)
        named = (("end-diastole", self.measurements.ed_frame), ("end-systole", self.measurements.es_frame))
        return tuple((name, frame) for name, frame in named if frame is not None)

    @property
    def frames(self) -> tuple[int, ...]:
        """The same without their names."""
        return tuple(frame for _, frame in self.phases)

    @property
    def main_frame(self) -> int | None:
        """The frame that shapes are judged at: end-diastole, or LGE's only one; None when the LV is in no frame."""
        return 0 if self.image.kind == "lge" else self.measurements.ed_frame

    @property
    def when(self) -> str:
        """The same in words, for the middle of a sentence; empty for LGE."""
        return "" if self.image.kind == "lge" else " at end-diastole"

    def mask(self, frame: int, *names: str) -> Mask:
        """Boolean [Z, Y, X] of the named structures at a frame.

        ``lv_myocardium`` stands for the whole myocardium, scar included; what the masks do not know is nowhere.
        """
        scheme, wanted = self.segmentation.scheme, set(names)
        if "lv_myocardium" in wanted:
            wanted |= set(scheme.whole_myocardium_names)
        return scheme.mask(self.segmentation.labels[frame], *(wanted & set(scheme.numbers)))

    @cached_property
    def long_axis(self) -> LongAxis | None:
        """Where base and apex are; None when the LV is in no frame."""
        frame = self.main_frame
        if frame is None:
            return None
        left = self.mask(frame, "lv_cavity", "lv_myocardium")
        return find_long_axis(left, self.mask(frame, "rv_cavity"), self.segmentation.geometry)

    def value(self, key: str) -> float | None:
        """A measurement by its key; None when it is not known or not measured."""
        return next((m.value for m in self.measurements.values if m.key == key), None)


@dataclass(frozen=True)
class Spot:
    """A slice of a frame that breaks a limit, and by how much (the sign says which way)."""

    value: float
    frame: int
    z: int


def ventricle_of(structure: str) -> Ventricle:
    """Whose numbers a structure is: ``"rv"`` for the RV cavity, else ``"lv"``."""
    return "rv" if structure == "rv_cavity" else "lv"


def worst_spot(
    code: str, spots: list[Spot], say: Callable[[Spot], str], ventricle: Ventricle | None = None
) -> Iterator[Finding]:
    """One finding about the worst of many slices, saying how many there are; none for an empty list."""
    if spots:
        worst = max(spots, key=lambda spot: abs(spot.value))
        others = f" Worst of {len(spots)} such slices." if len(spots) > 1 else ""
        yield Finding(code, "review", say(worst) + others, frame=worst.frame, slice=worst.z, ventricle=ventricle)
