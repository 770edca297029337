"""Enhanced multi-frame objects, taken apart into one `Frame` per image.

Each frame has its own functional groups (PerFrameFunctionalGroupsSequence) over those all frames share
(SharedFunctionalGroupsSequence) over the object's own elements; the first that holds an element decides.
DICOM PS3.3 C.7.6.16.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from cmrseg.io.dicom import tags
from cmrseg.io.dicom.frames import FRAME_TAGS, Find, make_frame
from cmrseg.io.dicom.records import Frame, Header

SHARED_GROUPS = Tag("SharedFunctionalGroupsSequence")
PER_FRAME_GROUPS = Tag("PerFrameFunctionalGroupsSequence")


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
    return [make_frame(header, index, _finder(_flattened(item), shared, own)) for index, item in enumerate(groups)]


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
