"""Focal loss (Lin et al., ICCV 2017; eq. 17 of CardioSAM)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def focal_loss(logits_BKHW: Tensor, target_BHW: Tensor, gamma: float = 2.0, weights_K: Tensor | None = None) -> Tensor:
    """Cross-entropy in which a pixel counts by (1 - probability of its true class) to the power gamma.

    Args:
        logits_BKHW: class logits.
        target_BHW: int64 class numbers.
        gamma: 0 gives cross-entropy; larger values leave more to the pixels that are still wrong.
        weights_K: factor of each class; the mean is then over weights, as in torch's cross-entropy.

    Returns:
        scalar, at least 0.
    """
    entropy_BHW = cross_entropy(logits_BKHW, target_BHW, reduction="none")
    # expm1 keeps 1 - p exact where p is nearly 1, and its gradient finite.
    missing_BHW = (-(-entropy_BHW).expm1()).clamp_min(1e-8)
    terms_BHW = missing_BHW**gamma * entropy_BHW
    if weights_K is None:
        return terms_BHW.mean()
    weights_BHW = weights_K.to(terms_BHW)[target_BHW]
    return (weights_BHW * terms_BHW).sum() / weights_BHW.sum().clamp_min(1e-8)
