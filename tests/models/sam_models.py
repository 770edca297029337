"""Small models with random weights, and the same ones of an independent implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cmrseg.models.sam.config import ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig, SamConfig

#: A grid of 6 x 6 patches with windows of 4 (so that windows are padded), one block of two seeing everything.
WINDOWED = ImageEncoderConfig(
    image_size=96,
    embed_dim=32,
    depth=2,
    num_heads=2,
    out_channels=32,
    window_size=4,
    global_attention_indexes=(1,),
)
#: Every block sees everything.
GLOBAL = ImageEncoderConfig(
    image_size=64,
    embed_dim=48,
    depth=2,
    num_heads=3,
    out_channels=32,
    window_size=0,
    global_attention_indexes=(),
)
PLAIN = ImageEncoderConfig(
    image_size=64,
    embed_dim=32,
    depth=1,
    num_heads=2,
    out_channels=32,
    use_rel_pos=False,
    window_size=0,
    global_attention_indexes=(),
)
PROMPTS = PromptEncoderConfig(embed_dim=32)
DECODER = MaskDecoderConfig(embed_dim=32, num_heads=4, mlp_dim=64, iou_head_hidden_dim=48)


def sam_config(encoder: ImageEncoderConfig) -> SamConfig:
    """A whole model round an encoder of 32 output channels."""
    return SamConfig(encoder, PROMPTS, DECODER)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Every parameter and buffer random and of a size that matters, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)


def independent_sam(config: SamConfig) -> Any:
    """SamModel of the transformers library, of the same sizes, with random weights, in evaluation mode."""
    transformers = pytest.importorskip("transformers")
    encoder, decoder = config.image_encoder, config.mask_decoder
    model = transformers.SamModel(
        transformers.SamConfig(
            vision_config={
                "hidden_size": encoder.embed_dim,
                "num_hidden_layers": encoder.depth,
                "num_attention_heads": encoder.num_heads,
                "image_size": encoder.image_size,
                "patch_size": encoder.patch_size,
                "output_channels": encoder.out_channels,
                "window_size": encoder.window_size,
                "use_rel_pos": encoder.use_rel_pos,
                "global_attn_indexes": list(encoder.global_attention_indexes),
                "num_pos_feats": encoder.out_channels // 2,
            },
            prompt_encoder_config={
                "hidden_size": config.prompt_encoder.embed_dim,
                "image_size": encoder.image_size,
                "patch_size": encoder.patch_size,
                "mask_input_channels": config.prompt_encoder.mask_channels,
            },
            mask_decoder_config={
                "hidden_size": decoder.embed_dim,
                "mlp_dim": decoder.mlp_dim,
                "num_hidden_layers": decoder.depth,
                "num_attention_heads": decoder.num_heads,
                "iou_head_hidden_dim": decoder.iou_head_hidden_dim,
            },
        )
    )
    randomise(model)
    return model.eval()
