"""SAM with low-rank updates of its image encoder, and a mask decoder with one token for every class.

Sources: Hu et al., LoRA, ICLR 2022; Zhang and Liu, SAMed, arXiv 2304.13785. Letters in names: T updated projections,
R rank, D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from cmrseg.models.sam.image_encoder import Block
from cmrseg.models.sam_baselines.base import SamBaseline
from cmrseg.models.sam_baselines.config import LORA_TARGETS, SamLoraConfig

#: Parts of SAM's mask decoder that belong to its three proposals and not to classes.
CLASS_PARTS = ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")


class LoraQKV(nn.Linear):
    """Queries, keys and values [..., 3 D] of tokens [..., D] by frozen weights and low-rank updates.

    In evaluation mode the updates are added to the weights before use, so that an exported network computes one
    product, as without them. Before training the updates are zero.

    Args:
        base: the projection to update; its weights are copied and frozen.
        rank: R.
        alpha: updates are scaled by alpha / rank.
        targets: some of `LORA_TARGETS`.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, targets: tuple[str, ...]) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None)
        self.load_state_dict(base.state_dict())
        self.requires_grad_(False)
        self.scale = alpha / rank
        self.places = tuple(LORA_TARGETS.index(t) for t in targets)
        dim = base.in_features
        self.lora_down_TRD = nn.Parameter(torch.empty(len(targets), rank, dim))
        self.lora_up_TDR = nn.Parameter(torch.zeros(len(targets), dim, rank))
        # LoRA's own: uniform within one over the square root of the channels
        nn.init.uniform_(self.lora_down_TRD, -1 / math.sqrt(dim), 1 / math.sqrt(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Projected tokens."""
        if not self.training:
            return linear(x, self.merged_weight(), self.bias)
        parts = list(super().forward(x).chunk(3, dim=-1))
        for t, place in enumerate(self.places):
            update = linear(linear(x, self.lora_down_TRD[t]), self.lora_up_TDR[t])
            parts[place] = parts[place] + self.scale * update
        return torch.cat(parts, dim=-1)

    def merged_weight(self) -> Tensor:
        """The weights [3 D, D] with their updates: those of a plain projection that does the same."""
        parts = list(self.weight.chunk(3))
        for t, place in enumerate(self.places):
            parts[place] = parts[place] + self.scale * (self.lora_up_TDR[t] @ self.lora_down_TRD[t])
        return torch.cat(parts)


class SamLora(SamBaseline):
    """Frozen SAM encoder with low-rank updates that learn, and a mask decoder that learns; see `SamBaseline`.

    Args:
        config: sizes.
    """

    own_parts = CLASS_PARTS

    def __init__(self, config: SamLoraConfig) -> None:
        super().__init__(config, config.n_classes, freeze_encoder=False)
        self.encoder.requires_grad_(False)
        for block in self.encoder.blocks:
            if isinstance(block, Block):
                block.attn.qkv = LoraQKV(block.attn.qkv, config.rank, config.alpha, config.targets)
