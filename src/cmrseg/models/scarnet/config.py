"""Sizes and switches of ScarNet, its presets, and the configurations of its ablation. Imports no torch.

Source: ScarNet, arXiv 2501.01372, and its abstract in J Cardiovasc Magn Reson 2025 (10.1016/j.jocmr.2025.101945). Many
sizes are not in the text; the defaults here are explained in docs/explanation/scarnet.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import IMAGE_ENCODERS, ImageEncoderConfig

FUSIONS = ("cross_gated", "concat")
SKIPS = ("concat", "add")
#: SAM's ViT-B with position embeddings of the paper's 256 px; those of a checkpoint are interpolated when it is loaded.
VIT_B_256 = replace(IMAGE_ENCODERS["vit_b"], image_size=256)
#: Factors by which multi-scale attention pools its input.
POOLS = (1, 2, 4)


@dataclass(frozen=True)
class ScarNetConfig:
    """Size of a ScarNet; the defaults are the paper's, or the nearest reading of it.

    Raises:
        UsageError: sizes that cannot be built.
    """

    in_channels: int = 1
    """Input channels: neighbouring slices, the middle one being the slice to segment. The paper sees one."""
    n_classes: int = 4
    """Output channels, background included; the paper's are background, myocardium, blood pool and scar."""
    sam_branch: bool = True
    """Whether there is a branch with SAM's image encoder (equations 3 and 4, algorithm 2)."""
    unet_branch: bool = True
    """Whether there is a U-Net branch (equations 5 and 6, algorithm 3)."""
    encoder: ImageEncoderConfig = field(default_factory=lambda: VIT_B_256)
    """The image encoder."""
    freeze_encoder: bool = False
    """Whether the encoder keeps its weights. The paper tunes them."""
    decoder_widths: tuple[int, ...] = (128, 64, 32)
    """Channels of the stages behind the encoder, each of which enlarges by 2; the last are also those of the branch."""
    squeeze_excite: bool = True
    """Whether these stages weigh their channels by squeeze-and-excitation."""
    scar_attention: bool = True
    """Whether ScarAttention follows these stages and their sum, and multi-scale ScarAttention the U-Net."""
    unet_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Channels of the U-Net's levels, from full resolution down; each further level halves rows and columns."""
    skip: str = "concat"
    """How the U-Net joins skips: ``concat`` (algorithm 3) or ``add`` (equation 6)."""
    skip_attention: bool = True
    """Whether skips pass ScarAttention before they are joined."""
    reduction: int = 16
    """By how much squeeze-and-excitation narrows its hidden layer, which keeps at least 4 channels."""
    attention_reduction: int = 8
    """By how much ScarAttention's channel gate narrows its hidden layer, which keeps at least 4 channels."""
    spatial_kernel: int = 7
    """Rows and columns of the convolution of ScarAttention's spatial gate, odd."""
    fusion: str = "cross_gated"
    """How the branches join: ``cross_gated`` (algorithm 4) or ``concat`` (equation 2)."""
    fusion_width: int = 64
    """Channels that both branches are aligned to for ``cross_gated``."""
    attention_heads: int = 4
    """Heads of the attention from branch to branch; they divide `fusion_width`."""
    attention_stride: int = 16
    """Rows and columns [px] that one token of that attention stands for."""
    prior_classes: tuple[int, ...] = ()
    """Classes whose summed probability, at a first look, raises the fused features where it is high: an anatomical
    prior if they are those of the heart's muscle, scar included. Empty: none, as in the published code."""
    dropout: float = 0.1
    """Share of the fused channels left out at random in training. The paper gives no rate."""

    def __post_init__(self) -> None:
        if not (self.sam_branch or self.unet_branch):
            raise UsageError("A ScarNet without branches sees nothing.", "Switch sam_branch or unet_branch on.")
        if self.n_classes < 2:
            raise UsageError(f"{self.n_classes} classes leave no structure.", "Give n_classes of 2 or more.")
        for value, known in ((self.fusion, FUSIONS), (self.skip, SKIPS)):
            if value not in known:
                raise UsageError(f"ScarNet knows no {value!r} here.", f"One of {', '.join(known)}.")
        if self.spatial_kernel % 2 == 0:
            raise UsageError(f"A kernel of {self.spatial_kernel} has no centre.", "Give an odd spatial_kernel.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"A share of {self.dropout} cannot be left out.", "Give a dropout of 0 up to below 1.")
        strange = [k for k in self.prior_classes if not 0 < k < self.n_classes]
        if strange:
            raise UsageError(f"There are no structures {strange}.", "Give prior_classes of 1 up to n_classes - 1.")
        self._check_branches()
        if self.fusion_width % self.attention_heads or self.attention_stride < 1:
            raise UsageError(
                f"{self.fusion_width} channels do not divide among {self.attention_heads} heads, or tokens of "
                f"{self.attention_stride} px are none.",
                "Give attention_heads that divide fusion_width, and an attention_stride of 1 or more.",
            )

    def _check_branches(self) -> None:
        if len(self.unet_widths) < 2 or not self.decoder_widths:
            raise UsageError(
                "A U-Net needs two levels or more, and the decoder behind the encoder one stage.",
                "Give longer unet_widths or decoder_widths.",
            )
        if self.encoder.in_channels != 3:
            raise UsageError(f"The encoder sees {self.encoder.in_channels} channels.", "Give one of 3 in_channels.")
        if self.encoder.patch_size % 2 ** len(self.decoder_widths):
            raise UsageError(
                f"{len(self.decoder_widths)} stages enlarge beyond the image: a feature covers "
                f"{self.encoder.patch_size} px.",
                "Give fewer decoder_widths: 2 to their number must divide the patch size.",
            )

    @property
    def stride(self) -> int:
        """Rows and columns of the input are multiples of this."""
        parts = [1]
        if self.sam_branch:
            parts.append(self.encoder.patch_size)
        if self.unet_branch:
            parts.append(2 ** (len(self.unet_widths) - 1))
            parts += POOLS if self.scar_attention else ()
        if self.fuses and self.fusion == "cross_gated":
            parts.append(self.attention_stride)
        return math.lcm(*parts)

    @property
    def fuses(self) -> bool:
        """Whether there are two branches to join."""
        return self.sam_branch and self.unet_branch


#: ``full``: the paper's size, for a GPU. ``cpu``: windows of 128 px round the heart, for a few processor cores.
PRESETS: Mapping[str, ScarNetConfig] = MappingProxyType(
    {
        "full": ScarNetConfig(),
        "cpu": ScarNetConfig(
            encoder=IMAGE_ENCODERS["small"],
            decoder_widths=(64, 32, 16),
            unet_widths=(16, 32, 64, 128, 128),
            fusion_width=32,
            attention_stride=8,
        ),
    }
)
_PLAIN = {"squeeze_excite": False, "scar_attention": False, "skip_attention": False}
_BOTH = {"sam_branch": True, "unet_branch": True, **_PLAIN, "fusion": "concat"}
#: Switches of an ablation. The journal's abstract speaks of one of "each architectural component" and prints no row, so
#: the rows are ours: either branch alone, both, then one part after the other.
ABLATION: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "U-Net alone": {"sam_branch": False, "unet_branch": True, **_PLAIN},
        "MedSAM alone": {"sam_branch": True, "unet_branch": False, **_PLAIN},
        "both, concatenated": _BOTH,
        "+ squeeze-and-excitation": {**_BOTH, "squeeze_excite": True},
        "+ ScarAttention": {**_BOTH, "squeeze_excite": True, "scar_attention": True, "skip_attention": True},
        "+ gated fusion": {
            **_BOTH,
            "squeeze_excite": True,
            "scar_attention": True,
            "skip_attention": True,
            "fusion": "cross_gated",
        },
    }
)


def ablation(base: ScarNetConfig) -> dict[str, ScarNetConfig]:
    """The configurations of the ablation by name, in its order, each the base with the row's switches."""
    return {name: replace(base, **switches) for name, switches in ABLATION.items()}
