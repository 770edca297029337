"""Boundary refinement: contours are predicted, and the gradient of the features is added to the features.

Source: CardioSAM, arXiv 2604.03313, section II-F, equations 13 and 14. Letters in names: B batch, C channels, H and W
rows and columns, M channels of the multi-scale context, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cmrseg.models.cardiosam.config import CardioSAMConfig

#: Under the root of the gradient magnitude: without it, flat features would have no finite derivative.
SOBEL_EPSILON = 1e-6


def sobel_magnitude(x_BCHW: Tensor) -> Tensor:
    """Length of the gradient of every channel, sqrt(Gx^2 + Gy^2 + 1e-6), float32[B, C, H, W].

    Gx and Gy are Sobel's 3 x 3 operators, not divided by 8: a step of 1 gives 4. Borders are continued, so that the
    edge of the image is no edge. In single precision whatever the input, because squares leave the range of half.
    """
    x = pad(x_BCHW.float(), (1, 1, 1, 1), mode="replicate")
    across = x[..., 2:] - x[..., :-2]
    down = x[..., 2:, :] - x[..., :-2, :]
    gx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    gy = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return (gx.square() + gy.square() + SOBEL_EPSILON).sqrt()


class BoundaryRefinement(nn.Module):
    """Features [B, C, H, W] -> sharpened features [B, C + 1, H, W] and contour logits [B, 1, H, W].

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.contour = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, kernel_size=1),
        )
        self.sharpen = nn.Sequential(
            nn.Conv2d(channels + 1, channels + 1, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels + 1),
        )

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Features and the contour's probability side by side, with a convolution of their gradient added."""
        contour_B1HW = self.contour(x_BCHW)
        joined = torch.cat([x_BCHW, contour_B1HW.sigmoid()], dim=1)
        return joined + self.sharpen(sobel_magnitude(joined)), contour_B1HW


class Head(nn.Module):
    """From the decoder's maps to logits: boundary refinement where it is on, fusion with the context, classifier.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: CardioSAMConfig) -> None:
        super().__init__()
        channels = config.widths[-1]
        self.refine = BoundaryRefinement(channels) if config.boundary_refinement else None
        joined = channels + (1 if config.boundary_refinement else 0)
        joined += config.stages * config.context_channels if config.multi_scale else 0
        self.fuse = nn.Sequential(
            nn.Conv2d(joined, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Conv2d(channels, config.n_classes, kernel_size=1)

    def forward(self, x_BCHW: Tensor, context_BMHW: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits [B, K, H, W], and those of the contour [B, 1, H, W] where boundary refinement is on."""
        contour_B1HW = None
        if self.refine is not None:
            x_BCHW, contour_B1HW = self.refine(x_BCHW)
        if context_BMHW is not None:
            x_BCHW = torch.cat([x_BCHW, context_BMHW], dim=1)
        return self.classify(self.fuse(x_BCHW)), contour_B1HW
