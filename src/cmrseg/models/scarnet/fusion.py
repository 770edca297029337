"""How the branches of ScarNet become one: concatenated, or by attention from one to the other and a gate.

Source: ScarNet, arXiv 2501.01372, equation 2 and algorithm 4; what the latter leaves open: docs/explanation/scarnet.md.
Letters in names: B batch, C channels, H and W rows and columns, L tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from cmrseg.models.cardiosam.decoder import resize
from cmrseg.models.sam.transformer import Attention
from cmrseg.models.scarnet.config import ScarNetConfig


class Concatenation(nn.Module):
    """Both maps side by side (equation 2, whose 1 x 1 convolution is the classifier); -> [B, C_sam + C_unet, H, W]."""

    def __init__(self, config: ScarNetConfig) -> None:
        super().__init__()
        self.out_channels = config.decoder_widths[-1] + config.unet_widths[0]

    def forward(self, sam_BCHW: Tensor, unet_BCHW: Tensor) -> Tensor:
        """First SAM's channels, then the U-Net's."""
        return torch.cat([sam_BCHW, unet_BCHW], dim=1)


class CrossAttention(nn.Module):
    """What each place of one map finds in all of the other; both [B, C, H, W] -> [B, C, H, W].

    Maps are averaged to tokens of `stride` px first, since every pixel with every other would not fit in memory.

    Args:
        channels: C.
        heads: attention heads; they divide C.
        stride: rows and columns of one token; they divide H and W.
    """

    def __init__(self, channels: int, heads: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.attention = Attention(channels, heads)

    def forward(self, asking_BCHW: Tensor, asked_BCHW: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(d)) V, queries of the first map, keys and values of the second; enlarged again."""
        coarse = avg_pool2d(asking_BCHW, self.stride)
        queries_BLC = coarse.flatten(2).transpose(1, 2)
        keys_BLC = avg_pool2d(asked_BCHW, self.stride).flatten(2).transpose(1, 2)
        found = self.attention(queries_BLC, keys_BLC, keys_BLC).transpose(1, 2).reshape(coarse.shape)
        return resize(found, (asking_BCHW.shape[-2], asking_BCHW.shape[-1]))


class ChannelGate(nn.Module):
    """Share of the first of two maps in each channel of their mixture; both [B, C, H, W] -> [B, C, 1, 1] in 0..1.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels)
        )

    def forward(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        """sigmoid(MLP of both maps' means over the image)."""
        means = torch.cat([first_BCHW.mean((2, 3)), second_BCHW.mean((2, 3))], dim=1)
        share_BC: Tensor = self.mlp(means).sigmoid()
        return share_BC[:, :, None, None]


class CrossGatedFusion(nn.Module):
    """Alignment, attention from SAM's map to the U-Net's, gated sum, refinement; -> [B, fusion_width, H, W].

    Args:
        config: sizes.
    """

    def __init__(self, config: ScarNetConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.out_channels = width
        self.align_sam = _aligned(config.decoder_widths[-1], width)
        self.align_unet = _aligned(config.unet_widths[0], width)
        self.cross = CrossAttention(width, config.attention_heads, config.attention_stride)
        self.gate = ChannelGate(width)
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, sam_BCHW: Tensor, unet_BCHW: Tensor) -> Tensor:
        """The fused map."""
        sam, unet = self.align_sam(sam_BCHW), self.align_unet(unet_BCHW)
        sam = sam + self.cross(sam, unet)
        share = self.gate(sam, unet)
        mixed = share * sam + (1 - share) * unet
        return relu(mixed + self.refine(mixed))


def _aligned(channels: int, width: int) -> nn.Sequential:
    """A 1 x 1 convolution and normalisation, so that the gate mixes maps of one scale."""
    return nn.Sequential(nn.Conv2d(channels, width, kernel_size=1, bias=False), nn.BatchNorm2d(width))
