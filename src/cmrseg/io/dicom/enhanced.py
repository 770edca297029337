"""Enhanced multi-frame objects, taken apart into one `Frame` per image.

Each frame has its own functional groups (PerFrameFunctionalGroupsSequence) over those all frames share
(SharedFunctionalGroupsSequence) over the object's own elements; the first that holds an element decides.
DICOM PS3.3 C.7.6.16.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from cmrseg.io.dicom import tags
from cmrseg.io.dicom.frames import (
    ACTUAL_DELAY,
    DIMENSION_VALUES,
    FRAME_MOMENT,
    FRAME_TAGS,
    PERCENTAGE,
    POSITION,
    REFERENCE_MOMENT,
    TEMPORAL_INDEX,
    TEMPORAL_OFFSET,
    TRIGGER_DELAY,
    Find,
    make_frame,
)
from cmrseg.io.dicom.records import Frame, Header

SHARED_GROUPS = Tag("SharedFunctionalGroupsSequence")
PER_FRAME_GROUPS = Tag("PerFrameFunctionalGroupsSequence")
DIMENSIONS = Tag("DimensionIndexSequence")
DIMENSION_POINTER = Tag("DimensionIndexPointer")
#: Elements that a dimension of time points at.
_TEMPORAL = frozenset(
    (TRIGGER_DELAY, ACTUAL_DELAY, PERCENTAGE, TEMPORAL_INDEX, TEMPORAL_OFFSET, FRAME_MOMENT, REFERENCE_MOMENT)
)


def per_frame_groups(dataset: Dataset) -> Sequence | None:
    """The functional groups of the frames, or None when the object carries none that hold anything."""
    found = tags.value(dataset, PER_FRAME_GROUPS)
    if not isinstance(found, Sequence) or not any(len(item) for item in found):
        return None
    return found


def split(header: Header, dataset: Dataset, groups: Sequence) -> list[Frame]:
    """Every frame of an enhanced object, in the order of its pixel data.

    Args:
        header: the file; its `n_frames` must equal the number of groups.
        dataset: read up to the pixels.
        groups: what `per_frame_groups` returned.
    """
    found = tags.value(dataset, SHARED_GROUPS)
    shared = _flattened(found[0]) if isinstance(found, Sequence) and len(found) else {}
    own = {tag: value for tag in FRAME_TAGS if (value := tags.value(dataset, tag)) is not None}
    finders = [_finder(_flattened(item), shared, own) for item in groups]
    indices = _phase_indices(dataset, finders)
    return [
        make_frame(header, index, find, phase) for index, (find, phase) in enumerate(zip(finders, indices, strict=True))
    ]


def _phase_indices(dataset: Dataset, finders: list[Find]) -> list[float | None]:
    """The dimension index of each frame that numbers the phases; None where there is none."""
    at = _temporal_dimension(dataset, finders)
    values = [tags.all_numbers(find(DIMENSION_VALUES)) for find in finders]
    return [several[at] if at is not None and at < len(several) else None for several in values]


def _temporal_dimension(dataset: Dataset, finders: list[Find]) -> int | None:
    """Which of the dimension indices numbers the phases: one that points at an element of time.

    Where the file does not say what its dimensions are, the only one that tells apart the frames of every place.
    """
    found = tags.value(dataset, DIMENSIONS)
    pointers = [tags.value(item, DIMENSION_POINTER) for item in found] if isinstance(found, Sequence) else []
    named = next((at for at, pointer in enumerate(pointers) if pointer in _TEMPORAL), None)
    if named is not None:
        return named
    by_place: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for find in finders:
        by_place[tags.text(find(POSITION))].append(tags.all_numbers(find(DIMENSION_VALUES)))
    n_dimensions = min(len(values) for several in by_place.values() for values in several)
    telling = [
        at
        for at in range(n_dimensions)
        if all(len({values[at] for values in several}) == len(several) for several in by_place.values())
    ]
    return telling[0] if len(telling) == 1 and len(by_place) < len(finders) else None


def _finder(*layers: dict[BaseTag, Any]) -> Find:
    def find(tag: BaseTag) -> Any:
        return next((layer[tag] for layer in layers if tag in layer), None)

    return find


def _flattened(item: Dataset) -> dict[BaseTag, Any]:
    """The wanted elements of all functional groups of one frame; standard groups before a vendor's private ones."""
    result: dict[BaseTag, Any] = {}
    for element_tag in sorted(item.keys(), key=lambda tag: (tag.is_private, tag)):
        group = tags.value(item, element_tag)
        if not isinstance(group, Sequence) or not len(group):
            continue
        for tag in FRAME_TAGS:
            if tag in group[0] and tag not in result and (value := tags.value(group[0], tag)) is not None:
                result[tag] = value
    return result
