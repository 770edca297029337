"""Boxes: of masks, their overlap, and which of many overlapping ones stay.

A box is x0, y0, x1, y1 in pixels; pixel 0 reaches from 0 to 1, so that far edges lie behind the last pixel. Letters in
names: B images, K structures (background is none), M boxes, L places that propose boxes, N and G boxes of a list.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

#: Regions of fewer pixels are no object to be found: a drawn scar leaves such crumbs at its border.
SMALLEST_PIXELS = 4
_NEIGHBOURS = np.ones((3, 3), bool)
_TINY = 1e-9


class Boxes(NamedTuple):
    """Boxes of the structures of some images, with room for M of each."""

    edges_BKM4: Tensor
    """float32, pixels of the image; zeros where there is no box."""
    confidence_BKM: Tensor
    """float32 in 0..1, falling along M; 0 where there is no box. 1 for boxes that a person or the truth gives."""
    best_BK: Tensor
    """float32 in 0..1, the score of the best box of each structure, whether or not it was good enough to be given."""

    @property
    def present(self) -> Tensor:
        """bool, where there is a box."""
        return self.confidence_BKM > 0


def box_list(labels_HW: NDArray[np.integer], structure: int, smallest: int = SMALLEST_PIXELS) -> NDArray[np.float32]:
    """Boxes of the connected regions (8 neighbours) of one structure, the largest region first.

    Args:
        labels_HW: class numbers.
        structure: the class.
        smallest: regions of fewer pixels are left out.

    Returns:
        float32[N, 4]; N is 0 where the structure is not.
    """
    regions, count = ndimage.label(labels_HW == structure, _NEIGHBOURS)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    found = ndimage.find_objects(regions)
    order = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= smallest]
    edges = [(found[k][1].start, found[k][0].start, found[k][1].stop, found[k][0].stop) for k in order]
    return np.array(edges, np.float32).reshape(-1, 4)


def boxes_of_masks(target_BHW: Tensor, n_classes: int, max_boxes: int, smallest: int = SMALLEST_PIXELS) -> Boxes:
    """Boxes of every structure's connected regions: what a detector learns, and what an oracle knows.

    Args:
        target_BHW: int64 class numbers.
        n_classes: background included.
        max_boxes: room for the largest so many regions of a structure; the others are left out.
        smallest: as `box_list`.

    Returns:
        Boxes on the device of the target, of confidence 1; none for a structure that is not there.
    """
    lists = [
        [box_list(labels_HW, k, smallest)[:max_boxes] for k in range(1, n_classes)]
        for labels_HW in target_BHW.cpu().numpy()
    ]
    return boxes_from_lists(lists, max_boxes, target_BHW.device)


def boxes_from_lists(lists: list[list[NDArray[np.float32]]], max_boxes: int, device: torch.device) -> Boxes:
    """Boxes of confidence 1 from lists float32[N, 4] per image and structure, N at most `max_boxes`."""
    edges = np.zeros((len(lists), len(lists[0]) if lists else 0, max_boxes, 4), np.float32)
    confidence = np.zeros(edges.shape[:3], np.float32)
    for b, structures in enumerate(lists):
        for k, found in enumerate(structures):
            edges[b, k, : len(found)] = found
            confidence[b, k, : len(found)] = 1
    scores = torch.from_numpy(confidence).to(device)
    return Boxes(torch.from_numpy(edges).to(device), scores, scores.amax(-1))


def overlap(first_N4: Tensor, second_G4: Tensor) -> Tensor:
    """Intersection over union of every pair of boxes, [..., N, G] of [..., N, 4] and [..., G, 4]; 0 for empty boxes."""
    a, b = first_N4[..., :, None, :], second_G4[..., None, :, :]
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp_min(0).prod(-1)
    return inner / (_area(a) + _area(b) - inner).clamp_min(_TINY)


def generalised_overlap(first_N4: Tensor, second_N4: Tensor) -> Tensor:
    """Generalised intersection over union of boxes pair by pair, [N], -1 to 1 (Rezatofighi et al., CVPR 2019).

    It is the overlap less the empty share of the smallest box round both, so that boxes apart attract each other.
    """
    low = torch.maximum(first_N4[..., :2], second_N4[..., :2])
    high = torch.minimum(first_N4[..., 2:], second_N4[..., 2:])
    inner = (high - low).clamp_min(0).prod(-1)
    union = _area(first_N4) + _area(second_N4) - inner
    low = torch.minimum(first_N4[..., :2], second_N4[..., :2])
    high = torch.maximum(first_N4[..., 2:], second_N4[..., 2:])
    round_both = (high - low).clamp_min(0).prod(-1)
    return inner / union.clamp_min(_TINY) - (round_both - union) / round_both.clamp_min(_TINY)


def _area(boxes_4: Tensor) -> Tensor:
    return (boxes_4[..., 2:] - boxes_4[..., :2]).clamp_min(0).prod(-1)


def suppress(edges_N4: Tensor, limit: float) -> Tensor:
    """Greedy non-maximum suppression of boxes that are in order of falling score.

    A box goes if it overlaps a better one that stays by more than the limit.

    Args:
        edges_N4: [..., N, 4].
        limit: intersection over union, 0..1.

    Returns:
        bool [..., N], which boxes stay; the first always does.
    """
    count = edges_N4.shape[-2]
    rivals = overlap(edges_N4, edges_N4) > limit
    later = torch.arange(count, device=edges_N4.device)
    stays = torch.ones(edges_N4.shape[:-1], dtype=torch.bool, device=edges_N4.device)
    # written out box by box, without a loop that ends early, so that it can be exported
    for k in range(count):
        stays = stays & ~(rivals[..., k, :] & stays[..., k : k + 1] & (later > k))
    return stays
