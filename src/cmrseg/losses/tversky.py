"""Focal Tversky loss (Salehi et al., MLMI 2017; Abraham and Khan, ISBI 2019; eq. 9 of ScarNet)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6
#: Smallest 1 - index that still has a gradient: below an exponent of 1 it grows without bound towards 0.
_CLOSEST = 1e-6


def focal_tversky_loss(
    probabilities_BKHW: Tensor,
    target_BHW: Tensor,
    classes: Sequence[int],
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
) -> Tensor:
    """(1 - index) to the power gamma, over the batch as one volume, averaged over those of the classes present in it.

    The index of a class with true positives T, false positives F and false negatives M, all of them sums of
    probabilities, is (T + 1e-6) / (T + alpha F + beta M + 1e-6). With alpha = beta = 0.5 it is soft Dice.

    Args:
        probabilities_BKHW: softmax output.
        target_BHW: int64 class numbers.
        classes: those that count.
        alpha: what a false positive costs.
        beta: what a false negative costs.
        gamma: exponent, above 0. Below 1, a class that is nearly right keeps a steep gradient; above 1, it loses it.

    Returns:
        scalar in 0..1; 0 when none of the classes is present in the target.
    """
    terms = []
    for k in classes:
        truth_BHW = (target_BHW == k).to(probabilities_BKHW.dtype)
        if not bool(truth_BHW.any()):
            continue
        found_BHW = probabilities_BKHW[:, k]
        hit = (found_BHW * truth_BHW).sum()
        false, missed = (found_BHW * (1 - truth_BHW)).sum(), ((1 - found_BHW) * truth_BHW).sum()
        index = (hit + EPSILON) / (hit + alpha * false + beta * missed + EPSILON)
        terms.append((1 - index).clamp_min(_CLOSEST) ** gamma)
    return torch.stack(terms).mean() if terms else probabilities_BKHW.sum() * 0.0
