"""DeepLabv3+: a ResNet, dilated convolutions of several reaches, and a decoder with one skip.

Source: Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation, ECCV 2018, with
the plain convolutions of DeepLabv3 (Chen et al., arXiv 1706.05587) in the pyramid, which the common count of 59 M
weights belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, interpolate

from cmrseg.models.resnet import ResNet, load_resnet


@dataclass(frozen=True)
class DeepLabConfig:
    """Size of a DeepLabv3+; the defaults are those of the paper with a ResNet-101."""

    in_channels: int = 3
    """Input channels: neighbouring slices, the middle one being the slice to segment."""
    n_classes: int = 4
    """Output channels, background included."""
    depth: int = 101
    """Layers of the ResNet: 18, 50 or 101."""
    width: int = 64
    """Channels of the ResNet's stem; published backbones have 64."""
    rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of the pyramid's 3 x 3 convolutions, in pixels of the grid 16 times coarser than the input."""
    channels: int = 256
    """Channels of each branch of the pyramid and of the decoder."""
    skip_channels: int = 48
    """Channels that the backbone's first layer is narrowed to before it joins the decoder."""
    dropout: float = 0.1
    """Share of channels dropped behind the pyramid in training, 0..1."""


PRESETS: Mapping[str, DeepLabConfig] = MappingProxyType({"full": DeepLabConfig(), "cpu": DeepLabConfig(depth=18)})


class DeepLabV3Plus(nn.Module):
    """[B, in_channels, H, W] -> logits [B, n_classes, H, W].

    Args:
        config: sizes. H and W may be any; the stride is 16.
    """

    def __init__(self, config: DeepLabConfig = DeepLabConfig()) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.backbone = ResNet(config.depth, config.in_channels, config.width)
        self.pyramid = AtrousPyramid(self.backbone.high_channels, channels, config.rates, config.dropout)
        self.skip = _ConvNorm(self.backbone.low_channels, config.skip_channels, kernel_size=1)
        self.decoder = nn.Sequential(
            _ConvNorm(channels + config.skip_channels, channels, kernel_size=3),
            _ConvNorm(channels, channels, kernel_size=3),
            nn.Conv2d(channels, config.n_classes, kernel_size=1),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits [B, n_classes, H, W] of images [B, in_channels, H, W]."""
        low, high = self.backbone(x_BCHW)
        joined = torch.cat([_resize(self.pyramid(high), low.shape[-2:]), self.skip(low)], dim=1)
        return _resize(self.decoder(joined), x_BCHW.shape[-2:])

    def load_encoder(self, path: Path) -> None:
        """Take the backbone's weights from a checkpoint in torchvision's layout; see `cmrseg.models.resnet`."""
        load_resnet(self.backbone, path)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling; [B, C_in, H, W] -> [B, channels, H, W].

    Args:
        in_channels: channels of the backbone's last layer.
        channels: channels of each branch and of the output.
        rates: dilations of the 3 x 3 branches, which stand beside a 1 x 1 branch and the mean of the whole map.
        dropout: share of channels dropped at the end in training.
    """

    def __init__(self, in_channels: int, channels: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList([_ConvNorm(in_channels, channels, kernel_size=1)])
        self.branches.extend(_ConvNorm(in_channels, channels, kernel_size=3, dilation=rate) for rate in rates)
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, channels, kernel_size=1, bias=False),
            PooledNorm(channels),
            nn.ReLU(inplace=True),
        )
        self.project = nn.Sequential(
            _ConvNorm((len(rates) + 2) * channels, channels, kernel_size=1), nn.Dropout2d(dropout)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """All branches, joined and narrowed."""
        maps = [branch(x_BCHW) for branch in self.branches]
        maps.append(self.pooled(x_BCHW).expand(-1, -1, *x_BCHW.shape[-2:]))
        out: Tensor = self.project(torch.cat(maps, dim=1))
        return out


class PooledNorm(nn.BatchNorm2d):
    """Batch normalisation of a 1 x 1 map, where a batch of one has no variance: it takes the running statistics."""

    def forward(self, x_BC11: Tensor) -> Tensor:
        """[B, C, 1, 1] -> [B, C, 1, 1]."""
        if self.training and x_BC11.shape[0] == 1:
            return batch_norm(x_BC11, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x_BC11)


class _ConvNorm(nn.Sequential):
    """Convolution that keeps rows and columns, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        reach = dilation * (kernel_size // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=reach, dilation=dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def _resize(x_BCHW: Tensor, size_hw: torch.Size) -> Tensor:
    return interpolate(x_BCHW, size=tuple(size_hw), mode="bilinear", align_corners=False)
