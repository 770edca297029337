"""Layers that the parts of Segment Anything share, and the interpolation of position embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of every pixel; [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The map with every pixel's channels normalised."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MlpBlock(nn.Module):
    """Perceptron with one hidden layer over the last axis.

    Args:
        dim: channels in and out.
        hidden_dim: channels between.
        activation: ``gelu`` in the image encoder, ``relu`` in the two-way transformer.
    """

    def __init__(self, dim: int, hidden_dim: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, dim)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


def resize_grid(embedding_1HWC: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Absolute position embeddings [1, H, W, C] of another grid, bicubic; the very tensor when the grid is the same."""
    if tuple(embedding_1HWC.shape[1:3]) == tuple(size_hw):
        return embedding_1HWC
    planes = embedding_1HWC.permute(0, 3, 1, 2)
    # anti-aliasing: a grid made for 1024 px is often brought down to that of 224 px
    resized = interpolate(planes, size=size_hw, mode="bicubic", align_corners=False, antialias=True)
    return resized.permute(0, 2, 3, 1)


def resize_offsets(embedding_LC: Tensor, length: int) -> Tensor:
    """Relative position embeddings [length, C] of another range of offsets, linear; the very tensor when it is equal.

    L and length are twice the number of patches minus one: offsets from minus to plus the last patch.
    """
    if embedding_LC.shape[0] == length:
        return embedding_LC
    return interpolate(embedding_LC.T[None], size=length, mode="linear", align_corners=False)[0].T


def initialise(module: nn.Module) -> None:
    """Draw a linear layer's weights from a normal distribution of 0.02, cut at two deviations; biases are zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def offsets(size: int, device: torch.device) -> Tensor:
    """Index [size, size] of key k's offset from query q in embeddings of 2 size - 1 offsets: q - k + size - 1."""
    place = torch.arange(size, device=device)
    return place[:, None] - place[None, :] + (size - 1)
