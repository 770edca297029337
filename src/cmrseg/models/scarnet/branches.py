"""The two branches of ScarNet: what follows SAM's image encoder, and the U-Net with attention on its skips.

Source: ScarNet, arXiv 2501.01372, algorithms 2 and 3, equations 5 and 6. Letters in names: B batch, C channels, H and W
rows and columns of the image, D and h and w those of the encoder's features.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from cmrseg.models.blocks import ConvBlock
from cmrseg.models.cardiosam.decoder import resize
from cmrseg.models.scarnet.attention import MultiScaleScarAttention, ScarAttention, SqueezeExcite
from cmrseg.models.scarnet.config import ScarNetConfig


class SamStage(nn.Sequential):
    """Convolution, squeeze-and-excitation, ScarAttention, the latter two where the config has them; C_in -> C_out."""

    def __init__(self, in_channels: int, out_channels: int, config: ScarNetConfig) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
        if config.squeeze_excite:
            layers.append(SqueezeExcite(out_channels, config.reduction))
        if config.scar_attention:
            layers.append(ScarAttention(out_channels, config))
        super().__init__(*layers)


class SamDecoder(nn.Module):
    """Features of the encoder, enlarged and narrowed; [B, D, h, w] -> [B, C, H, W], C the last of `decoder_widths`.

    Every stage works at twice the resolution of the one before. All of them, enlarged to the image, are joined by a
    1 x 1 convolution, the channel reducer, which is computed stage by stage and added up.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: ScarNetConfig) -> None:
        super().__init__()
        widths = (config.encoder.out_channels, *config.decoder_widths)
        out = widths[-1]
        self.stages = nn.ModuleList(SamStage(a, b, config) for a, b in pairwise(widths))
        # no bias: batch normalisation follows
        self.reduce = nn.ModuleList(nn.Conv2d(c, out, kernel_size=1, bias=False) for c in widths[1:])
        self.norm = nn.BatchNorm2d(out)
        self.attention = ScarAttention(out, config) if config.scar_attention else nn.Identity()

    def forward(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """The branch's map at the image's size."""
        x, parts = features_BDhw, []
        for stage, reduce in zip(self.stages, self.reduce, strict=True):
            x = stage(interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
            # narrowed before they are enlarged: the two commute, and this order is cheaper
            parts.append(resize(reduce(x), size_hw))
        joined = torch.stack(parts).sum(0)
        out: Tensor = self.attention(relu(self.norm(joined)))
        return out


class UpStage(nn.Module):
    """Transposed convolution by 2, the skip through its attention, a double convolution; -> [B, C_skip, 2H, 2W].

    Args:
        low_channels: channels of the coarse map.
        channels: C_skip.
        config: how to join, and whether skips pass attention.
    """

    def __init__(self, low_channels: int, channels: int, config: ScarNetConfig) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(low_channels, channels, kernel_size=2, stride=2)
        self.attention = ScarAttention(channels, config) if config.skip_attention else nn.Identity()
        self.adds = config.skip == "add"
        self.conv = ConvBlock(channels if self.adds else 2 * channels, channels)

    def forward(self, low_BCHW: Tensor, skip_BCHW: Tensor) -> Tensor:
        """Join the coarse map with the skip of the level above."""
        coarse, skip = self.up(low_BCHW), self.attention(skip_BCHW)
        joined: Tensor = self.conv(coarse + skip if self.adds else torch.cat([coarse, skip], dim=1))
        return joined


class UNetBranch(nn.Module):
    """U-Net up to its last features; [B, in_channels, H, W] -> [B, C, H, W], C the first of `unet_widths`.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: ScarNetConfig) -> None:
        super().__init__()
        widths = config.unet_widths
        self.stem = ConvBlock(config.in_channels, widths[0])
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), ConvBlock(a, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            UpStage(low, skip, config) for low, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.attention = MultiScaleScarAttention(widths[0], config) if config.scar_attention else nn.Identity()

    def forward(self, x_BSHW: Tensor) -> Tensor:
        """The branch's map at the image's size."""
        skips = [self.stem(x_BSHW)]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in self.up:
            x = stage(x, skips.pop())
        out: Tensor = self.attention(x)
        return out
