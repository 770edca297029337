"""Anatomy as a loss: neighbouring pixels of classes that may not touch (CardioSAM, section on structural loss).

The paper gives no formula. Adopted reading: the expected penalty of a pair of 4-neighbours, p' M p, with M = 1 for LV
cavity beside background and LV cavity beside RV cavity (the myocardium must lie between) and 0 for every other pair.
True masks break this rule too, at the apex and at the outflow tract: see `violation_rate`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmrseg.labels import CINE, LabelScheme

#: Pairs of structures that may not touch.
FORBIDDEN = (("lv_cavity", "background"), ("lv_cavity", "rv_cavity"))


def penalty_matrix(names: Sequence[str]) -> Tensor:
    """Symmetric float32[K, K] with 1 where two classes, named in the network's order, may not touch."""
    matrix_KK = torch.zeros(len(names), len(names))
    for a, b in FORBIDDEN:
        if a in names and b in names:
            matrix_KK[names.index(a), names.index(b)] = matrix_KK[names.index(b), names.index(a)] = 1
    return matrix_KK


def structural_loss(probabilities_BKHW: Tensor, penalty_KK: Tensor) -> Tensor:
    """Mean expected penalty over all pairs of 4-neighbours.

    Args:
        probabilities_BKHW: softmax output.
        penalty_KK: symmetric penalties of class pairs, from `penalty_matrix`.

    Returns:
        scalar, 0 where no forbidden pair has probability; 0 for images of one pixel.
    """
    penalised = torch.einsum("bkhw,kj->bjhw", probabilities_BKHW, penalty_KK.to(probabilities_BKHW))
    across = (penalised[..., 1:] * probabilities_BKHW[..., :-1]).sum(1)
    down = (penalised[..., 1:, :] * probabilities_BKHW[..., :-1, :]).sum(1)
    return (across.sum() + down.sum()) / max(1, across.numel() + down.numel())


def violation_rate(labels_ZYX: NDArray[np.integer], scheme: LabelScheme = CINE) -> float:
    """Share of the LV cavity's outer edges that lie against background or RV cavity, 0..1; 0 without a cavity.

    Counts pairs of 4-neighbours within slices of which exactly one is LV cavity.
    """
    forbidden = touching = 0
    bad = [scheme["background"], scheme["rv_cavity"]]
    cavity = scheme["lv_cavity"]
    for axis in (-1, -2):
        first = np.moveaxis(labels_ZYX, axis, -1)[..., :-1]
        second = np.moveaxis(labels_ZYX, axis, -1)[..., 1:]
        for inner, outer in ((first, second), (second, first)):
            edge = (inner == cavity) & (outer != cavity)
            touching += int(edge.sum())
            forbidden += int((edge & np.isin(outer, bad)).sum())
    return forbidden / touching if touching else 0.0
