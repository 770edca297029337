"""Loss of masks that each have a prompt of their own.

Source: Kirillov et al., Segment Anything, ICCV 2023, appendix A: Dice and a pixelwise term for each mask, and the
squared error of the predicted overlap. The pixelwise term is cross-entropy here.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

#: Masks fill little of a window, so that their mean cross-entropy is small beside Dice.
CROSS_ENTROPY_WEIGHT = 5.0
_SMOOTH = 1.0


def prompted_mask_loss(logits_PHW: Tensor, overlap_P: Tensor, target_PHW: Tensor) -> dict[str, Tensor]:
    """Loss of P masks, each counting alike however small it is.

    Args:
        logits_PHW: of the masks.
        overlap_P: their predicted intersection over union.
        target_PHW: what was meant, bool or 0 and 1.

    Returns:
        scalars: ``dice`` (0..1), ``cross_entropy``, ``overlap`` (squared error), and ``total``, their sum with
        cross-entropy times `CROSS_ENTROPY_WEIGHT`. A mask that is empty, as is its target, has Dice loss 0.
    """
    logits, target = logits_PHW.float(), target_PHW.float()
    probability = logits.sigmoid()
    shared_P = (probability * target).sum((1, 2))
    sizes_P = probability.sum((1, 2)) + target.sum((1, 2))
    dice = (1 - (2 * shared_P + _SMOOTH) / (sizes_P + _SMOOTH)).mean()
    cross_entropy = binary_cross_entropy_with_logits(logits, target)
    drawn = (logits.detach() > 0).float()
    both_P = (drawn * target).sum((1, 2))
    either_P = ((drawn + target) > 0).float().sum((1, 2)).clamp_min(1.0)
    overlap = (overlap_P.float() - both_P / either_P).square().mean()
    total = dice + CROSS_ENTROPY_WEIGHT * cross_entropy + overlap
    return {"dice": dice, "cross_entropy": cross_entropy, "overlap": overlap, "total": total}
