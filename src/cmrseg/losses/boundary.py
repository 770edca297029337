"""Losses about contours: errors near a true boundary count more, and an auxiliary head draws the contours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def boundary_weights(target_BHW: Tensor, n_classes: int, decay_px: float) -> Tensor:
    """exp(-D / decay) with D the distance in pixels to the nearest boundary of the pixel's own true class.

    A boundary pixel of a class is one that touches another class (4-neighbours), so that D is 0 on both sides of an
    edge. A slice of one class alone has no boundary: its weights are 0.

    Args:
        target_BHW: int64 class numbers.
        n_classes: number of classes.
        decay_px: distance at which the weight has fallen to 1/e, in pixels of the window.

    Returns:
        float32 [B, H, W] in 0..1.
    """
    labels_BHW = target_BHW.cpu().numpy()
    weights_BHW = np.zeros(labels_BHW.shape, np.float32)
    for labels_HW, weights_HW in zip(labels_BHW, weights_BHW, strict=True):
        edges_HW = boundary_pixels(labels_HW)
        for k in range(n_classes):
            inside_HW = labels_HW == k
            edge_HW = edges_HW & inside_HW
            if edge_HW.any():
                distance_HW = ndimage.distance_transform_edt(~edge_HW)
                weights_HW[inside_HW] = np.exp(-distance_HW[inside_HW] / decay_px)
    return torch.from_numpy(weights_BHW).to(target_BHW.device)


def boundary_pixels(labels_HW: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels with a 4-neighbour of another class; works on [..., H, W]."""
    edges = np.zeros(labels_HW.shape, bool)
    across = labels_HW[..., 1:] != labels_HW[..., :-1]
    down = labels_HW[..., 1:, :] != labels_HW[..., :-1, :]
    edges[..., 1:] |= across
    edges[..., :-1] |= across
    edges[..., 1:, :] |= down
    edges[..., :-1, :] |= down
    return edges


def boundary_loss(logits_BKHW: Tensor, target_BHW: Tensor, decay_px: float = 5.0) -> Tensor:
    """Probability missing from the true class, averaged with `boundary_weights` (eq. 18 of CardioSAM, its body lost).

    Adopted reading: sum of w (1 - p_true) / sum of w with w = exp(-D / decay).

    Returns:
        scalar in 0..1; 0 when the batch has no boundary.
    """
    weights_BHW = boundary_weights(target_BHW, logits_BKHW.shape[1], decay_px)
    total = weights_BHW.sum()
    if not bool(total > 0):
        return logits_BKHW.sum() * 0.0
    true_BHW = logits_BKHW.softmax(1).gather(1, target_BHW[:, None])[:, 0]
    return (weights_BHW * (1 - true_BHW)).sum() / total


def contour_loss(boundary_B1HW: Tensor, target_BHW: Tensor) -> Tensor:
    """Binary cross-entropy of an auxiliary head against the true contours, contour and rest counting one half each.

    Args:
        boundary_B1HW: logits of the head, at the target's size.
        target_BHW: int64 class numbers.

    Returns:
        scalar, at least 0; without any contour only the rest counts.
    """
    edges = torch.from_numpy(boundary_pixels(target_BHW.cpu().numpy())).to(boundary_B1HW)[:, None]
    entropy = binary_cross_entropy_with_logits(boundary_B1HW, edges, reduction="none")
    rest = (entropy * (1 - edges)).sum() / (1 - edges).sum().clamp_min(1)
    if not bool(edges.any()):
        return rest
    return 0.5 * ((entropy * edges).sum() / edges.sum() + rest)
