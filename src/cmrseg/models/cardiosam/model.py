"""CardioSAM: SAM's image encoder, cardiac-specific attention, multi-scale decoder, boundary refinement.

Source: CardioSAM, arXiv 2604.03313, sections II-A to II-F; what it leaves open: docs/explanation/cardiosam.md. Letters
in names: B batch, S slices, H and W rows and columns, D and h and w those of the encoder's features, K classes.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from cmrseg.models.cardiosam.attention import CardiacAttention
from cmrseg.models.cardiosam.config import CardioSAMConfig
from cmrseg.models.cardiosam.decoder import Decoder, resize
from cmrseg.models.cardiosam.refinement import Head
from cmrseg.models.outputs import Outputs
from cmrseg.models.sam.checkpoints import load_image_encoder
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.input import InputAdapter


class CardioSAM(nn.Module):
    """Slices [B, in_channels, H, W] -> logits [B, n_classes, H, W]; an EncoderDecoder.

    In training mode, with boundary refinement on, the result is Outputs with the logits of the contours. H and W are
    multiples of the patch size, or anything when the config names an `image_size` to resample to.

    Args:
        config: sizes and switches. Weights are random until `load_encoder` or `load_state_dict`.
    """

    def __init__(self, config: CardioSAMConfig) -> None:
        super().__init__()
        self.config = config
        self.adapter = InputAdapter(config.in_channels)
        self.encoder = ImageEncoderViT(config.encoder)
        if config.freeze_encoder:
            self.encoder.freeze()
        self.attention = CardiacAttention(config) if config.cardiac_attention else nn.Identity()
        self.decoder = Decoder(config)
        self.head = Head(config)
        learned = config.in_channels not in (1, 3)
        self.encoder_frozen = config.freeze_encoder and not learned
        """Whether `encode` never changes, so that its features may be kept: false, too, where a learned convolution
        mixes the slices before a frozen encoder."""

    def forward(self, x_BSHW: Tensor) -> Tensor | Outputs:
        """Logits of normalised slices, or Outputs in training mode."""
        return self.decode(self.encode(x_BSHW), (x_BSHW.shape[-2], x_BSHW.shape[-1]))

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features [B, D, h, w] of the encoder.

        Raises:
            UsageError: H or W is no multiple of the patch size, and the config names no `image_size`.
        """
        x = self.adapter(x_BSHW)
        if self.config.image_size:
            x = resize(x, (self.config.image_size, self.config.image_size))
        features: Tensor = self.encoder(x)
        return features

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor | Outputs:
        """Logits of the image's size from features of `encode`, or Outputs in training mode."""
        x, context = self.decoder(self.attention(features_BDhw), size_hw)
        logits_BKHW, contour_B1HW = self.head(x, context)
        if self.training and contour_B1HW is not None:
            return Outputs(logits_BKHW, contour_B1HW)
        logits: Tensor = logits_BKHW
        return logits

    def load_encoder(self, path: Path) -> None:
        """Take the encoder's weights from a SAM or MedSAM checkpoint or an encoder bundle; BundleError if none fits."""
        load_image_encoder(self.encoder, path)
