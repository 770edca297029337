"""What kind of error a segmentation makes: tags from topology and from the distance of outlines, per patient.

Each tag has one definition, in `DEFINITIONS`, and its limits in `TaxonomyLimits`. A patient may have several. A tag
says where to look; it is no diagnosis of the cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.evaluate.cine import STRUCTURES, labelled_phases
from cmrseg.evaluate.metrics import dice, surface_distances
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import CINE

Mask = NDArray[np.bool_]

DEFINITIONS: Mapping[str, str] = {
    "gross_failure": "Dice of a structure below the limit; a structure that is missed or invented as a whole included",
    "labels_swapped": "Dice of both cavities is below the limit, and above it once LV and RV cavity are exchanged",
    "missed_slice_base": "the truth has the structure in slices nearer the base than all slices found",
    "missed_slice_apex": "the truth has the structure in slices nearer the apex than all slices found",
    "missed_slice_middle": "the truth has the structure in a slice between slices found, and the prediction has not",
    "extra_slice_base": "the structure is found in slices nearer the base than all slices of the truth",
    "extra_slice_apex": "the structure is found in slices nearer the apex than all slices of the truth",
    "papillary_like_hole": "inside the LV cavity found, on one slice, lies a hole that the truth counts as cavity",
    "fragment": "a part apart from the largest one of its structure, which does not touch the truth",
    "leak": "the largest part reaches farther than the limit from the truth, on slices where the truth has it",
    "boundary_imprecision": "mean distance of the outlines, over the slices that have both, above the limit",
}


@dataclass(frozen=True)
class TaxonomyLimits:
    """Where an error begins to count. These are choices of this package, not of a guideline."""

    gross_dice: float = 0.5
    """Dice below which a structure failed grossly."""
    gross_ml: float = 1.0
    """A structure fails grossly only where one of the two masks is at least as large."""
    slice_mm2: float = 20.0
    """Smallest area of a missed or superfluous slice."""
    hole_mm2: float = 10.0
    """Smallest hole in the cavity: about a papillary muscle cut across."""
    fragment_ml: float = 0.1
    """Smallest part apart."""
    leak_mm: float = 10.0
    """In-plane distance from the truth at which a leak begins."""
    leak_ml: float = 0.5
    """Smallest leak."""
    boundary_mm: float = 2.0
    """Mean in-plane distance of outlines that still counts as precise: somewhat more than a pixel."""


DEFAULT_LIMITS = TaxonomyLimits()


@dataclass(frozen=True)
class Tag:
    """One error of one patient.

    Args:
        name: of `DEFINITIONS`.
        structure: which structure it is about.
        phase: ``ed`` or ``es``.
        value: how much, in `unit`: mm2 of slices and holes, mL of parts, mm of outlines, Dice otherwise.
        unit: of the value.
    """

    name: str
    structure: str
    phase: str
    value: float
    unit: str


def error_tags(found_KZYX: NDArray[np.uint8], truth: Truth, limits: TaxonomyLimits = DEFAULT_LIMITS) -> tuple[Tag, ...]:
    """Errors of one patient.

    Args:
        found_KZYX: uint8 in numbers of `labels.CINE`, one stack for each of the truth's frames, in their order.
        truth: masks of the patient.
        limits: where an error begins to count.

    Returns:
        Tags in the order of structures and phases; none for masks that agree, and none for two empty masks.
    """
    tags: list[Tag] = []
    for phase, k in labelled_phases(truth).items():
        found_ZYX, truth_ZYX = found_KZYX[k], truth.labels[k]
        base_first = base_comes_first(truth_ZYX)
        tags += _swapped(found_ZYX, truth_ZYX, phase, limits)
        for name in STRUCTURES:
            pair = _Pair(name, phase, found_ZYX == CINE[name], truth_ZYX == CINE[name], truth.geometry, limits)
            tags += pair.tags(base_first)
    return tuple(tags)


def tag_counts(tags: Mapping[str, Sequence[Tag]]) -> dict[str, int]:
    """Number of patients with each tag of `DEFINITIONS`, tags that nobody has included.

    Args:
        tags: of every patient, by case id.
    """
    per_patient = [{tag.name for tag in found} for found in tags.values()]
    return {name: sum(name in names for names in per_patient) for name in DEFINITIONS}


def base_comes_first(truth_ZYX: NDArray[np.uint8]) -> bool:
    """True when the basal slice of a stack is its first one: the heart narrows from base to apex.

    Told from the labels, since public sets carry no directions. The half of the labelled slices with the larger area
    is the basal one; True for equal halves and for a stack without labels.
    """
    areas = np.trim_zeros((truth_ZYX > 0).sum(axis=(1, 2)).astype(float))
    half = len(areas) // 2
    return bool(areas[:half].sum() >= areas[len(areas) - half :].sum())


def _swapped(
    found_ZYX: NDArray[np.uint8], truth_ZYX: NDArray[np.uint8], phase: str, limits: TaxonomyLimits
) -> Iterator[Tag]:
    left, right = CINE["lv_cavity"], CINE["rv_cavity"]
    straight = [dice(found_ZYX == n, truth_ZYX == n) for n in (left, right)]
    exchanged = [dice(found_ZYX == left, truth_ZYX == right), dice(found_ZYX == right, truth_ZYX == left)]
    if max(straight) < limits.gross_dice < min(exchanged):
        yield Tag("labels_swapped", "lv_cavity", phase, min(exchanged), "")


@dataclass(frozen=True)
class _Pair:
    """Both masks of one structure in one frame."""

    structure: str
    phase: str
    found: Mask
    truth: Mask
    geometry: Geometry
    limits: TaxonomyLimits

    def tags(self, base_first: bool) -> Iterator[Tag]:
        if not (self.found.any() or self.truth.any()):
            return
        score, size_ml = dice(self.found, self.truth), max(self._ml(self.found), self._ml(self.truth))
        if score < self.limits.gross_dice and size_ml >= self.limits.gross_ml:
            yield self._tag("gross_failure", score, "")
        if not (self.found.any() and self.truth.any()):
            return
        yield from self._slices(base_first)
        if self.structure == "lv_cavity":
            yield from self._holes()
        yield from self._apart_and_leaking()
        yield from self._outlines()

    def _tag(self, name: str, value: float, unit: str) -> Tag:
        return Tag(name, self.structure, self.phase, float(value), unit)

    def _ml(self, mask: Mask) -> float:
        return float(np.count_nonzero(mask)) * self.geometry.voxel_volume_ml

    def _slices(self, base_first: bool) -> Iterator[Tag]:
        areas = [mask.sum(axis=(1, 2)) * self.geometry.pixel_area_mm2 for mask in (self.found, self.truth)]
        for kind, here, other in (("missed", areas[1], areas[0]), ("extra", areas[0], areas[1])):
            absent = np.where(other > 0, 0.0, here)
            ends = np.flatnonzero(other)[[0, -1]]
            parts = {"first": absent[: ends[0]], "last": absent[ends[1] + 1 :]}
            if kind == "missed":
                parts["middle"] = absent[ends[0] : ends[1]]
            names = {"first": "base" if base_first else "apex", "last": "apex" if base_first else "base"}
            for side, lost in parts.items():
                if lost.max(initial=0.0) >= self.limits.slice_mm2:
                    yield self._tag(f"{kind}_slice_{names.get(side, side)}", lost.sum(), "mm2")

    def _holes(self) -> Iterator[Tag]:
        largest = 0.0
        for found, truth in zip(self.found, self.truth, strict=True):
            parts, count = ndimage.label(ndimage.binary_fill_holes(found) & ~found)
            # A hole counts by what the truth calls cavity in it.
            inside = ndimage.sum_labels(truth, parts, np.arange(1, count + 1)) if count else np.zeros(0)
            largest = max(largest, float(np.max(inside, initial=0.0)) * self.geometry.pixel_area_mm2)
        if largest >= self.limits.hole_mm2:
            yield self._tag("papillary_like_hole", largest, "mm2")

    def _apart_and_leaking(self) -> Iterator[Tag]:
        parts, count = ndimage.label(self.found, np.ones((3, 3, 3)))
        numbers = np.arange(1, count + 1)
        sizes = np.atleast_1d(ndimage.sum_labels(self.found, parts, numbers))
        touching = np.atleast_1d(ndimage.sum_labels(self.truth, parts, numbers)) > 0
        main = int(sizes.argmax())
        stray = float(sizes[~touching & (numbers - 1 != main)].max(initial=0.0)) * self.geometry.voxel_volume_ml
        if stray >= self.limits.fragment_ml:
            yield self._tag("fragment", stray, "mL")
        leaking = 0
        for z in np.flatnonzero(self.truth.any(axis=(1, 2)) & self.found.any(axis=(1, 2))):
            far = ndimage.distance_transform_edt(~self.truth[z], sampling=self._pixel_mm) > self.limits.leak_mm
            leaking += int(np.count_nonzero(far & (parts[z] == main + 1)))
        leak_ml = leaking * self.geometry.voxel_volume_ml
        if leak_ml >= self.limits.leak_ml:
            yield self._tag("leak", leak_ml, "mL")

    def _outlines(self) -> Iterator[Tag]:
        pairs = [(f, t) for f, t in zip(self.found, self.truth, strict=True) if f.any() and t.any()]
        if not pairs:
            return
        distances = np.concatenate([d for f, t in pairs for d in surface_distances(f, t, self._pixel_mm)])
        if distances.mean() > self.limits.boundary_mm:
            yield self._tag("boundary_imprecision", distances.mean(), "mm")

    @property
    def _pixel_mm(self) -> tuple[float, float]:
        x_mm, y_mm, _ = self.geometry.spacing_xyz_mm
        return y_mm, x_mm
