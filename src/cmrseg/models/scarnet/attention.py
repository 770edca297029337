"""Squeeze-and-excitation and ScarAttention: features reweighted by channel and by place.

Sources: ScarNet, arXiv 2501.01372, "Attention mechanisms" and algorithms 1 to 3; Hu et al., Squeeze-and-Excitation
Networks, CVPR 2018; Woo et al., CBAM, ECCV 2018 (spatial gate). Letters in names: B batch, C channels, H and W rows and
columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from cmrseg.models.cardiosam.decoder import MIN_HIDDEN, ChannelAttention, SpatialAttention, resize
from cmrseg.models.scarnet.config import POOLS, ScarNetConfig


class SqueezeExcite(ChannelAttention):
    """Channels scaled by what their means say of each other; [B, C, H, W] -> [B, C, H, W]."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """x times sigmoid(W2 relu(W1 mean over the image))."""
        return x_BCHW * super().forward(x_BCHW)


class ScarAttention(nn.Module):
    """A gate for every channel at every place, then one for every place; [B, C, H, W] -> [B, C, H, W].

    The channel gate is a perceptron over the channels of one pixel, unlike squeeze-and-excitation, which knows only
    their means over the image. The spatial gate sees the maximum and the mean of the gated channels.

    Args:
        channels: C.
        config: reduction and kernel.
    """

    def __init__(self, channels: int, config: ScarNetConfig) -> None:
        super().__init__()
        hidden = max(channels // config.attention_reduction, MIN_HIDDEN)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, kernel_size=1),
            nn.Sigmoid(),
        )
        self.spatial = SpatialAttention(config.spatial_kernel)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The features times both gates."""
        gated = x_BCHW * self.channel(x_BCHW)
        out: Tensor = gated * self.spatial(gated)
        return out


class MultiScaleScarAttention(nn.Module):
    """ScarAttention on the features and on their means over 2 x 2 and 4 x 4 pixels, fused; [B, C, H, W] -> the same.

    H and W are multiples of 4.

    Args:
        channels: C.
        config: reduction and kernel.
    """

    def __init__(self, channels: int, config: ScarNetConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ScarAttention(channels, config) for _ in POOLS)
        self.fuse = nn.Conv2d(len(POOLS) * channels, channels, kernel_size=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A 1 x 1 convolution of all scales, enlarged to the first."""
        size = (x_BCHW.shape[-2], x_BCHW.shape[-1])
        seen = [
            resize(attention(avg_pool2d(x_BCHW, pool) if pool > 1 else x_BCHW), size)
            for attention, pool in zip(self.scales, POOLS, strict=True)
        ]
        fused: Tensor = self.fuse(torch.cat(seen, dim=1))
        return fused
