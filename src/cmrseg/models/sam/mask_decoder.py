"""Mask decoder of Segment Anything: from features and prompts to masks and how good each one is.

Source: Kirillov et al., Segment Anything, ICCV 2023, appendix A. Letters in names: B images, P prompts, a multiple
of B, M masks, N prompt tokens, D channels, h and w rows and columns of the feature map.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import MaskDecoderConfig
from cmrseg.models.sam.layers import LayerNorm2d
from cmrseg.models.sam.prompt_encoder import PromptTokens
from cmrseg.models.sam.transformer import TwoWayTransformer


class Masks(NamedTuple):
    """What the mask decoder draws for each prompt."""

    logits_PMHW: Tensor
    """Logits of M masks, four times as fine as the feature map."""
    iou_PM: Tensor
    """Predicted overlap (intersection over union) of each mask with what was meant; not confined to 0..1."""


class MLP(nn.Module):
    """Perceptron of `depth` layers with ReLU between them; [..., dim_in] -> [..., dim_out]."""

    def __init__(self, dim_in: int, dim_hidden: int, dim_out: int, depth: int) -> None:
        super().__init__()
        widths = [dim_in] + [dim_hidden] * (depth - 1) + [dim_out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """The last layer has no activation."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        out: Tensor = self.layers[-1](x)
        return out


class MaskDecoder(nn.Module):
    """Masks of prompts: one for a clear prompt, and `num_multimask_outputs` more for an ambiguous one.

    Args:
        config: sizes.
    """

    def __init__(self, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.config = config
        dim, self.num_mask_tokens = config.embed_dim, config.num_multimask_outputs + 1
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, dim // 8, 3) for _ in range(self.num_mask_tokens))
        self.iou_prediction_head = MLP(dim, config.iou_head_hidden_dim, self.num_mask_tokens, config.iou_head_depth)

    def forward(
        self, features_BDhw: Tensor, positions_1Dhw: Tensor, prompts: PromptTokens, *, multimask: bool
    ) -> Masks:
        """Masks of prompts.

        Args:
            features_BDhw: what the image encoder made of the images.
            positions_1Dhw: `PromptEncoder.grid_positions`.
            prompts: tokens of P prompts; those of one image stand next to each other, P / B for every image.
            multimask: give the masks for an ambiguous prompt rather than the one for a clear prompt.

        Raises:
            UsageError: the prompts cannot be divided evenly among the images.
        """
        every = self.every_mask(features_BDhw, positions_1Dhw, prompts)
        chosen = slice(1, None) if multimask else slice(0, 1)
        return Masks(every.logits_PMHW[:, chosen], every.iou_PM[:, chosen])

    def every_mask(self, features_BDhw: Tensor, positions_1Dhw: Tensor, prompts: PromptTokens) -> Masks:
        """All masks: first the one for a clear prompt, then those for an ambiguous one; see `forward`."""
        sparse, dense = prompts
        count, images = sparse.shape[0], features_BDhw.shape[0]
        if count % images:
            raise UsageError(
                f"{count} prompts cannot be divided among {images} images.", "Give as many for each image."
            )
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(count, -1, -1), sparse], dim=1)
        features = features_BDhw.repeat_interleave(count // images, dim=0) if count != images else features_BDhw
        features = features + dense
        tokens, seen = self.transformer(features, positions_1Dhw, tokens)
        upscaled = self.output_upscaling(seen.transpose(1, 2).reshape(features.shape))
        weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        logits = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])
        return Masks(logits, self.iou_prediction_head(tokens[:, 0]))
