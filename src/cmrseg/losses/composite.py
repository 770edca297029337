"""The weighted sum of losses that a network is trained with (eq. 15 of CardioSAM), and the sums that have a name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cmrseg.errors import UsageError
from cmrseg.labels import CINE
from cmrseg.losses.boundary import boundary_loss, contour_loss
from cmrseg.losses.boxes import box_loss
from cmrseg.losses.dice import soft_dice_loss
from cmrseg.losses.focal import focal_loss
from cmrseg.losses.structural import penalty_matrix, structural_loss
from cmrseg.models.outputs import Outputs
from cmrseg.train.space import Continuous, tunable


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, 0 leaving a term out, and their parameters; the paper's values are lost."""

    dice: float = tunable(1.0, Continuous(0.1, 2.0))
    """Weight of soft Dice."""
    cross_entropy: float = tunable(1.0, Continuous(0.0, 2.0))
    """Weight of cross-entropy, weighted by class if `class_weights` are given."""
    focal: float = tunable(0.0, Continuous(0.0, 2.0))
    """Weight of focal loss."""
    boundary: float = tunable(0.0, Continuous(0.0, 2.0))
    """Weight of the distance-weighted boundary loss."""
    structural: float = tunable(0.0, Continuous(0.0, 1.0))
    """Weight of the adjacency penalty."""
    contour: float = 0.0
    """Weight of the auxiliary head that draws contours, for networks that have one."""
    boxes: float = 0.0
    """Weight of the auxiliary head that predicts boxes, for networks that have one."""
    focal_gamma: float = 2.0
    """Exponent of the focal loss (Lin et al. 2017)."""
    boundary_decay_px: float = 5.0
    """Distance at which the boundary weight has fallen to 1/e, in pixels of the window."""
    class_weights: tuple[float, ...] = ()
    """Factor of each class in cross-entropy and focal loss, background first; empty for equal factors."""

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in TERMS]
        if min(weights) < 0 or not any(w > 0 for w in weights):
            raise UsageError("A loss needs weights of at least 0, one of them more.", "Set loss.dice to 1.")


#: Terms in the order in which they are added.
TERMS = ("dice", "cross_entropy", "focal", "boundary", "structural", "contour", "boxes")
#: What the networks that ship are trained with; nnU-Net's sum (Isensee et al., 2021).
DICE_CE = LossConfig()
#: CardioSAM's four terms with the weights of SEEDS row A20, and its contour head's own term (A13).
PAPER = LossConfig(dice=1.0, cross_entropy=0.0, focal=1.0, boundary=0.5, structural=0.1, contour=0.5)
#: Rows of Table VI of CardioSAM, whose labels are lost, as read in SEEDS row A25.
ABLATION: dict[str, LossConfig] = {
    "Dice": LossConfig(dice=1.0, cross_entropy=0.0),
    "boundary": LossConfig(dice=0.0, cross_entropy=0.0, boundary=1.0),
    "focal": LossConfig(dice=0.0, cross_entropy=0.0, focal=1.0),
    "Dice + cross-entropy": LossConfig(dice=1.0, cross_entropy=1.0),
    "Dice + boundary": LossConfig(dice=1.0, cross_entropy=0.0, boundary=0.5),
    "all": LossConfig(dice=1.0, cross_entropy=0.0, focal=1.0, boundary=0.5, structural=0.1),
}


class CompositeLoss:
    """The weighted sum of the terms of a configuration.

    Args:
        config: weights and parameters.
        names: canonical names of the network's classes in order, which the adjacency penalty needs.
    """

    def __init__(self, config: LossConfig, names: tuple[str, ...] = ("background", *CINE.foreground_names)) -> None:
        self.config = config
        self._penalty_KK = penalty_matrix(names)
        self._weights_K = torch.tensor(config.class_weights) if config.class_weights else None

    def __call__(self, outputs: Outputs, target_BHW: Tensor) -> dict[str, Tensor]:
        """Every term that has a weight, unweighted, and their weighted sum under ``total``.

        Args:
            outputs: of a network; a term whose auxiliary head it lacks is left out.
            target_BHW: int64 class numbers.
        """
        config, logits = self.config, outputs.logits_BKHW.float()
        terms: dict[str, Tensor] = {}
        if config.dice:
            terms["dice"] = soft_dice_loss(logits.softmax(1), target_BHW)
        if config.cross_entropy:
            terms["cross_entropy"] = cross_entropy(logits, target_BHW, weight=self._weights_K)
        if config.focal:
            terms["focal"] = focal_loss(logits, target_BHW, config.focal_gamma, self._weights_K)
        if config.boundary:
            terms["boundary"] = boundary_loss(logits, target_BHW, config.boundary_decay_px)
        if config.structural:
            terms["structural"] = structural_loss(logits.softmax(1), self._penalty_KK)
        if config.contour and outputs.boundary_B1HW is not None:
            terms["contour"] = contour_loss(outputs.boundary_B1HW.float(), target_BHW)
        if config.boxes and outputs.boxes_BK4 is not None:
            terms["boxes"] = box_loss(outputs.boxes_BK4.float(), target_BHW)
        weighted = [getattr(config, name) * value for name, value in terms.items()]
        return terms | {"total": torch.stack(weighted).sum() if weighted else logits.sum() * 0.0}
