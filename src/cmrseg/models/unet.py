"""Plain 2-D U-Net (Ronneberger et al., MICCAI 2015), thin at full resolution so that two CPU cores suffice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from cmrseg.models.blocks import ConvBlock, UpBlock


@dataclass(frozen=True)
class UNetConfig:
    """Size of a U-Net."""

    in_channels: int = 3
    """Input channels: neighbouring slices, the middle one being the slice to segment."""
    n_classes: int = 4
    """Output channels, background included."""
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    """Feature maps per level, from full resolution down; each further level halves rows and columns."""


class UNet(nn.Module):
    """Encoder, decoder and skips; [B, in_channels, H, W] -> logits [B, n_classes, H, W].

    Args:
        config: sizes. H and W must be multiples of 2 to the number of levels minus one.
    """

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = ConvBlock(config.in_channels, widths[0])
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), ConvBlock(a, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            UpBlock(low, skip, skip) for low, skip in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], config.n_classes, kernel_size=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits [B, n_classes, H, W] of images [B, in_channels, H, W]."""
        skips = [self.stem(x_BCHW)]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in self.up:
            x = stage(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits
