"""TransUNet: a residual network, a vision transformer on its coarsest map, and an up-sampling decoder with skips.

Sources: Chen et al., TransUNet, arXiv 2102.04306 (the hybrid of ResNet-50 and ViT-B/16); Dosovitskiy et al., An image
is worth 16 x 16 words, ICLR 2021; Kolesnikov et al., Big transfer, ECCV 2020 (group normalisation with standardised
weights in place of batch normalisation). Letters: B batch, C and D channels, H rows, W columns, h and w of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from cmrseg.errors import UsageError
from cmrseg.models.blocks import ConvBlock
from cmrseg.models.sam.image_encoder import Attention
from cmrseg.models.sam.layers import MlpBlock, initialise, resize_grid

STRIDE = 16


@dataclass(frozen=True)
class TransUNetConfig:
    """Size of a TransUNet; the defaults are the paper's.

    Raises:
        UsageError: sizes that cannot be built.
    """

    in_channels: int = 3
    """Input channels: neighbouring slices, the middle one being the slice to segment."""
    n_classes: int = 4
    """Output channels, background included."""
    image_size: int = 224
    """Rows and columns [px] that position embeddings are made for; those of other images are interpolated."""
    stem_width: int = 64
    """Channels of the residual network's stem; its stages give 4, 8 and 16 times as many."""
    blocks: tuple[int, int, int] = (3, 4, 9)
    """Residual blocks of the three stages; ResNet-50's last stage is left out and its blocks put into the third."""
    norm_groups: int = 32
    """Groups of the residual network's normalisation; they divide `stem_width`."""
    embed_dim: int = 768
    """Channels of the transformer's tokens."""
    depth: int = 12
    """Blocks of the transformer."""
    num_heads: int = 12
    """Attention heads; they divide `embed_dim`."""
    mlp_ratio: float = 4.0
    """Hidden channels of the perceptrons over `embed_dim`."""
    dropout: float = 0.1
    """Share of values dropped in the transformer in training, 0..1."""
    bridge_channels: int = 512
    """Channels that the tokens are narrowed to before the decoder."""
    decoder_channels: tuple[int, int, int, int] = (256, 128, 64, 16)
    """Channels of the decoder's stages, each of which doubles rows and columns."""

    def __post_init__(self) -> None:
        if self.image_size % STRIDE or self.image_size < STRIDE:
            raise UsageError(f"An image of {self.image_size} px has no whole tokens.", f"Give a multiple of {STRIDE}.")
        if self.stem_width % self.norm_groups:
            raise UsageError(
                f"{self.norm_groups} groups do not divide {self.stem_width} channels.",
                "Give a stem_width that is a multiple of norm_groups.",
            )
        if self.embed_dim % self.num_heads:
            raise UsageError(
                f"{self.num_heads} heads do not divide {self.embed_dim} channels.",
                "Give an embed_dim that is a multiple of num_heads.",
            )


#: ``full``: the paper's, 105 M weights. ``cpu``: 7 M, as the other networks of a comparison on two
#: processor cores are small; there the full size sees every slice twice in the time that others see it ten times.
PRESETS: Mapping[str, TransUNetConfig] = MappingProxyType(
    {
        "full": TransUNetConfig(),
        "cpu": TransUNetConfig(
            image_size=128,
            stem_width=32,
            blocks=(2, 2, 2),
            embed_dim=256,
            depth=6,
            num_heads=8,
            bridge_channels=256,
            decoder_channels=(128, 64, 32, 16),
        ),
    }
)


class TransUNet(nn.Module):
    """[B, in_channels, H, W] -> logits [B, n_classes, H, W].

    Args:
        config: sizes. H and W are any multiples of 16.
    """

    def __init__(self, config: TransUNetConfig = TransUNetConfig()) -> None:
        super().__init__()
        self.config = config
        stem, dim, bridge = config.stem_width, config.embed_dim, config.bridge_channels
        grid = config.image_size // STRIDE
        self.residual = ResidualEncoder(config.in_channels, stem, config.blocks, config.norm_groups)
        self.embed = nn.Conv2d(16 * stem, dim, kernel_size=1)
        self.pos_embed = nn.Parameter(torch.empty(1, grid, grid, dim))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, config.num_heads, config.mlp_ratio, config.dropout) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.bridge = nn.Sequential(
            nn.Conv2d(dim, bridge, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(bridge), nn.ReLU(inplace=True)
        )
        below = (bridge, *config.decoder_channels[:-1])
        skips = (8 * stem, 4 * stem, stem, 0)
        self.decoder = nn.ModuleList(
            ConvBlock(low + skip, out) for low, skip, out in zip(below, skips, config.decoder_channels, strict=True)
        )
        self.head = nn.Conv2d(config.decoder_channels[-1], config.n_classes, kernel_size=3, padding=1)
        self.blocks.apply(initialise)
        nn.init.trunc_normal_(self.pos_embed, std=0.02, a=-0.04, b=0.04)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits of images.

        Raises:
            UsageError: H or W is no multiple of 16.
        """
        height, width = x_BCHW.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise UsageError(
                f"An image of {height} x {width} px has no whole tokens.",
                f"Resample or pad it to multiples of {STRIDE}.",
            )
        half, quarter, eighth, coarse = self.residual(x_BCHW)
        x = self.bridge(self._transform(self.embed(coarse)))
        skips: tuple[Tensor | None, ...] = (eighth, quarter, half, None)
        for stage, skip in zip(self.decoder, skips, strict=True):
            x = interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = stage(x if skip is None else torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits

    def _transform(self, x_BDhw: Tensor) -> Tensor:
        tokens = x_BDhw.permute(0, 2, 3, 1)
        tokens = self.dropout(tokens + resize_grid(self.pos_embed, (tokens.shape[1], tokens.shape[2])))
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed.permute(0, 3, 1, 2)


class TransformerBlock(nn.Module):
    """Block of a vision transformer; [B, h, w, D] -> [B, h, w, D]."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, qkv_bias=True, grid_size=None)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MlpBlock(dim, int(dim * mlp_ratio), nn.GELU)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BhwD: Tensor) -> Tensor:
        """Attention among all tokens and a perceptron, each added to what came in."""
        x = x_BhwD + self.attn(self.norm1(x_BhwD))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class ResidualEncoder(nn.Module):
    """Residual network with standardised weights; gives maps at a half, a quarter, an eighth and a sixteenth."""

    def __init__(self, in_channels: int, width: int, blocks: tuple[int, int, int], groups: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            StandardisedConv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(groups, width, eps=1e-6),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        channels = width
        for k, n_blocks in enumerate(blocks):
            inner, out = width * 2**k, 4 * width * 2**k
            stage = [ResidualBlock(channels, inner, out, 2 if k else 1, groups)]
            stage += [ResidualBlock(out, inner, out, 1, groups) for _ in range(n_blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            channels = out

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        """Maps of 1, 4, 8 and 16 times the stem's channels, from fine to coarse."""
        maps = [self.stem(x_BCHW)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


class ResidualBlock(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut; [B, C_in, H, W] -> [B, C_out, H / stride, W / stride]."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            StandardisedConv2d(in_channels, inner, 1, bias=False),
            nn.GroupNorm(groups, inner, eps=1e-6),
            nn.ReLU(inplace=True),
            StandardisedConv2d(inner, inner, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(groups, inner, eps=1e-6),
            nn.ReLU(inplace=True),
            StandardisedConv2d(inner, out_channels, 1, bias=False),
            nn.GroupNorm(groups, out_channels, eps=1e-6),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                StandardisedConv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.GroupNorm(out_channels, out_channels),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The map plus what the convolutions make of it."""
        out: Tensor = self.relu(self.shortcut(x_BCHW) + self.body(x_BCHW))
        return out


class StandardisedConv2d(nn.Conv2d):
    """Convolution whose kernels have mean 0 and variance 1 for every output channel (Qiao et al., arXiv 1903.10520)."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """[B, C_in, H, W] -> [B, C_out, H', W']."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-5)
        return conv2d(x_BCHW, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
