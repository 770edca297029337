"""ScarNet: SAM's image encoder and a U-Net see the same slice, and one classifier sees what both make of it.

Source: ScarNet, arXiv 2501.01372, algorithms 1 to 4; what it leaves open: docs/explanation/scarnet.md. Letters in
names: B batch, S slices, C channels, H and W rows and columns, D and h and w those of the encoder's features, P patch
size, K classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from cmrseg.errors import UsageError
from cmrseg.models.sam.checkpoints import load_image_encoder
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.input import InputAdapter
from cmrseg.models.scarnet.branches import SamDecoder, UNetBranch
from cmrseg.models.scarnet.config import ScarNetConfig
from cmrseg.models.scarnet.fusion import Concatenation, CrossGatedFusion


class ScarNet(nn.Module):
    """Slices [B, in_channels, H, W] -> logits [B, n_classes, H, W]; an EncoderDecoder, unless it has no SAM branch.

    Args:
        config: sizes and switches. Weights are random until `load_encoder` or `load_state_dict`. H and W are multiples
            of the config's `stride`.
    """

    def __init__(self, config: ScarNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_frozen = False
        """Whether what `encode` makes of an image never changes, so that it may be kept: false where nothing is frozen,
        and where a learned convolution mixes the slices before a frozen encoder."""
        if config.sam_branch:
            self.adapter = InputAdapter(config.in_channels)
            self.encoder = ImageEncoderViT(config.encoder)
            self.sam_decoder = SamDecoder(config)
            if config.freeze_encoder:
                self.encoder.freeze()
                self.encoder_frozen = config.in_channels in (1, 3)
        if config.unet_branch:
            self.unet = UNetBranch(config)
        channels = config.decoder_widths[-1] if config.sam_branch else config.unet_widths[0]
        if config.fuses:
            fusion = CrossGatedFusion(config) if config.fusion == "cross_gated" else Concatenation(config)
            self.fusion, channels = fusion, fusion.out_channels
        self.dropout = nn.Dropout2d(config.dropout)
        self.classify = nn.Conv2d(channels, config.n_classes, kernel_size=1)

    def forward(self, x_BSHW: Tensor) -> Tensor:
        """Logits of normalised slices.

        Raises:
            UsageError: H or W is no multiple of the config's `stride`.
        """
        stride = self.config.stride
        if x_BSHW.shape[-2] % stride or x_BSHW.shape[-1] % stride:
            raise UsageError(
                f"An image of {x_BSHW.shape[-2]} x {x_BSHW.shape[-1]} px does not suit this ScarNet.",
                f"Resample or pad it to multiples of {stride} px.",
            )
        features = self.encoder(self.adapter(x_BSHW)) if self.config.sam_branch else None
        return self._logits(features, x_BSHW)

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features of the encoder and, behind them, the pixels of their patches, which the U-Net needs.

        Returns:
            [B, D + S P^2, h, w]; without U-Net branch [B, D, h, w].

        Raises:
            UsageError: there is no SAM branch, or H or W is no multiple of the patch size.
        """
        self._require_encoder()
        features: Tensor = self.encoder(self.adapter(x_BSHW))
        if not self.config.unet_branch:
            return features
        return torch.cat([features, pixel_unshuffle(x_BSHW, self.config.encoder.patch_size)], dim=1)

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Logits of the image's size from what `encode` gave; UsageError without SAM branch."""
        self._require_encoder()
        encoder = self.config.encoder
        features = features_BDhw[:, : encoder.out_channels]
        if self.config.unet_branch:
            x_BSHW = pixel_shuffle(features_BDhw[:, encoder.out_channels :], encoder.patch_size)
            return self._logits(features, x_BSHW)
        return self._classes(self.sam_decoder(features, size_hw))

    def load_encoder(self, path: Path) -> None:
        """Take the encoder's weights from a SAM or MedSAM checkpoint or an encoder bundle.

        Raises:
            BundleError: the weights do not fit.
            UsageError: there is no SAM branch.
        """
        self._require_encoder()
        load_image_encoder(self.encoder, path)

    def _require_encoder(self) -> None:
        if not self.config.sam_branch:
            raise UsageError("This ScarNet has no encoder.", "Switch sam_branch on.")

    def _logits(self, features_BDhw: Tensor | None, x_BSHW: Tensor) -> Tensor:
        maps = []
        if features_BDhw is not None:
            maps.append(self.sam_decoder(features_BDhw, (x_BSHW.shape[-2], x_BSHW.shape[-1])))
        if self.config.unet_branch:
            maps.append(self.unet(x_BSHW))
        return self._classes(self.fusion(*maps) if self.config.fuses else maps[0])

    def _classes(self, x_BCHW: Tensor) -> Tensor:
        """Classifier, with a first look of its own as a prior where the config asks for one."""
        if self.config.prior_classes:
            first_BKHW = self.classify(x_BCHW).softmax(1)
            inside = torch.stack([first_BKHW[:, k] for k in self.config.prior_classes]).sum(0)
            x_BCHW = x_BCHW * (1 + inside[:, None])
        logits: Tensor = self.classify(self.dropout(x_BCHW))
        return logits
