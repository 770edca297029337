"""Soft Dice plus cross-entropy, the loss nnU-Net made the common ground of the field (Isensee et al., 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

SMOOTH = 1e-5


def soft_dice_loss(probabilities_BKHW: Tensor, target_BHW: Tensor) -> Tensor:
    """One minus the soft Dice, over the batch as one volume, averaged over the foreground classes present in it.

    Args:
        probabilities_BKHW: softmax output, class 0 is background.
        target_BHW: int64 class numbers.

    Returns:
        scalar in 0..1; 0 when no foreground class is present in the target.
    """
    classes = probabilities_BKHW.shape[1]
    truth_BKHW = one_hot(target_BHW, classes).movedim(-1, 1)[:, 1:].to(probabilities_BKHW.dtype)
    predicted_BKHW = probabilities_BKHW[:, 1:]
    overlap_K = (predicted_BKHW * truth_BKHW).sum((0, 2, 3))
    sizes_K = predicted_BKHW.sum((0, 2, 3)) + truth_BKHW.sum((0, 2, 3))
    dice_K = (2 * overlap_K + SMOOTH) / (sizes_K + SMOOTH)
    present_K = truth_BKHW.sum((0, 2, 3)) > 0
    if not bool(present_K.any()):
        return torch.zeros((), dtype=probabilities_BKHW.dtype)
    return 1 - dice_K[present_K].mean()


def dice_ce_loss(logits_BKHW: Tensor, target_BHW: Tensor, dice_weight: float = 1.0) -> Tensor:
    """Cross-entropy plus `dice_weight` times the soft Dice loss; a scalar."""
    return cross_entropy(logits_BKHW, target_BHW) + dice_weight * soft_dice_loss(logits_BKHW.softmax(1), target_BHW)
