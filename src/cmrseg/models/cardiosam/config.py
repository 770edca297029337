"""Sizes and switches of CardioSAM, its presets, and the configurations of its ablation. Imports no torch.

Source: CardioSAM, arXiv 2604.03313. Its text lost most sizes; the defaults here are explained in
docs/explanation/cardiosam.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import IMAGE_ENCODERS, ImageEncoderConfig

CONDITIONINGS = ("add", "gate")
#: SAM's ViT-B with position embeddings of the paper's 224 px; those of a checkpoint are interpolated when it is loaded.
VIT_B_224 = replace(IMAGE_ENCODERS["vit_b"], image_size=224)


@dataclass(frozen=True)
class CardioSAMConfig:
    """Size of a CardioSAM; the defaults are the paper's, or the nearest reading of it.

    Raises:
        UsageError: sizes that cannot be built.
    """

    in_channels: int = 1
    """Input channels: neighbouring slices, the middle one being the slice to segment. The paper sees one."""
    n_classes: int = 4
    """Output channels, background included; each of the others is a structure with attention of its own."""
    encoder: ImageEncoderConfig = field(default_factory=lambda: VIT_B_224)
    """The image encoder."""
    freeze_encoder: bool = True
    """Whether the encoder keeps its weights."""
    image_size: int = 0
    """Rows and columns [px] that the input is resampled to before the encoder; 0: it goes in as it is."""
    cardiac_attention: bool = True
    """Whether features pass the cardiac-specific attention (equations 5 to 9)."""
    dual_attention: bool = True
    """Whether the decoder's blocks scale by channel and spatial attention (equations 11 and 12)."""
    multi_scale: bool = True
    """Whether the outputs of all stages are joined as context."""
    boundary_refinement: bool = True
    """Whether contours are predicted and features sharpened by their gradient (equations 13 and 14)."""
    prior_kernel: int = 7
    """Rows and columns [features] of the depthwise priors, odd; 7 of 14 spans a heart in the paper's input."""
    conditioning: str = "add"
    """How a prior P conditions the features F: ``add``, F + P; ``gate``, F times the sigmoid of P."""
    structure_heads: int = 4
    """Attention heads of each structure."""
    structure_head_dim: int = 64
    """Channels of each of these heads."""
    global_heads: int = 8
    """Attention heads over the unconditioned features; they divide the encoder's `out_channels`."""
    fusion_width: int = 512
    """Channels inside the bottleneck that fuses all attention branches."""
    width: int = 512
    """Channels of the projection at the decoder's entry; every stage halves them."""
    stages: int = 3
    """Up-sampling stages of the decoder, each by 2; what is then missing to the input's size is interpolated."""
    reduction: int = 16
    """By how much channel attention narrows its hidden layer, which keeps at least 4 channels."""
    spatial_kernel: int = 7
    """Rows and columns of the convolution of spatial attention, odd."""
    context_channels: int = 32
    """Channels that each stage gives to the multi-scale context."""

    def __post_init__(self) -> None:
        self._check_encoder()
        if self.n_classes < 2:
            raise UsageError(f"{self.n_classes} classes leave no structure.", "Give n_classes of 2 or more.")
        if self.conditioning not in CONDITIONINGS:
            raise UsageError(f"There is no conditioning {self.conditioning!r}.", f"One of {', '.join(CONDITIONINGS)}.")
        even = [k for k in (self.prior_kernel, self.spatial_kernel) if k % 2 == 0]
        if even:
            raise UsageError(f"A kernel of {even[0]} has no centre.", "Give odd prior_kernel and spatial_kernel.")
        if self.stages < 1 or self.width % 2**self.stages:
            raise UsageError(
                f"{self.width} channels cannot be halved {self.stages} times.",
                "Give at least one stage, and a width that is a multiple of 2 to their number.",
            )

    def _check_encoder(self) -> None:
        encoder = self.encoder
        if encoder.in_channels != 3:
            raise UsageError(f"The encoder sees {encoder.in_channels} channels.", "Give one of 3 in_channels.")
        if encoder.out_channels % self.global_heads:
            raise UsageError(
                f"{encoder.out_channels} channels do not divide among {self.global_heads} heads.",
                "Give global_heads that divide the encoder's out_channels.",
            )
        if encoder.patch_size % 2**self.stages:
            raise UsageError(
                f"{self.stages} stages enlarge beyond the image: a feature covers {encoder.patch_size} px.",
                "Give fewer stages: 2 to their number must divide the patch size.",
            )
        if self.image_size % encoder.patch_size:
            raise UsageError(
                f"An image of {self.image_size} px does not divide into patches of {encoder.patch_size} px.",
                "Give an image_size that is a multiple of the patch size, or 0.",
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at the decoder's entry and after each of its stages."""
        return tuple(self.width >> k for k in range(self.stages + 1))


@dataclass(frozen=True)
class CardioSAMTemporalConfig:
    """Size of a CardioSAM over the frames of a beat (equation 10)."""

    frames: CardioSAMConfig = field(default_factory=CardioSAMConfig)
    """The network that encodes and decodes every frame."""
    hidden: int = 64
    """Channels of the temporal convolution, and of each direction of the recurrent layer."""
    kernel_frames: int = 3
    """Frames of the temporal convolution, odd."""
    kernel_pixels: int = 3
    """Rows and columns of the temporal convolution, odd."""

    def __post_init__(self) -> None:
        if self.kernel_frames % 2 == 0 or self.kernel_pixels % 2 == 0:
            raise UsageError(
                f"A kernel of {self.kernel_frames} frames and {self.kernel_pixels} px has no centre.", "Give odd ones."
            )


#: ``full``: the paper's size, for a GPU. ``cpu``: windows of 128 px round the heart, for a few processor cores.
PRESETS: Mapping[str, CardioSAMConfig] = MappingProxyType(
    {
        "full": CardioSAMConfig(),
        "cpu": CardioSAMConfig(
            encoder=IMAGE_ENCODERS["small"],
            structure_head_dim=32,
            fusion_width=128,
            width=128,
            context_channels=16,
        ),
    }
)
#: Switches of the paper's Table V, row by row: each adds one part to the row before. Its fifth row, the composite loss,
#: is the fourth one's network with another loss. The last is not in the paper: all but the decoder's dual attention.
ABLATION: Mapping[str, Mapping[str, bool]] = MappingProxyType(
    {
        "basic decoder": {"multi_scale": False, "cardiac_attention": False, "boundary_refinement": False},
        "+ multi-scale": {"multi_scale": True, "cardiac_attention": False, "boundary_refinement": False},
        "+ cardiac attention": {"multi_scale": True, "cardiac_attention": True, "boundary_refinement": False},
        "+ boundary refinement": {"multi_scale": True, "cardiac_attention": True, "boundary_refinement": True},
        "without dual attention": {"dual_attention": False},
    }
)


def ablation(base: CardioSAMConfig) -> dict[str, CardioSAMConfig]:
    """The configurations of Table V by name, in its order, each the base with the row's switches."""
    rows: dict[str, dict[str, Any]] = {name: dict(switches) for name, switches in ABLATION.items()}
    return {name: replace(base, **switches) for name, switches in rows.items()}
