"""Image encoder of Segment Anything: a vision transformer with windows and decomposed relative positions.

Sources: Kirillov et al., Segment Anything, ICCV 2023; Li et al., Exploring plain vision transformer backbones for
object detection, ECCV 2022 (windows, neck); Li et al., MViTv2, CVPR 2022 (decomposed relative positions). Letters in
names: B batch, H rows, W columns, C and D channels, h and w rows and columns of patches, n heads, L = h w tokens,
M blocks, N prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import ImageEncoderConfig
from cmrseg.models.sam.layers import LayerNorm2d, MlpBlock, initialise, offsets, resize_grid, resize_offsets


class PatchEmbed(nn.Module):
    """Patches as tokens; [B, C, H, W] -> [B, h, w, D]."""

    def __init__(self, in_channels: int, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """One token per patch."""
        tokens: Tensor = self.proj(x_BCHW)
        return tokens.permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Multi-head self-attention over a grid of tokens; [B, h, w, D] -> [B, h, w, D].

    Args:
        dim: channels.
        num_heads: heads; they divide `dim`.
        qkv_bias: whether queries, keys and values have a bias.
        grid_size: rows and columns that relative position embeddings are made for; None for none.
    """

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool, grid_size: int | None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.use_rel_pos = grid_size is not None
        if grid_size is not None:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid_size - 1, dim // num_heads))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid_size - 1, dim // num_heads))

    def forward(self, x_BhwD: Tensor, prompts_ND: Tensor | None = None) -> Tensor:
        """Every token looks at every other one of its grid, and at prompts, which have no place and do not look."""
        _, h, w, dim = x_BhwD.shape
        q, k, v = (
            self.qkv(x_BhwD)
            .reshape(-1, h * w, 3, self.num_heads, dim // self.num_heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        bias = self._position_bias(q, h, w) if self.use_rel_pos else None
        if prompts_ND is not None:
            _, prompt_k, prompt_v = self.qkv(prompts_ND).unflatten(-1, (3, self.num_heads, -1)).permute(1, 2, 0, 3)
            k = torch.cat([k, prompt_k.expand(k.shape[0], -1, -1, -1)], dim=2)
            v = torch.cat([v, prompt_v.expand(v.shape[0], -1, -1, -1)], dim=2)
            bias = None if bias is None else pad(bias, (0, len(prompts_ND)))
        attended = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        # concatenated, not transposed and reshaped: the layout that attention returns is another one when exporting
        out: Tensor = self.proj(torch.cat(attended.unbind(1), dim=-1)).reshape(-1, h, w, dim)
        return out

    def _position_bias(self, q_BnLc: Tensor, h: int, w: int) -> Tensor:
        """What the offsets in rows and in columns add to the logits [B, n, h w, h w] of attention."""
        rows = resize_offsets(self.rel_pos_h, 2 * h - 1)[offsets(h, q_BnLc.device)]
        columns = resize_offsets(self.rel_pos_w, 2 * w - 1)[offsets(w, q_BnLc.device)]
        q = q_BnLc.reshape(-1, self.num_heads, h, w, q_BnLc.shape[-1])
        by_row = torch.einsum("bnhwc,hkc->bnhwk", q, rows.to(q.dtype))
        by_column = torch.einsum("bnhwc,wkc->bnhwk", q, columns.to(q.dtype))
        return (by_row[..., :, None] + by_column[..., None, :]).flatten(4, 5).flatten(2, 3)


class Block(nn.Module):
    """Transformer block with normalisation before attention and before its perceptron; [B, h, w, D] -> the same.

    Args:
        config: sizes.
        window_size: rows and columns of the windows that attention stays within; 0 for the whole grid.
    """

    def __init__(self, config: ImageEncoderConfig, window_size: int) -> None:
        super().__init__()
        dim = config.embed_dim
        grid_size = window_size or config.grid_size
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, config.num_heads, config.qkv_bias, grid_size if config.use_rel_pos else None)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MlpBlock(dim, int(dim * config.mlp_ratio), nn.GELU)

    def forward(self, x_BhwD: Tensor, prompts_ND: Tensor | None = None) -> Tensor:
        """Attention, in every window to the prompts too, and perceptron, each added to what came in."""
        normed = self.norm1(x_BhwD)
        attend = self.attn if prompts_ND is None else partial(self.attn, prompts_ND=self.norm1(prompts_ND))
        x = x_BhwD + (in_windows(attend, normed, self.window_size) if self.window_size else attend(normed))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def in_windows(function: Callable[[Tensor], Tensor], x_BhwD: Tensor, size: int) -> Tensor:
    """Apply a function to windows of `size` x `size` tokens; zeros fill up the lower and right border for its time."""
    _, h, w, dim = x_BhwD.shape
    rows, columns = -(-h // size), -(-w // size)
    padded = pad(x_BhwD, (0, 0, 0, columns * size - w, 0, rows * size - h))
    windows = padded.reshape(-1, rows, size, columns, size, dim).transpose(2, 3).reshape(-1, size, size, dim)
    done = function(windows).reshape(-1, rows, columns, size, size, dim).transpose(2, 3)
    return done.reshape(-1, rows * size, columns * size, dim)[:, :h, :w]


class ImageEncoderViT(nn.Module):
    """Feature map of an image; [B, in_channels, H, W] -> [B, out_channels, H / patch, W / patch].

    `embed`, `transform` and `neck` are the three steps of the forward pass, for whoever needs the tokens between them.

    Args:
        config: sizes. H and W are any multiples of the patch size: where the grid differs from the one that position
            embeddings were made for, they are interpolated.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.frozen = False
        grid, dim, out = config.grid_size, config.embed_dim, config.out_channels
        self.patch_embed = PatchEmbed(config.in_channels, dim, config.patch_size)
        self.pos_embed = nn.Parameter(torch.empty(1, grid, grid, dim))
        self.blocks = nn.ModuleList(Block(config, config.window_of(i)) for i in range(config.depth))
        self.neck = nn.Sequential(
            nn.Conv2d(dim, out, kernel_size=1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out),
        )
        self.apply(initialise)
        nn.init.trunc_normal_(self.pos_embed, std=0.02, a=-0.04, b=0.04)

    def freeze(self) -> None:
        """Keep the weights, and stay in evaluation mode whatever the network round it is put into."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> ImageEncoderViT:
        """Training mode, unless it is frozen."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, x_BCHW: Tensor, prompts_MND: Tensor | None = None) -> Tensor:
        """Features of images.

        Args:
            x_BCHW: images.
            prompts_MND: learned tokens that the tokens of each block look at besides each other.

        Raises:
            UsageError: H or W is no multiple of the patch size.
        """
        features: Tensor = self.neck(self.transform(self.embed(x_BCHW), prompts_MND).permute(0, 3, 1, 2))
        return features

    def embed(self, x_BCHW: Tensor) -> Tensor:
        """Tokens [B, h, w, D] of the patches with their positions added; UsageError as in `forward`."""
        patch, (height, width) = self.config.patch_size, x_BCHW.shape[-2:]
        if height % patch or width % patch:
            raise UsageError(
                f"An image of {height} x {width} px does not divide into patches of {patch} px.",
                "Resample or pad it to a multiple of the patch size.",
            )
        tokens: Tensor = self.patch_embed(x_BCHW)
        return tokens + resize_grid(self.pos_embed, (height // patch, width // patch))

    def transform(self, tokens_BhwD: Tensor, prompts_MND: Tensor | None = None) -> Tensor:
        """Tokens [B, h, w, D] after all blocks; prompts as in `forward`."""
        for i, block in enumerate(self.blocks):
            tokens_BhwD = block(tokens_BhwD) if prompts_MND is None else block(tokens_BhwD, prompts_MND[i])
        return tokens_BhwD
