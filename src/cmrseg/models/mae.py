"""Masked auto-encoding of SAM's image encoder: most patches are hidden, and what they held is predicted.

After He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022 (arXiv 2111.06377): three quarters of the
patches are masked at random, a light decoder predicts the pixels of each masked patch, normalised by the patch's own
mean and deviation, and the loss counts masked patches only. Two ways to mask:

- ``drop``, as in He et al.: the encoder computes visible patches only, which costs a quarter. SAM's relative positions
  are kept, looked up for the patches that stayed. Needs global attention in every block.
- ``token``, as in SimMIM (Xie et al., CVPR 2022, arXiv 2111.09886): masked patches enter as a learned token.

Differences from He et al.: the neck of SAM's encoder (two convolutions) belongs to what is pre-trained, so the grid is
filled up with the mask token before the neck rather than after it; the floor under a patch's variance is higher.

Letters: B images, N patches of the grid, K visible patches, C channels, H and W pixels, P pixels of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import ImageEncoderConfig
from cmrseg.models.sam.image_encoder import Block, ImageEncoderViT

MASKINGS = ("drop", "token")


@dataclass(frozen=True)
class MaeConfig:
    """How patches are masked and predicted."""

    mask_ratio: float = 0.75
    """Share of the patches that is hidden, above 0 and below 1."""
    masking: str = "drop"
    """``drop``: the encoder sees visible patches only; ``token``: masked patches enter as a learned token."""
    decoder_dim: int = 128
    """Channels of the decoder, a multiple of 4 and of `decoder_heads`."""
    decoder_depth: int = 2
    """Transformer blocks of the decoder."""
    decoder_heads: int = 4
    """Attention heads of the decoder."""
    variance_floor: float = 0.01
    """Added to a patch's variance before dividing by its root; slices have variance 1. He et al. use 1e-6, which makes
    the noise of air as important as the heart."""

    def __post_init__(self) -> None:
        if not 0.0 < self.mask_ratio < 1.0:
            raise UsageError(f"A mask ratio of {self.mask_ratio} hides nothing or all.", "Give one between 0 and 1.")
        if self.masking not in MASKINGS:
            raise UsageError(f"There is no masking {self.masking!r}.", f"One of {', '.join(MASKINGS)}.")
        if self.decoder_dim % self.decoder_heads:
            raise UsageError(
                f"{self.decoder_dim} channels do not divide among {self.decoder_heads} heads.",
                "Give a decoder_dim that is a multiple of decoder_heads.",
            )


def random_mask(batch: int, patches: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Which patches are hidden, bool[batch, patches]: exactly round(ratio * patches) in every image.

    Raises:
        UsageError: so few patches that none would be hidden or none shown.
    """
    hidden = round(ratio * patches)
    if not 0 < hidden < patches:
        raise UsageError(f"{ratio} of {patches} patches leaves none to hide or to show.", "Use smaller patches.")
    ranks = torch.rand(batch, patches, generator=generator).argsort(dim=1).argsort(dim=1)
    return ranks < hidden


def patches_of(images_B1HW: Tensor, patch_size: int) -> Tensor:
    """Pixels of each patch, [B, 1, H, W] -> [B, N, P], patches and pixels in reading order."""
    pixels: Tensor = nn.functional.unfold(images_B1HW, kernel_size=patch_size, stride=patch_size).transpose(1, 2)
    return pixels


def masked_loss(predicted_BNP: Tensor, images_B1HW: Tensor, mask_BN: Tensor, config: MaeConfig) -> Tensor:
    """Mean squared error over masked patches, against pixels normalised patch by patch.

    Args:
        predicted_BNP: what the network says of every patch; visible ones do not count.
        images_B1HW: the images the network was shown.
        mask_BN: True where a patch was hidden.
        config: holds the floor under the variance.
    """
    patch_size = round(predicted_BNP.shape[-1] ** 0.5)
    target = patches_of(images_B1HW, patch_size)
    mean = target.mean(dim=-1, keepdim=True)
    variance = target.var(dim=-1, keepdim=True)
    target = (target - mean) / (variance + config.variance_floor).sqrt()
    error_BN = (predicted_BNP - target).square().mean(dim=-1)
    return error_BN[mask_BN].mean()


class MaskedAutoEncoder(nn.Module):
    """SAM's image encoder with a decoder that exists for pre-training alone.

    Args:
        encoder_config: the encoder; images must have its `image_size`.
        config: masking and decoder.

    Raises:
        UsageError: visible patches alone cannot be computed in an encoder with windows.
    """

    def __init__(self, encoder_config: ImageEncoderConfig, config: MaeConfig) -> None:
        super().__init__()
        self.encoder_config, self.config = encoder_config, config
        self.side = encoder_config.grid_size
        if config.masking == "drop" and not _is_global(encoder_config):
            raise UsageError("Patches cannot be dropped from attention windows.", "Set mae.masking=token.")
        self.encoder = ImageEncoderViT(encoder_config)
        width, dim = encoder_config.embed_dim, config.decoder_dim
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.decoder_in = nn.Linear(encoder_config.out_channels, dim)
        self.decoder = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    dim, config.decoder_heads, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(config.decoder_depth)
            )
        )
        self.decoder_out = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, encoder_config.patch_size**2))
        self.register_buffer("decoder_positions", sine_positions(self.side, dim), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Positions start as sines, and may be learned from there; the decoder's linear layers as in He et al."""
        for module in (self.decoder_in, *self.decoder.modules(), *self.decoder_out):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.mask_token, std=0.02)
        with torch.no_grad():
            positions = sine_positions(self.side, self.encoder_config.embed_dim)
            self.encoder.pos_embed.copy_(positions.reshape(self.encoder.pos_embed.shape))

    def forward(self, images_B1HW: Tensor, mask_BN: Tensor) -> Tensor:
        """Pixels predicted for every patch, [B, N, P].

        Args:
            images_B1HW: normalised slices, H and W equal to the encoder's `image_size`.
            mask_BN: bool, the same number of hidden patches in every image.
        """
        images = images_B1HW.expand(-1, self.encoder_config.in_channels, -1, -1)
        tokens_BhwC = self.encoder.embed(images)
        encode = self._encode_visible if self.config.masking == "drop" else self._encode_with_tokens
        grid_BChw = self.encoder.neck(encode(tokens_BhwC, mask_BN).permute(0, 3, 1, 2))
        hidden = self.decoder_in(grid_BChw.flatten(2).transpose(1, 2)) + self.decoder_positions
        predicted: Tensor = self.decoder_out(self.decoder(hidden))
        return predicted

    def _encode_with_tokens(self, tokens_BhwC: Tensor, mask_BN: Tensor) -> Tensor:
        hidden_BhwC = (self.mask_token + self.encoder.pos_embed).to(tokens_BhwC.dtype)
        mask_Bhw1 = mask_BN.reshape(-1, self.side, self.side, 1)
        return self.encoder.transform(torch.where(mask_Bhw1, hidden_BhwC, tokens_BhwC))

    def _encode_visible(self, tokens_BhwC: Tensor, mask_BN: Tensor) -> Tensor:
        tokens_BNC = tokens_BhwC.flatten(1, 2)
        batch, patches, width = tokens_BNC.shape
        shown_BK = (~mask_BN).nonzero()[:, 1].reshape(batch, -1)
        take = shown_BK[..., None].expand(-1, -1, width)
        tokens_BKC = tokens_BNC.gather(1, take)
        for block in self.encoder.blocks:
            tokens_BKC = self._block(cast(Block, block), tokens_BKC, shown_BK)
        filled = self.mask_token.to(tokens_BKC.dtype).expand(batch, patches, width)
        return filled.scatter(1, take, tokens_BKC).reshape(batch, self.side, self.side, width)

    def _block(self, block: Block, tokens_BKC: Tensor, shown_BK: Tensor) -> Tensor:
        """One block of the encoder on visible patches: what it computes on the whole grid when none is hidden."""
        attention = block.attn
        heads = self.encoder_config.num_heads
        q, k, v = attention.qkv(block.norm1(tokens_BKC)).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if self.encoder_config.use_rel_pos:
            rows, columns = shown_BK // self.side, shown_BK % self.side
            logits = logits + self._relative(q, attention.rel_pos_h, rows)
            logits = logits + self._relative(q, attention.rel_pos_w, columns)
        mixed = (logits.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        tokens_BKC = tokens_BKC + attention.proj(mixed)
        summed: Tensor = tokens_BKC + block.mlp(block.norm2(tokens_BKC))
        return summed

    def _relative(self, q_BhKd: Tensor, table_Rd: Tensor, places_BK: Tensor) -> Tensor:
        """Bias [B, heads, K, K] of relative places along one axis: q_i . table[place_i - place_j + side - 1]."""
        every = q_BhKd @ table_Rd.to(q_BhKd.dtype).T
        offsets = places_BK[:, :, None] - places_BK[:, None, :] + self.side - 1
        return every.gather(-1, offsets[:, None].expand(-1, q_BhKd.shape[1], -1, -1))


def sine_positions(side: int, dim: int) -> Tensor:
    """Sines and cosines of row and column of a square grid, [side * side, dim].

    Raises:
        UsageError: `dim` is no multiple of 4.
    """
    if dim % 4:
        raise UsageError(f"Positions cannot be written as sines in {dim} channels.", "Give a multiple of 4.")
    frequencies = 10000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    angles = torch.arange(side)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, dim)


def _is_global(config: ImageEncoderConfig) -> bool:
    return all(config.window_of(block) == 0 for block in range(config.depth))
