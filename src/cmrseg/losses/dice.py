"""Soft Dice loss over a batch (Milletari et al., 3DV 2016; background ignored, as in eq. 16 of CardioSAM)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

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
        return probabilities_BKHW.sum() * 0.0
    return 1 - dice_K[present_K].mean()
