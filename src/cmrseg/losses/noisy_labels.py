"""The sums of losses against noisy labels that the paper and its code describe, as configurations by name.

Source: Moafi et al., arXiv 2506.21151 (MICCAI 2025), and its public code (github.com/Danialmoa/YoloSAM, August 2025).
What they say of each other: docs/explanation/detector-sam.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from cmrseg.errors import UsageError
from cmrseg.losses.composite import LossConfig

#: Side of a pixel in mm where a slice of some 360 mm has the paper's 256 px; it turns its sigma into millimetres.
PAPER_PIXEL_MM = 1.4
NAMES = ("corrected", "paper", "released-code")


def preset(name: str) -> LossConfig:
    """A sum by name, for `train.config.TrainConfig.loss`; the detector's own loss stands beside it with weight 1.

    Args:
        name: ``paper``: 0.6 KL in the form of the text, 0.2 Dice and 0.2 cross-entropy, all against masks blurred by 2
            of its pixels. ``released-code``: 0.2 KL in that form against masks blurred by 1 pixel and scaled to 1, 0.6
            Dice and 0.2 cross-entropy against hard masks; its blur from image to image of a batch is left out.
            ``corrected``: the paper's weights and blur, the KL of probabilities, hard masks for Dice and
            cross-entropy.

    Raises:
        UsageError: no such sum.
    """
    corrected = LossConfig(
        dice=0.2, cross_entropy=0.2, kl=0.6, kl_form="bernoulli", soft_sigma_mm=2 * PAPER_PIXEL_MM, detection=1.0
    )
    if name == "corrected":
        return corrected
    if name == "paper":
        return replace(corrected, kl_form="paper", soft_everywhere=True)
    if name == "released-code":
        return replace(corrected, dice=0.6, kl=0.2, kl_form="paper", soft_sigma_mm=PAPER_PIXEL_MM, soft_peak=True)
    raise UsageError(f"There is no loss for noisy labels {name!r}.", f"One of {', '.join(NAMES)}.")


#: The sums by name.
PRESETS: Mapping[str, LossConfig] = MappingProxyType({name: preset(name) for name in NAMES})
