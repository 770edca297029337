"""Labels whose borders are uncertain: masks blurred by a Gaussian of so many millimetres, and losses against them.

Source: Moafi et al., Robust deep learning for myocardial scar segmentation in cardiac MRI with noisy labels, arXiv
2506.21151 (MICCAI 2025). The sums that paper and code use: `losses.noisy_labels`. Letters in names: B images, K classes
(background is 0), H and W rows and columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, one_hot, pad

KL_FORMS = ("bernoulli", "paper")
#: Probabilities stay this far from 0 and 1.
EPSILON = 1e-6
_SMOOTH = 1e-5
#: The Gaussian is cut off at so many standard deviations.
_REACH = 4.0


def soft_labels(
    target_BHW: Tensor, n_classes: int, sigma_mm: float, spacing_mm: float, *, peak: bool = False
) -> Tensor:
    """Masks of every class blurred over rows and columns, each image for itself.

    Args:
        target_BHW: int64 class numbers.
        n_classes: K.
        sigma_mm: standard deviation of the Gaussian; 0 leaves masks as they are.
        spacing_mm: side of a pixel.
        peak: scale each structure of each image so that its greatest value is 1, as the published code does (over all
            images of a batch at once). A small scar is otherwise nowhere certain.

    Returns:
        float32 [B, K, H, W] in 0..1 whose sum over classes is 1. Beyond its edge the image goes on as at the edge.
    """
    masks_BKHW = one_hot(target_BHW, n_classes).movedim(-1, 1).float()
    sigma_px = sigma_mm / spacing_mm
    if sigma_px <= 0:
        return masks_BKHW
    reach = max(1, math.ceil(_REACH * sigma_px))
    offsets = torch.arange(-reach, reach + 1, device=target_BHW.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    planes = masks_BKHW.flatten(0, 1)[:, None]
    planes = conv2d(_extended(planes, 0, reach), kernel[None, None, None, :])
    planes = conv2d(_extended(planes, reach, 0), kernel[None, None, :, None])
    soft_BKHW = planes.reshape(masks_BKHW.shape)
    return _scaled_to_one(soft_BKHW) if peak else soft_BKHW


def _extended(planes_N1HW: Tensor, rows: int, columns: int) -> Tensor:
    return pad(planes_N1HW, (columns, columns, rows, rows), mode="replicate")


def _scaled_to_one(soft_BKHW: Tensor) -> Tensor:
    structures = soft_BKHW[:, 1:]
    greatest = structures.amax((2, 3), keepdim=True)
    structures = torch.where(greatest > 0, structures / greatest.clamp_min(EPSILON), structures)
    structures = structures / structures.sum(1, keepdim=True).clamp_min(1.0)
    return torch.cat([1 - structures.sum(1, keepdim=True), structures], dim=1)


def kl_divergence(logits_BKHW: Tensor, soft_BKHW: Tensor, form: str = "bernoulli") -> Tensor:
    """Kullback-Leibler divergence of the network's classes from soft labels, mean over pixels.

    Args:
        logits_BKHW: class logits.
        soft_BKHW: soft labels, of sum 1 over classes.
        form: ``bernoulli``: sum over classes of t log(t / p); with scar and background alone it is t log(t / p) +
            (1 - t) log((1 - t) / (1 - p)), 0 where p is t. ``paper``: p is taken for a logit and passes log-softmax
            once more, as the text has it. With two classes what comes out lies in 0.27 to 0.73, so that the term is
            never 0 for certain pixels and its minimum is a p of 0 or 1 wherever t lies beyond these.

    Returns:
        scalar, at least 0.
    """
    soft = soft_BKHW.clamp(EPSILON, 1 - EPSILON)
    log_p = logits_BKHW.log_softmax(1)
    log_p = log_p.exp().log_softmax(1) if form == "paper" else log_p.clamp_min(math.log(EPSILON))
    # whatever was clamped, it stays a divergence of distributions
    soft = soft / soft.sum(1, keepdim=True)
    return (soft * (soft.log() - log_p)).sum(1).mean()


def soft_target_dice_loss(probabilities_BKHW: Tensor, soft_BKHW: Tensor) -> Tensor:
    """As `soft_dice_loss`, against soft labels: a class counts that has any.

    Returns:
        scalar; 0 when no foreground class has any.
    """
    overlap_K = (probabilities_BKHW * soft_BKHW).sum((0, 2, 3))[1:]
    sizes_K = (probabilities_BKHW + soft_BKHW).sum((0, 2, 3))[1:]
    present_K = soft_BKHW.sum((0, 2, 3))[1:] > 0
    if not bool(present_K.any()):
        return probabilities_BKHW.sum() * 0.0
    return 1 - ((2 * overlap_K + _SMOOTH) / (sizes_K + _SMOOTH))[present_K].mean()
