"""MedSAM tuned whole, prompted with boxes that a head of its own predicts: nothing of the truth is needed to use it.

Sources: Ma et al., Segment anything in medical images, Nature Communications 2024; the head that finds boxes is ours.
Letters in names: B batch, K boxes, one of each structure, H and W rows and columns, D and h and w those of the
encoder's features, L = h w places.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmrseg.models.cardiosam.decoder import resize
from cmrseg.models.outputs import Outputs
from cmrseg.models.sam.layers import LayerNorm2d
from cmrseg.models.sam.prompt_encoder import PromptTokens
from cmrseg.models.sam_baselines.base import SamBaseline
from cmrseg.models.sam_baselines.config import MedSamConfig

#: Mask tokens of a published decoder; the first one, for clear prompts, is used.
SAM_MASKS = 4


class BoxHead(nn.Module):
    """One box (x0, y0, x1, y1), in 0..1 of the image, of each structure; [B, D, h, w] -> [B, K, 4].

    A map of attention per structure gives its place, and the features there how far towards each border of the image
    the box reaches.

    Args:
        dim: D.
        width: channels inside.
        boxes: K.
    """

    def __init__(self, dim: int, width: int, boxes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, width, kernel_size=3, padding=1),
            LayerNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            LayerNorm2d(width),
            nn.GELU(),
        )
        self.attention = nn.Conv2d(width, boxes, kernel_size=1, bias=False)
        self.reach = nn.Conv2d(width, 4 * boxes, kernel_size=1)

    def forward(self, features_BDhw: Tensor) -> Tensor:
        """The boxes, float32; x0 <= x1 and y0 <= y1."""
        x = self.body(features_BDhw)
        h, w = x.shape[-2:]
        attention_BKL = self.attention(x).float().flatten(2).softmax(-1)
        rows = (torch.arange(h, device=x.device) + 0.5) / h
        columns = (torch.arange(w, device=x.device) + 0.5) / w
        places_L2 = torch.stack([columns.repeat(h), rows.repeat_interleave(w)], dim=-1)
        centre_BK2 = (attention_BKL[..., None] * places_L2).sum(2)
        reach_BK4L = self.reach(x).float().flatten(2).unflatten(1, (-1, 4))
        reach_BK4 = (attention_BKL[:, :, None] * reach_BK4L).sum(-1).sigmoid()
        low = centre_BK2 * (1 - reach_BK4[..., :2])
        high = centre_BK2 + (1 - centre_BK2) * reach_BK4[..., 2:]
        return torch.cat([low, high], dim=-1)


class MedSam(SamBaseline):
    """Every part learns; in training mode the result is Outputs with the boxes. See `SamBaseline`.

    Each structure's box prompts one mask, whose logits stand against background at 0. Training prompts with the
    predicted boxes too, each edge moved at random; the truth reaches the boxes through their loss alone.

    Args:
        config: sizes.
    """

    config: MedSamConfig

    def __init__(self, config: MedSamConfig) -> None:
        super().__init__(config, SAM_MASKS, freeze_encoder=False)
        self.box_head = BoxHead(config.encoder.out_channels, config.box_width, config.n_classes - 1)
        self.prompt_encoder.point_embeddings[2:].requires_grad_(True)
        self.mask_decoder.output_hypernetworks_mlps[1:].requires_grad_(False)

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor | Outputs:
        """Logits of the image's size from features of `encode`; with the boxes, as Outputs, in training mode."""
        boxes_BK4 = self.box_head(features_BDhw)
        if not self.training:
            return self.draw(features_BDhw, boxes_BK4, size_hw)
        moved = boxes_BK4 + self.config.box_jitter * (2 * torch.rand_like(boxes_BK4) - 1)
        return Outputs(self.draw(features_BDhw, moved.clamp(0, 1), size_hw), boxes_BK4=boxes_BK4)

    def draw(self, features_BDhw: Tensor, boxes_BK4: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Logits [B, K + 1, H, W] of what lies in given boxes (x0, y0, x1, y1), in 0..1 of the image."""
        height, width = image_hw = self.encoded_size(features_BDhw)
        # prompts name centres of pixels, half a pixel before their far edges
        edges_P4 = boxes_BK4.flatten(0, 1) * boxes_BK4.new_tensor([width, height, width, height]) - 0.5
        tokens_P2D = self.prompt_encoder.embed_boxes(edges_P4, image_hw)
        dense = self.prompt_encoder.embed_no_mask(image_hw).expand(tokens_P2D.shape[0], -1, -1, -1)
        masks = self.mask_decoder(
            features_BDhw,
            self.prompt_encoder.grid_positions(image_hw),
            PromptTokens(tokens_P2D, dense),
            multimask=False,
        )
        logits_BKHW = resize(masks.logits_PMHW, size_hw).reshape(*boxes_BK4.shape[:2], *size_hw)
        return torch.cat([torch.zeros_like(logits_BKHW[:, :1]), logits_BKHW], dim=1)
