"""The weighted sum of losses that a network is trained with, and the sums that have a name.

Sources: CardioSAM, arXiv 2604.03313, eq. 15; ScarNet, arXiv 2501.01372, eq. 8, whose sums are in `losses.scar`; Moafi
et al., arXiv 2506.21151, whose sums are in `losses.noisy_labels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cmrseg.errors import UsageError
from cmrseg.labels import CINE, LGE
from cmrseg.losses.boundary import boundary_loss, contour_loss
from cmrseg.losses.boxes import box_loss
from cmrseg.losses.detection import detection_loss
from cmrseg.losses.dice import soft_dice_loss
from cmrseg.losses.focal import focal_loss
from cmrseg.losses.soft_labels import KL_FORMS, kl_divergence, soft_labels, soft_target_dice_loss
from cmrseg.losses.structural import penalty_matrix, structural_loss
from cmrseg.losses.tversky import focal_tversky_loss
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
    focal_tversky: float = 0.0
    """Weight of focal Tversky loss."""
    scar: float = 0.0
    """Weight of soft Dice of scar alone, where the batch has any."""
    myocardium: float = 0.0
    """Weight of soft Dice of remote myocardium alone, where the batch has any."""
    tversky_alpha: float = 0.3
    """What a false positive costs in focal Tversky loss."""
    tversky_beta: float = 0.7
    """What a false negative costs in focal Tversky loss; above `tversky_alpha`, missing scar is worse than adding."""
    tversky_gamma: float = 0.75
    """Exponent of focal Tversky loss (3/4 in Abraham and Khan 2019)."""
    tversky_classes: tuple[int, ...] = ()
    """Classes that focal Tversky loss looks at; empty for all but background."""
    scar_boost: float = 1.0
    """Factor on focal Tversky loss in batches that hold scar."""
    scar_class: int = LGE["scar"]
    """Class number of scar."""
    myocardium_class: int = LGE["lv_myocardium"]
    """Class number of remote myocardium."""
    kl: float = 0.0
    """Weight of the Kullback-Leibler divergence from soft labels."""
    kl_form: str = "bernoulli"
    """How it is computed: ``bernoulli``, of probabilities, or ``paper``, of probabilities taken for logits."""
    soft_sigma_mm: float = 2.8
    """Standard deviation of the Gaussian that makes soft labels of masks, in mm (2 px of 1.4 mm in Moafi et al.)."""
    soft_peak: bool = False
    """Whether each structure of each image is scaled so that its soft label reaches 1."""
    soft_everywhere: bool = False
    """Whether Dice and cross-entropy, too, see soft labels."""
    detection: float = 0.0
    """Weight of the boxes of a detector, for networks that have one."""
    detection_box: float = 2.0
    """Weight of the misfit of its boxes beside the cross-entropy of its scores (Feng et al., 2021)."""

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in TERMS]
        if min(weights) < 0 or not any(w > 0 for w in weights):
            raise UsageError("A loss needs weights of at least 0, one of them more.", "Set loss.dice to 1.")
        if self.kl_form not in KL_FORMS or min(self.soft_sigma_mm, self.detection_box) < 0:
            raise UsageError(
                "Soft labels need a known form of divergence, and a sigma and a weight of boxes of at least 0.",
                f"Set loss.kl_form to one of {', '.join(KL_FORMS)}, and loss.soft_sigma_mm to 2.8.",
            )
        if min(self.tversky_alpha, self.tversky_beta) < 0 or min(self.tversky_gamma, self.scar_boost) <= 0:
            raise UsageError(
                "Focal Tversky loss needs costs of at least 0, and an exponent and a factor above 0.",
                "Set loss.tversky_alpha to 0.3, tversky_beta to 0.7, tversky_gamma to 0.75 and scar_boost to 1.",
            )

    @property
    def classes(self) -> tuple[int, ...]:
        """Class numbers that terms with a weight name one by one."""
        named = self.tversky_classes if self.focal_tversky else ()
        named += (self.scar_class,) if self.scar else ()
        return named + ((self.myocardium_class,) if self.myocardium else ())


#: Terms in the order in which they are added.
TERMS = (
    "dice",
    "cross_entropy",
    "focal",
    "boundary",
    "structural",
    "contour",
    "boxes",
    "focal_tversky",
    "scar",
    "myocardium",
    "kl",
    "detection",
)
#: What the networks that ship are trained with; nnU-Net's sum (Isensee et al., 2021).
DICE_CE = LossConfig()
#: CardioSAM's four terms and its contour head's own, with weights that docs/explanation/losses.md gives reasons for.
PAPER = LossConfig(dice=1.0, cross_entropy=0.0, focal=1.0, boundary=0.5, structural=0.1, contour=0.5)
#: Rows of Table VI of CardioSAM, whose labels are lost, as numbers and text let them be read.
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
        spacing_mm: side of a pixel, which soft labels need.
    """

    def __init__(
        self,
        config: LossConfig,
        names: tuple[str, ...] = ("background", *CINE.foreground_names),
        spacing_mm: float = 1.0,
    ) -> None:
        self.config, self.spacing_mm = config, spacing_mm
        self._penalty_KK = penalty_matrix(names)
        self._weights_K = torch.tensor(config.class_weights, dtype=torch.float32) if config.class_weights else None

    def __call__(self, outputs: Outputs, target_BHW: Tensor) -> dict[str, Tensor]:
        """Every term that has a weight, unweighted, and their weighted sum under ``total``.

        Args:
            outputs: of a network; a term whose auxiliary head it lacks is left out.
            target_BHW: int64 class numbers.

        Raises:
            UsageError: a term names a class that the network does not tell apart, or factors are not one per class.
        """
        config, logits = self.config, outputs.logits_BKHW.float()
        beyond = [k for k in config.classes if not 0 <= k < logits.shape[1]]
        if beyond or len(config.class_weights) not in (0, logits.shape[1]):
            raise UsageError(
                f"The loss names classes {beyond} and {len(config.class_weights)} factors, but the network has classes "
                f"0 to {logits.shape[1] - 1}.",
                "Change these settings of the loss, or the network's n_classes.",
            )
        weights = None if self._weights_K is None else self._weights_K.to(logits.device)
        terms = self._overlap_terms(logits, target_BHW, weights)
        if config.focal:
            terms["focal"] = focal_loss(logits, target_BHW, config.focal_gamma, weights)
        if config.boundary:
            terms["boundary"] = boundary_loss(logits, target_BHW, config.boundary_decay_px)
        if config.structural:
            terms["structural"] = structural_loss(logits.softmax(1), self._penalty_KK.to(logits.device))
        if config.contour and outputs.boundary_B1HW is not None:
            terms["contour"] = contour_loss(outputs.boundary_B1HW.float(), target_BHW)
        if config.boxes and outputs.boxes_BK4 is not None:
            terms["boxes"] = box_loss(outputs.boxes_BK4.float(), target_BHW)
        terms |= self._scar_terms(logits, target_BHW)
        if config.kl:
            terms["kl"] = kl_divergence(logits, self._soft(target_BHW, logits.shape[1]), config.kl_form)
        if config.detection and outputs.detections is not None:
            scores, misfit = detection_loss(outputs.detections, target_BHW)
            terms["detection"] = scores + config.detection_box * misfit
        weighted = [getattr(config, name) * value for name, value in terms.items()]
        if "focal_tversky" in terms and config.scar_boost != 1 and bool((target_BHW == config.scar_class).any()):
            weighted.append((config.scar_boost - 1) * config.focal_tversky * terms["focal_tversky"])
        return terms | {"total": torch.stack(weighted).sum() if weighted else logits.sum() * 0.0}

    def _overlap_terms(self, logits_BKHW: Tensor, target_BHW: Tensor, weights_K: Tensor | None) -> dict[str, Tensor]:
        """Dice and cross-entropy, against masks or soft labels."""
        config, terms = self.config, dict[str, Tensor]()
        soft = self._soft(target_BHW, logits_BKHW.shape[1]) if config.soft_everywhere else None
        if config.dice:
            probabilities = logits_BKHW.softmax(1)
            terms["dice"] = (
                soft_dice_loss(probabilities, target_BHW)
                if soft is None
                else soft_target_dice_loss(probabilities, soft)
            )
        if config.cross_entropy:
            terms["cross_entropy"] = cross_entropy(logits_BKHW, target_BHW if soft is None else soft, weight=weights_K)
        return terms

    def _soft(self, target_BHW: Tensor, n_classes: int) -> Tensor:
        config = self.config
        return soft_labels(target_BHW, n_classes, config.soft_sigma_mm, self.spacing_mm, peak=config.soft_peak)

    def _scar_terms(self, logits_BKHW: Tensor, target_BHW: Tensor) -> dict[str, Tensor]:
        """Terms that look at single classes."""
        config, terms = self.config, dict[str, Tensor]()
        if not (config.focal_tversky or config.scar or config.myocardium):
            return terms
        probabilities = logits_BKHW.softmax(1)
        if config.focal_tversky:
            classes = config.tversky_classes or range(1, logits_BKHW.shape[1])
            numbers = (config.tversky_alpha, config.tversky_beta, config.tversky_gamma)
            terms["focal_tversky"] = focal_tversky_loss(probabilities, target_BHW, classes, *numbers)
        # equal costs and no exponent: soft Dice
        if config.scar:
            terms["scar"] = focal_tversky_loss(probabilities, target_BHW, (config.scar_class,), 0.5, 0.5, 1.0)
        if config.myocardium:
            classes = (config.myocardium_class,)
            terms["myocardium"] = focal_tversky_loss(probabilities, target_BHW, classes, 0.5, 0.5, 1.0)
        return terms
