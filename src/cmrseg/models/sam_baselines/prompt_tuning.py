"""SAM with a frozen image encoder, learned prompts, and a mask decoder with one token for every class.

Sources: Kirillov et al., Segment Anything, ICCV 2023 (prompts of the mask decoder); Jia et al., Visual prompt tuning,
ECCV 2022 (prompts of the encoder's blocks). Letters in names: B batch, S slices, M blocks, N tokens, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmrseg.models.sam_baselines.base import SamBaseline
from cmrseg.models.sam_baselines.config import SamPromptTuningConfig
from cmrseg.models.sam_baselines.lora import CLASS_PARTS


class SamPromptTuning(SamBaseline):
    """Learned tokens in the place of points and boxes, the same for every image; see `SamBaseline`.

    With deep prompts the encoder's weights stay frozen, but its features change while the prompts learn, and cannot be
    kept.

    Args:
        config: sizes.
    """

    own_parts = CLASS_PARTS

    def __init__(self, config: SamPromptTuningConfig) -> None:
        super().__init__(config, config.n_classes, freeze_encoder=True)
        self.prompts_ND = nn.Parameter(torch.randn(config.prompt_tokens, config.encoder.out_channels))
        self.block_prompts_MND: nn.Parameter | None = None
        if config.prompt_depth == "deep":
            self.block_prompts_MND = nn.Parameter(
                0.02 * torch.randn(config.encoder.depth, config.prompt_tokens, config.encoder.embed_dim)
            )
            self.encoder_frozen = False

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features of the encoder, whose tokens see the deep prompts; as in `SamBaseline`."""
        features: Tensor = self.encoder(self.encoder_input(x_BSHW), self.block_prompts_MND)
        return features

    def prompt_tokens(self) -> Tensor:
        """The learned tokens [N, D]."""
        return self.prompts_ND
