"""Two-way transformer of Segment Anything: tokens look at the image, and the image looks at the tokens.

Source: Kirillov et al., Segment Anything, ICCV 2023, appendix A. Letters in names: B prompts, N tokens, L places of the
feature map, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from cmrseg.models.sam.config import MaskDecoderConfig
from cmrseg.models.sam.layers import MlpBlock


class Attention(nn.Module):
    """Multi-head attention whose inner width may be narrower than its input.

    Args:
        dim: channels in and out.
        num_heads: heads.
        downsample_rate: `dim` over the inner width.
    """

    def __init__(self, dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries [B, N, D] look at keys and take values [B, M, D]; [B, N, D]."""
        attended = scaled_dot_product_attention(
            self._split(self.q_proj(q)), self._split(self.k_proj(k)), self._split(self.v_proj(v))
        )
        # concatenated, not transposed and reshaped: the layout that attention returns is another one when exporting
        out: Tensor = self.out_proj(torch.cat(attended.unbind(1), dim=-1))
        return out

    def _split(self, x_BND: Tensor) -> Tensor:
        """Channels divided among heads; [B, heads, N, D / heads]."""
        return x_BND.reshape(*x_BND.shape[:2], self.num_heads, -1).transpose(1, 2)


class TwoWayAttentionBlock(nn.Module):
    """Attention among tokens, from tokens to image, perceptron on tokens, attention from image to tokens.

    Args:
        config: sizes.
        skip_first_layer_pe: first layer, where tokens are still what they were made as: attention among them gets no
            positions and replaces them.
    """

    def __init__(self, config: MaskDecoderConfig, skip_first_layer_pe: bool) -> None:
        super().__init__()
        dim, heads, rate = config.embed_dim, config.num_heads, config.attention_downsample_rate
        self.self_attn = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, rate)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MlpBlock(dim, config.mlp_dim, nn.ReLU)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, rate)
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, D] and image [B, L, D], both changed by each other; `_pe` say where each of them is."""
        if self.skip_first_layer_pe:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            placed = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        keys = image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pe, keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(keys, tokens + token_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Layers of attention both ways between tokens and image, and a last look of the tokens at the image.

    Args:
        config: sizes.
    """

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(config, skip_first_layer_pe=i == 0) for i in range(config.depth)
        )
        self.final_attn_token_to_image = Attention(config.embed_dim, config.num_heads, config.attention_downsample_rate)
        self.norm_final_attn = nn.LayerNorm(config.embed_dim)

    def forward(self, image_BDhw: Tensor, image_pe_1Dhw: Tensor, tokens_BND: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, D] and image [B, h w, D] after all layers; the tokens given are their own positions."""
        image = image_BDhw.flatten(2).transpose(1, 2)
        image_pe = image_pe_1Dhw.flatten(2).transpose(1, 2)
        tokens = tokens_BND
        for layer in self.layers:
            tokens, image = layer(tokens, image, tokens_BND, image_pe)
        looked = self.final_attn_token_to_image(tokens + tokens_BND, image + image_pe, image)
        return self.norm_final_attn(tokens + looked), image
