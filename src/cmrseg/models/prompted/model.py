"""Image encoder, prompt encoder and mask decoder of Segment Anything, and a few convolutions for detail.

The mask decoder draws at half the resolution of the window, too coarse for muscle of 8 mm and thinner scar; three
convolutions over its mask and the pixels correct it at full resolution. A box and clicks of one prompt mean one mask.

Source: Kirillov et al., Segment Anything, ICCV 2023. Letters in names: B images, P prompts (a multiple of B, those of
one image next to each other), N clicks, D channels, h and w rows and columns of patches.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from cmrseg.models.prompted.config import PromptedConfig
from cmrseg.models.sam.checkpoints import load_image_encoder
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.mask_decoder import MaskDecoder
from cmrseg.models.sam.prompt_encoder import PromptEncoder, PromptTokens

#: Logits that the convolutions see lie within this, so that a sure mask does not drown the pixels.
_SEEN_LOGITS = 8.0


class PromptTensors(NamedTuple):
    """Prompts in pixels of the window, where pixel 0 reaches from 0 to 1."""

    places_PN2: Tensor
    """Clicks, x and y."""
    labels_PN: Tensor
    """1 inside, 0 outside, -1 no click."""
    boxes_P4: Tensor
    """x0, y0, x1, y1; anything where there is no box."""
    has_box_P: Tensor
    """1 where there is a box, else 0."""


class Drawn(NamedTuple):
    """What was drawn for each prompt."""

    logits_PHW: Tensor
    """Logits of the mask."""
    overlap_P: Tensor
    """Predicted overlap (intersection over union) of the mask with what was meant; not confined to 0..1."""


class PromptedSam(nn.Module):
    """Normalised slices and prompts -> masks.

    Args:
        config: sizes. Weights are random until `load_encoder` or `load_state_dict`.
    """

    def __init__(self, config: PromptedConfig) -> None:
        super().__init__()
        self.config = config
        parts, width = config.sam, config.detail_channels
        self.encoder = ImageEncoderViT(parts.image_encoder)
        self.prompt_encoder = PromptEncoder(parts.prompt_encoder)
        # nobody gives a rough mask: what was drawn follows from boxes and clicks alone
        self.prompt_encoder.mask_downscaling.requires_grad_(False)
        self.mask_decoder = MaskDecoder(parts.mask_decoder)
        last = nn.Conv2d(width, 1, kernel_size=3, padding=1)
        nn.init.zeros_(last.weight)
        first = [nn.Conv2d(channels, width, kernel_size=3, padding=1) for channels in (2, width)]
        self.detail = nn.ModuleList([*first, last])

    def forward(self, images_B1HW: Tensor, prompts: PromptTensors) -> Drawn:
        """Masks of prompts; see `decode`."""
        return self.decode(self.encode(images_B1HW), images_B1HW, prompts)

    def encode(self, images_B1HW: Tensor) -> Tensor:
        """Features [B, D, h, w] of slices; H and W are multiples of the patch size."""
        features: Tensor = self.encoder(images_B1HW.expand(-1, 3, -1, -1))
        return features

    def decode(self, features_BDhw: Tensor, images_B1HW: Tensor, prompts: PromptTensors) -> Drawn:
        """Masks [P, H, W] from features, so that several prompts encode an image once."""
        size_hw = (images_B1HW.shape[-2], images_B1HW.shape[-1])
        tokens_PND = self.tokens(prompts, size_hw)
        dense = self.prompt_encoder.embed_no_mask(size_hw).expand(tokens_PND.shape[0], -1, -1, -1)
        positions = self.prompt_encoder.grid_positions(size_hw)
        masks = self.mask_decoder(features_BDhw, positions, PromptTokens(tokens_PND, dense), multimask=False)
        coarse = interpolate(masks.logits_PMHW, size=size_hw, mode="bilinear", align_corners=False)
        return Drawn(self._detailed(coarse, images_B1HW)[:, 0], masks.iou_PM[:, 0])

    def tokens(self, prompts: PromptTensors, size_hw: tuple[int, int]) -> Tensor:
        """Tokens [P, N + 2, D]: clicks, then the corners of the box; what is not there is a token that says so."""
        # prompts of SAM name centres of pixels
        clicks = self.prompt_encoder.embed_points(prompts.places_PN2 - 0.5, prompts.labels_PN, size_hw, pad=False)
        corners = self.prompt_encoder.embed_boxes(prompts.boxes_P4 - 0.5, size_hw)
        absent = self.prompt_encoder.not_a_point_embed.weight
        corners = torch.where(prompts.has_box_P[:, None, None] > 0, corners, absent)
        return torch.cat([clicks, corners], dim=1)

    def _detailed(self, coarse_P1HW: Tensor, images_B1HW: Tensor) -> Tensor:
        each = coarse_P1HW.shape[0] // images_B1HW.shape[0]
        pixels = images_B1HW.repeat_interleave(each, dim=0) if each > 1 else images_B1HW
        x = torch.cat([coarse_P1HW.clamp(-_SEEN_LOGITS, _SEEN_LOGITS) / _SEEN_LOGITS, pixels], dim=1)
        for convolution in self.detail[:-1]:
            x = gelu(convolution(x))
        corrected: Tensor = coarse_P1HW + self.detail[-1](x)
        return corrected

    def load_encoder(self, path: Path) -> None:
        """Take the encoder's weights from a SAM checkpoint or an encoder bundle; BundleError when it does not fit."""
        load_image_encoder(self.encoder, path)
