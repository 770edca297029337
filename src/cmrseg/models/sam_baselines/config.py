"""Sizes of the baselines that adapt Segment Anything. Imports no torch.

What the papers leave open, and how it is read here: docs/explanation/baselines.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cmrseg.errors import UsageError
from cmrseg.models.cardiosam.config import VIT_B_224
from cmrseg.models.sam.config import (
    IMAGE_ENCODERS,
    ImageEncoderConfig,
    MaskDecoderConfig,
    PromptEncoderConfig,
    SamConfig,
)

LORA_TARGETS = ("q", "k", "v")
PROMPT_DEPTHS = ("shallow", "deep")


@dataclass(frozen=True)
class SamBaselineConfig:
    """What the baselines share.

    Raises:
        UsageError: sizes that cannot be built.
    """

    in_channels: int = 1
    """Input channels: neighbouring slices, the middle one being the slice to segment."""
    n_classes: int = 4
    """Output channels, background included."""
    encoder: ImageEncoderConfig = field(default_factory=lambda: VIT_B_224)
    """The image encoder."""
    image_size: int = 0
    """Rows and columns [px] that the input is resampled to before the encoder; 0: it goes in as it is."""
    decoder_mlp_dim: int = 2048
    """Hidden width of the perceptrons of the mask decoder; SAM's own is 2048."""

    def __post_init__(self) -> None:
        if self.encoder.in_channels != 3:
            raise UsageError(f"The encoder sees {self.encoder.in_channels} channels.", "Give one of 3 in_channels.")
        if self.n_classes < 2:
            raise UsageError(f"{self.n_classes} classes leave no structure.", "Give n_classes of 2 or more.")
        if self.image_size % self.encoder.patch_size:
            raise UsageError(
                f"An image of {self.image_size} px does not divide into patches of {self.encoder.patch_size} px.",
                "Give an image_size that is a multiple of the patch size, or 0.",
            )
        self.decoder(1)

    def decoder(self, masks: int) -> MaskDecoderConfig:
        """A mask decoder of that many mask tokens; UsageError when it does not fit the encoder's `out_channels`."""
        return MaskDecoderConfig(
            embed_dim=self.encoder.out_channels, mlp_dim=self.decoder_mlp_dim, num_multimask_outputs=masks - 1
        )

    @property
    def sam(self) -> SamConfig:
        """The Segment Anything that a checkpoint for this network holds."""
        prompts = PromptEncoderConfig(embed_dim=self.encoder.out_channels, patch_size=self.encoder.patch_size)
        return SamConfig(self.encoder, prompts, MaskDecoderConfig(prompts.embed_dim, mlp_dim=self.decoder_mlp_dim))


@dataclass(frozen=True)
class SamLoraConfig(SamBaselineConfig):
    """Size of SAM with low-rank updates of its attention; rank and targets are those of CardioSAM's Table I."""

    rank: int = 16
    """Rank of the updates."""
    alpha: float = 16.0
    """The updates are scaled by `alpha` / `rank`."""
    targets: tuple[str, ...] = ("q", "v")
    """Which projections are updated: queries ``q``, keys ``k``, values ``v``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise UsageError(f"An update of rank {self.rank} changes nothing.", "Give a rank of 1 or more.")
        if not self.targets or len(set(self.targets)) < len(self.targets) or set(self.targets) - set(LORA_TARGETS):
            raise UsageError(
                f"The projections {list(self.targets)} cannot be updated.", f"Give some of {', '.join(LORA_TARGETS)}."
            )


@dataclass(frozen=True)
class SamPromptTuningConfig(SamBaselineConfig):
    """Size of SAM with a frozen encoder and learned prompts."""

    prompt_tokens: int = 16
    """Learned tokens that take the place of points and boxes; as many in every block of the encoder, if `deep`."""
    prompt_depth: str = "shallow"
    """Where prompts are learned: ``shallow``, at the mask decoder; ``deep``, in every block of the encoder as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt_tokens < 1:
            raise UsageError(f"{self.prompt_tokens} tokens prompt nothing.", "Give prompt_tokens of 1 or more.")
        if self.prompt_depth not in PROMPT_DEPTHS:
            raise UsageError(f"There is no prompt depth {self.prompt_depth!r}.", f"One of {', '.join(PROMPT_DEPTHS)}.")


@dataclass(frozen=True)
class MedSamConfig(SamBaselineConfig):
    """Size of MedSAM tuned whole, prompted with boxes that it predicts itself."""

    box_width: int = 128
    """Channels inside the head that predicts boxes."""
    box_jitter: float = 20 / 1024
    """Largest error that training adds to each edge of a predicted box, as a fraction of the image; MedSAM's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.box_width < 1 or not 0 <= self.box_jitter < 0.5:
            raise UsageError(
                f"Boxes cannot have {self.box_width} channels, or an error of {self.box_jitter}.",
                "Give box_width of 1 or more and box_jitter from 0 to below 0.5.",
            )


_SMALL = IMAGE_ENCODERS["small"]
#: By network and size. ``full``: SAM's ViT-B for 224 px. ``cpu``: the small encoder, for windows of 128 px.
LORA_PRESETS: Mapping[str, SamLoraConfig] = MappingProxyType(
    {"full": SamLoraConfig(), "cpu": SamLoraConfig(encoder=_SMALL, decoder_mlp_dim=512)}
)
PROMPT_TUNING_PRESETS: Mapping[str, SamPromptTuningConfig] = MappingProxyType(
    {"full": SamPromptTuningConfig(), "cpu": SamPromptTuningConfig(encoder=_SMALL, decoder_mlp_dim=512)}
)
MEDSAM_PRESETS: Mapping[str, MedSamConfig] = MappingProxyType(
    {"full": MedSamConfig(), "cpu": MedSamConfig(encoder=_SMALL, decoder_mlp_dim=512, box_width=64)}
)
