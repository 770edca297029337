"""Cardiac-specific attention: every structure looks at the features through a prior of its own.

Source: CardioSAM, arXiv 2604.03313, section II-C, equations 5 to 9. Letters in names: B batch, D channels, h and w rows
and columns of features, L = h w tokens, n heads, c channels of a head, K structures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from cmrseg.models.cardiosam.config import CardioSAMConfig


class SelfAttention(nn.Module):
    """Scaled dot-product attention of all features over all others; [B, D, h, w] -> [B, heads * head_dim, h, w].

    Queries, keys and values are linear projections; the heads come out side by side, not mixed any further.

    Args:
        dim: channels in.
        heads: attention heads.
        head_dim: channels of each head.
    """

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(dim, 3 * heads * head_dim)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(head_dim)) V of every head."""
        h, w = x_BDhw.shape[-2:]
        tokens_BLD = x_BDhw.flatten(2).transpose(1, 2)
        projected: Tensor = self.qkv(tokens_BLD).reshape(-1, h * w, 3, self.heads, self.head_dim)
        q_BnLc, k_BnLc, v_BnLc = projected.permute(2, 0, 3, 1, 4).unbind(0)
        attended_BnLc = scaled_dot_product_attention(q_BnLc, k_BnLc, v_BnLc)
        # concatenated, not transposed and reshaped: the layout that attention returns is another one when exporting
        heads_BLD = torch.cat(attended_BnLc.unbind(1), dim=-1)
        return heads_BLD.transpose(1, 2).reshape(-1, self.heads * self.head_dim, h, w)


class StructureAttention(nn.Module):
    """Attention of one structure (equations 5 to 7); [B, D, h, w] -> [B, heads * head_dim, h, w].

    A depthwise convolution makes the prior, the prior conditions the features, these attend to themselves.

    Args:
        config: sizes.
    """

    def __init__(self, config: CardioSAMConfig) -> None:
        super().__init__()
        dim, kernel = config.encoder.out_channels, config.prior_kernel
        self.prior = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.gated = config.conditioning == "gate"
        self.attention = SelfAttention(dim, config.structure_heads, config.structure_head_dim)

    def forward(self, x_BDhw: Tensor) -> Tensor:
        """What the structure gathers from everywhere."""
        prior = self.prior(x_BDhw)
        conditioned = x_BDhw * prior.sigmoid() if self.gated else x_BDhw + prior
        out: Tensor = self.attention(conditioned)
        return out


class CardiacAttention(nn.Module):
    """Attention of each structure and of the whole, fused and added to what came in; [B, D, h, w] -> [B, D, h, w].

    Args:
        config: sizes.
    """

    def __init__(self, config: CardioSAMConfig) -> None:
        super().__init__()
        dim = config.encoder.out_channels
        structures = config.n_classes - 1
        self.structures = nn.ModuleList(StructureAttention(config) for _ in range(structures))
        self.whole = SelfAttention(dim, config.global_heads, dim // config.global_heads)
        # the output projection of ordinary multi-head attention
        self.whole_out = nn.Conv2d(dim, dim, kernel_size=1)
        joined = structures * config.structure_heads * config.structure_head_dim + dim
        self.fuse = nn.Sequential(
            nn.Conv2d(joined, config.fusion_width, kernel_size=1, bias=False),
            nn.BatchNorm2d(config.fusion_width),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.fusion_width, dim, kernel_size=3, padding=1),
        )

    def forward(self, x_BDhw: Tensor) -> Tensor:
        """Features with their residual update (equations 8 and 9)."""
        branches = [structure(x_BDhw) for structure in self.structures]
        branches.append(self.whole_out(self.whole(x_BDhw)))
        update: Tensor = self.fuse(torch.cat(branches, dim=1))
        return x_BDhw + update
