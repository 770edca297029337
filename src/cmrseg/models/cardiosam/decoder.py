"""Decoder: up-sampling stages with channel and spatial attention, and the context that all of them make together.

Source: CardioSAM, arXiv 2604.03313, section II-E, equations 11 and 12; channel attention after Hu et al., Squeeze-and-
Excitation Networks, CVPR 2018, spatial attention after Woo et al., CBAM, ECCV 2018. Letters in names: B batch,
C channels, H and W rows and columns, D and h and w those of the encoder's features.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from cmrseg.models.cardiosam.config import CardioSAMConfig

MIN_HIDDEN = 4


def resize(x_BCHW: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear interpolation to rows and columns; the very tensor when it has them."""
    if tuple(x_BCHW.shape[-2:]) == tuple(size_hw):
        return x_BCHW
    return interpolate(x_BCHW, size=size_hw, mode="bilinear", align_corners=False)


class ChannelAttention(nn.Module):
    """Weight of each channel (equation 11); [B, C, H, W] -> [B, C, 1, 1] in 0..1.

    Args:
        channels: C.
        reduction: by how much the hidden layer is narrower; it keeps at least `MIN_HIDDEN` channels.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, MIN_HIDDEN)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """sigmoid(W2 relu(W1 mean over the image))."""
        weights_BC: Tensor = self.excite(relu(self.squeeze(x_BCHW.mean((2, 3))))).sigmoid()
        return weights_BC[:, :, None, None]


class SpatialAttention(nn.Module):
    """Weight of each pixel (equation 12); [B, C, H, W] -> [B, 1, H, W] in 0..1.

    Args:
        kernel: rows and columns of the convolution, odd.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """sigmoid of a convolution over the channels' maximum and mean."""
        responses = torch.cat([x_BCHW.amax(1, keepdim=True), x_BCHW.mean(1, keepdim=True)], dim=1)
        mask: Tensor = self.conv(responses).sigmoid()
        return mask


class ResidualBlock(nn.Module):
    """Two convolutions, scaled by channel and by spatial attention, added to the input; [B, C, H, W] -> [B, C, H, W].

    Both attentions look at the convolutions' output; it is scaled by one, then by the other.

    Args:
        channels: C.
        config: whether there is attention, and its sizes.
    """

    def __init__(self, channels: int, config: CardioSAMConfig) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.attends = config.dual_attention
        if self.attends:
            self.channel = ChannelAttention(channels, config.reduction)
            self.spatial = SpatialAttention(config.spatial_kernel)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The refined map."""
        update = self.convs(x_BCHW)
        if self.attends:
            update = update * self.channel(update) * self.spatial(update)
        return relu(x_BCHW + update)


class UpStage(nn.Sequential):
    """Transposed convolution by 2, then a residual block; [B, C_in, H, W] -> [B, C_out, 2H, 2W]."""

    def __init__(self, in_channels: int, out_channels: int, config: CardioSAMConfig) -> None:
        super().__init__(
            # a kernel of twice the stride covers every output pixel equally often: no chequerboard
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            ResidualBlock(out_channels, config),
        )


class Decoder(nn.Module):
    """Features enlarged to the image; [B, D, h, w] -> features [B, C, H, W] and context [B, M, H, W] or None.

    C is the last of the config's `widths`; M is `context_channels` for every stage.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: CardioSAMConfig) -> None:
        super().__init__()
        widths = config.widths
        self.project = nn.Sequential(
            nn.Conv2d(config.encoder.out_channels, widths[0], kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList(UpStage(a, b, config) for a, b in pairwise(widths))
        joined = widths[1:] if config.multi_scale else ()
        self.context = nn.ModuleList(nn.Conv2d(c, config.context_channels, kernel_size=1) for c in joined)

    def forward(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """The last stage's map and the context of all stages, both of the image's size."""
        maps = [self.project(features_BDhw)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        # narrowed before they are enlarged: the two commute, and this order is cheaper
        context = [resize(narrow(x), size_hw) for narrow, x in zip(self.context, maps[1:], strict=False)]
        return resize(maps[-1], size_hw), torch.cat(context, dim=1) if context else None
