"""Loss of a detector without anchors: which places answer for a true box, and how well they do.

Places are chosen by task alignment (Feng et al., TOOD, ICCV 2021): those inside a box whose score and overlap are
best together, so that the box that scores best is the one that fits best. Letters in names: B images, K structures,
L places, G true boxes of an image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cmrseg.models.detector.boxes import Boxes, boxes_of_masks, generalised_overlap, overlap
from cmrseg.models.outputs import DenseBoxes

#: Exponents of score and overlap in the alignment, and places that answer for a box. The places are Feng's, whose
#: exponents are 1 and 6. The score's is halved, so that the first, blind scores do not decide. The sixth power of the
#: overlap needs boxes that fit already: from a few dozen patients boxes overlap by half, and whichever of many alike
#: places is best by chance would be the only one aimed at, so that no score is ever learnt.
SCORE_POWER, OVERLAP_POWER, PLACES = 0.5, 1.0, 13
_TINY = 1e-9


def detection_loss(dense: DenseBoxes, target_BHW: Tensor, max_boxes: int = 32) -> tuple[Tensor, Tensor]:
    """Loss of scores and of boxes against the connected regions of masks.

    Args:
        dense: what every place proposes, for K structures.
        target_BHW: int64 class numbers 0..K.
        max_boxes: room for true boxes; smaller regions of a structure beyond so many count as nothing.

    Returns:
        binary cross-entropy of the scores, and one minus the generalised overlap of the boxes that answer for a true
        one; both summed and divided by the sum of the scores aimed at, at least 1. The second is 0 without true boxes.
    """
    structures = dense.scores_BLK.shape[-1]
    truth = boxes_of_masks(target_BHW, structures + 1, max_boxes)
    aims, misfits = [], []
    for b in range(len(target_BHW)):
        aim_LK, answers_L, edges_L4 = assign(dense, b, truth)
        aims.append(aim_LK)
        weights = aim_LK.sum(-1)[answers_L]
        fit = generalised_overlap(dense.edges_BL4[b][answers_L], edges_L4[answers_L])
        misfits.append((weights * (1 - fit)).sum())
    aims_BLK = torch.stack(aims)
    total = aims_BLK.sum().clamp_min(1.0)
    entropy = binary_cross_entropy_with_logits(dense.scores_BLK, aims_BLK, reduction="sum")
    return entropy / total, torch.stack(misfits).sum() / total


@torch.no_grad()
def assign(dense: DenseBoxes, b: int, truth: Boxes) -> tuple[Tensor, Tensor, Tensor]:
    """Which places answer for which true box of one image.

    A place may answer if it lies in the box; where none does, as in a box between places, the nearest. Of those the
    `PLACES` best aligned answer; a place that is wanted by several boxes answers for the one that it overlaps most.

    Args:
        dense: proposals.
        b: which image.
        truth: true boxes of all images.

    Returns:
        the score each place should have [L, K]: overlap of the box's best place, times the place's alignment relative
        to the best; bool [L], places that answer; and their true box [L, 4].
    """
    scores_LK, edges_L4 = dense.scores_BLK[b].sigmoid(), dense.edges_BL4[b]
    aim_LK, target_L4 = torch.zeros_like(scores_LK), torch.zeros_like(edges_L4)
    structure_G, slot_G = torch.nonzero(truth.present[b], as_tuple=True)
    if not len(structure_G):
        return aim_LK, aim_LK.any(-1), target_L4
    true_G4 = truth.edges_BKM4[b][structure_G, slot_G]
    overlap_GL = overlap(true_G4, edges_L4)
    alignment_GL = scores_LK.T[structure_G] ** SCORE_POWER * overlap_GL**OVERLAP_POWER
    may_GL = _eligible(dense.places_L2, true_G4)
    # places that overlap nothing yet are ranked by where they are
    distance_GL = torch.cdist((true_G4[:, :2] + true_G4[:, 2:]) / 2, dense.places_L2)
    rank_GL = torch.where(may_GL, alignment_GL + _TINY / (1 + distance_GL), -torch.ones_like(alignment_GL))
    chosen_GN = rank_GL.topk(min(PLACES, rank_GL.shape[1])).indices
    answers_GL = torch.zeros_like(may_GL).scatter(1, chosen_GN, torch.ones_like(chosen_GN, dtype=torch.bool)) & may_GL
    own_L = torch.where(answers_GL, overlap_GL, -torch.ones_like(overlap_GL)).argmax(0)
    answers_GL &= torch.nn.functional.one_hot(own_L, len(true_G4)).T.bool()
    alignment_GL = alignment_GL * answers_GL
    best_overlap_G1 = (overlap_GL * answers_GL).amax(1, keepdim=True)
    aim_GL = alignment_GL / alignment_GL.amax(1, keepdim=True).clamp_min(_TINY) * best_overlap_G1
    answers_L = answers_GL.any(0)
    aim_LK[answers_L, structure_G[own_L[answers_L]]] = aim_GL.amax(0)[answers_L]
    target_L4[answers_L] = true_G4[own_L[answers_L]]
    return aim_LK, answers_L, target_L4


def _eligible(places_L2: Tensor, true_G4: Tensor) -> Tensor:
    """bool [G, L]: the place lies in the box, or nearest to its centre where no place lies in it."""
    low_GL, high_GL = places_L2 - true_G4[:, None, :2], true_G4[:, None, 2:] - places_L2
    inside_GL = torch.cat([low_GL, high_GL], dim=-1).amin(-1) > 0
    nearest_G = torch.cdist((true_G4[:, :2] + true_G4[:, 2:]) / 2, places_L2).argmin(1)
    nearest_GL = torch.nn.functional.one_hot(nearest_G, len(places_L2)).bool()
    return inside_GL | (nearest_GL & ~inside_GL.any(1, keepdim=True))
