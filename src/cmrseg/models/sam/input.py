"""Slices of a stack as the three channels that an encoder of photographs wants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError


class InputAdapter(nn.Module):
    """Three channels of normalised slices; [B, in_channels, H, W] -> [B, 3, H, W].

    One channel is repeated, three go in as they are, any other number passes a learned 1 x 1 convolution, which
    starts as the repeated middle channel so that a pre-trained encoder sees a true image from the first step on.

    Args:
        in_channels: neighbouring slices, at least 1.

    Raises:
        UsageError: fewer than one channel.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        if in_channels < 1:
            raise UsageError(f"A network cannot have {in_channels} input channels.", "Give 1 or more.")
        self.in_channels = in_channels
        self.proj = None if in_channels in (1, 3) else nn.Conv2d(in_channels, 3, kernel_size=1)
        if self.proj is not None:
            nn.init.zeros_(self.proj.weight)
            with torch.no_grad():
                self.proj.weight[:, in_channels // 2] = 1
            if self.proj.bias is not None:
                nn.init.zeros_(self.proj.bias)

    def forward(self, x_BSHW: Tensor) -> Tensor:
        """The three channels."""
        if self.proj is not None:
            mixed: Tensor = self.proj(x_BSHW)
            return mixed
        return x_BSHW.expand(-1, 3, -1, -1) if self.in_channels == 1 else x_BSHW
