"""Prompt encoder of Segment Anything: points, boxes and rough masks as tokens.

Sources: Kirillov et al., Segment Anything, ICCV 2023, appendix A; Tancik et al., Fourier features let networks learn
high frequency functions in low dimensional domains, NeurIPS 2020. Letters in names: P prompts, N points of a prompt,
D channels, h and w rows and columns of the feature map.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import PromptEncoderConfig
from cmrseg.models.sam.layers import LayerNorm2d

#: Labels of points.
NOT_A_POINT, BACKGROUND, FOREGROUND = -1, 0, 1


class PromptTokens(NamedTuple):
    """Prompts as the mask decoder takes them."""

    sparse_PND: Tensor
    """Tokens of points and box corners; N may be 0."""
    dense_PDhw: Tensor
    """Embedding of a rough mask, or of its absence, that is added to the feature map."""


class PositionEmbeddingRandom(nn.Module):
    """Sines and cosines of random projections of a place; the projections are fixed.

    Args:
        num_pos_feats: projections, half the channels of an embedding.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def forward(self, size_hw: tuple[int, int]) -> Tensor:
        """Embeddings [D, h, w] of the centres of the cells of a grid."""
        h, w = size_hw
        matrix = self.positional_encoding_gaussian_matrix
        y = (torch.arange(h, device=matrix.device) + 0.5) / h
        x = (torch.arange(w, device=matrix.device) + 0.5) / w
        places = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1)
        return self.of(places).permute(2, 0, 1)

    def of(self, places_xy: Tensor) -> Tensor:
        """Embeddings [..., D] of places [..., 2]: x and y as fractions 0..1 of the image."""
        matrix = self.positional_encoding_gaussian_matrix
        places = 2 * places_xy.to(matrix.dtype) - 1
        # no matrix product: mixed precision would round the angles
        angles = 2 * math.pi * (places[..., :1] * matrix[0] + places[..., 1:] * matrix[1])
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Tokens of prompts for images of any size.

    Coordinates are x (column) and y (row) in pixels of the image; pixel 0 lies from 0 to 1, its centre at 0.5, which is
    added to what is given. Every prompt stands for one mask to be drawn.

    Args:
        config: sizes.
    """

    def __init__(self, config: PromptEncoderConfig) -> None:
        super().__init__()
        self.config = config
        dim, channels = config.embed_dim, config.mask_channels
        self.pe_layer = PositionEmbeddingRandom(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.Conv2d(channels // 4, channels, kernel_size=2, stride=2),
            LayerNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    def forward(
        self,
        image_hw: tuple[int, int],
        points: tuple[Tensor, Tensor] | None = None,
        boxes_P4: Tensor | None = None,
        masks_P1HW: Tensor | None = None,
    ) -> PromptTokens:
        """Tokens of prompts.

        Args:
            image_hw: rows and columns [px] of the image that the coordinates belong to, multiples of the patch size.
            points: places [P, N, 2] (x, y) [px] and labels [P, N]: 1 inside, 0 outside, -1 no point (fills up rows).
            boxes_P4: x0, y0, x1, y1 [px] of one box per prompt.
            masks_P1HW: logits of rough masks, four times as fine as the feature map.

        Returns:
            Tokens; without any prompt those of one empty prompt (P 1, N 0).

        Raises:
            UsageError: kinds of prompt of different number, or a mask or image of a size that does not fit.
        """
        given = [p for p in (points[0] if points else None, boxes_P4, masks_P1HW) if p is not None]
        counts = {len(p) for p in given} or {1}
        if len(counts) > 1:
            raise UsageError(
                f"Points, boxes and masks give {sorted(counts)} prompts.", "Give the same number of each kind."
            )
        sparse = [self.no_mask_embed.weight.new_zeros(counts.pop(), 0, self.config.embed_dim)]
        if points is not None:
            sparse.append(self.embed_points(*points, image_hw, pad=boxes_P4 is None))
        if boxes_P4 is not None:
            sparse.append(self.embed_boxes(boxes_P4, image_hw))
        tokens = torch.cat(sparse, dim=1)
        dense = self.embed_no_mask(image_hw) if masks_P1HW is None else self.embed_masks(masks_P1HW, image_hw)
        return PromptTokens(tokens, dense.expand(len(tokens), -1, -1, -1))

    def grid_positions(self, image_hw: tuple[int, int]) -> Tensor:
        """Position embeddings [1, D, h, w] of the feature map of an image."""
        positions: Tensor = self.pe_layer(self._grid(image_hw))
        return positions[None]

    def embed_points(self, places_PN2: Tensor, labels_PN: Tensor, image_hw: tuple[int, int], *, pad: bool) -> Tensor:
        """Tokens [P, N, D] of points, and with `pad` one more that is no point, as SAM was trained without a box."""
        if pad:
            places_PN2 = torch.cat([places_PN2, places_PN2.new_zeros(len(places_PN2), 1, 2)], dim=1)
            labels_PN = torch.cat([labels_PN, labels_PN.new_full((len(labels_PN), 1), NOT_A_POINT)], dim=1)
        labels = labels_PN[..., None]
        background, foreground, _, _ = self._kinds()
        kinds = torch.where(labels == FOREGROUND, foreground, background)
        return torch.where(
            labels == NOT_A_POINT, self.not_a_point_embed.weight, self._positions(places_PN2, image_hw) + kinds
        )

    def embed_boxes(self, boxes_P4: Tensor, image_hw: tuple[int, int]) -> Tensor:
        """Tokens [P, 2, D] of the upper left and the lower right corner of boxes."""
        return self._positions(boxes_P4.reshape(-1, 2, 2), image_hw) + self._kinds()[2:]

    def embed_masks(self, masks_P1HW: Tensor, image_hw: tuple[int, int]) -> Tensor:
        """Embedding [P, D, h, w] of rough masks, four times as fine as the feature map."""
        h, w = self._grid(image_hw)
        if tuple(masks_P1HW.shape[1:]) != (1, 4 * h, 4 * w):
            raise UsageError(
                f"Mask prompts of shape {tuple(masks_P1HW.shape)} do not fit the image.",
                f"Give [prompts, 1, {4 * h}, {4 * w}].",
            )
        embedded: Tensor = self.mask_downscaling(masks_P1HW)
        return embedded

    def embed_no_mask(self, image_hw: tuple[int, int]) -> Tensor:
        """Embedding [1, D, h, w] that stands for the absence of a rough mask."""
        return self.no_mask_embed.weight[..., None, None].expand(-1, -1, *self._grid(image_hw))

    def _kinds(self) -> Tensor:
        """What each kind of point adds to its position, [4, D]: background, foreground, upper left, lower right."""
        return torch.cat(list(self.point_embeddings.parameters()))

    def _positions(self, places_xy: Tensor, image_hw: tuple[int, int]) -> Tensor:
        height, width = image_hw
        return self.pe_layer.of((places_xy + 0.5) / places_xy.new_tensor([width, height]))

    def _grid(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        patch, (height, width) = self.config.patch_size, image_hw
        if height % patch or width % patch:
            raise UsageError(
                f"An image of {height} x {width} px does not divide into patches of {patch} px.",
                "Resample or pad it to a multiple of the patch size.",
            )
        return height // patch, width // patch
