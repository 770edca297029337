"""Size of the network that draws what a person points at. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import (
    IMAGE_ENCODERS,
    ImageEncoderConfig,
    MaskDecoderConfig,
    PromptEncoderConfig,
    SamConfig,
)


@dataclass(frozen=True)
class PromptedConfig:
    """Size of the network.

    Raises:
        UsageError: sizes that cannot be built.
    """

    encoder: ImageEncoderConfig = field(default_factory=lambda: IMAGE_ENCODERS["small"])
    """The image encoder."""
    decoder_mlp_dim: int = 512
    """Hidden width of the perceptrons of the mask decoder; SAM's own is 2048."""
    detail_channels: int = 8
    """Channels of the convolutions that correct masks by the pixels: the decoder's masks are half as fine as those."""
    clicks: int = 14
    """Most clicks of one prompt; fewer are filled up with tokens that say there is none."""

    def __post_init__(self) -> None:
        if self.detail_channels < 1 or self.clicks < 1:
            raise UsageError("A prompted network has detail_channels and clicks of at least 1.", "Raise them.")
        if self.sam.image_encoder.in_channels != 3:
            raise UsageError(f"The encoder sees {self.encoder.in_channels} channels.", "Give one of 3 in_channels.")

    @property
    def sam(self) -> SamConfig:
        """Sizes of the parts of SAM; a prompt gives one mask."""
        dim, patch = self.encoder.out_channels, self.encoder.patch_size
        return SamConfig(
            image_encoder=self.encoder,
            prompt_encoder=PromptEncoderConfig(embed_dim=dim, patch_size=patch),
            mask_decoder=MaskDecoderConfig(embed_dim=dim, mlp_dim=self.decoder_mlp_dim, num_multimask_outputs=0),
        )
