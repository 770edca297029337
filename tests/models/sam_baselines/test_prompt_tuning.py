"""Learned prompts: tokens of the mask decoder, and tokens that every block of the encoder looks at."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from sam_baseline_models import in_onnx_runtime, network, noise, randomise
from sam_models import GLOBAL, PLAIN, WINDOWED
from torch import Tensor

from cmrseg.models.sam.config import ImageEncoderConfig
from cmrseg.models.sam.image_encoder import Attention, ImageEncoderViT
from cmrseg.models.sam_baselines.prompt_tuning import SamPromptTuning


def test_prompted_attention_is_attention_over_a_longer_row_of_which_prompts_are_dropped() -> None:
    """Visual prompt tuning puts prompts beside the tokens of a block and drops what becomes of them."""
    attention = Attention(dim=32, num_heads=2, qkv_bias=True, grid_size=None)
    randomise(attention)
    tokens, prompts = noise(2, 3, 4, 32), noise(5, 32, seed=2)
    row = torch.cat([tokens.reshape(2, 12, 32), prompts.expand(2, -1, -1)], dim=1)
    expected = attention(row[:, None])[:, 0, :12].reshape(2, 3, 4, 32)
    assert torch.allclose(attention(tokens, prompts), expected, atol=1e-5)
    assert not torch.allclose(attention(tokens, prompts), attention(tokens), atol=1e-2)


def test_relative_positions_say_nothing_of_prompts() -> None:
    """By hand: logits of prompts have no position term, those among tokens keep theirs."""
    attention = Attention(dim=8, num_heads=1, qkv_bias=True, grid_size=2)
    randomise(attention)
    tokens, prompts = noise(1, 2, 2, 8), noise(3, 8, seed=2)
    q, k, v = attention.qkv(tokens.reshape(4, 8)).chunk(3, dim=-1)
    _, prompt_k, prompt_v = attention.qkv(prompts).chunk(3, dim=-1)
    among = q @ k.T / 8**0.5
    for a in range(4):
        for b in range(4):
            row, column = a // 2 - b // 2 + 1, a % 2 - b % 2 + 1
            among[a, b] = among[a, b] + q[a] @ attention.rel_pos_h[row] + q[a] @ attention.rel_pos_w[column]
    weights = torch.cat([among, q @ prompt_k.T / 8**0.5], dim=1).softmax(-1)
    expected = attention.proj(weights @ torch.cat([v, prompt_v])).reshape(1, 2, 2, 8)
    assert torch.allclose(attention(tokens, prompts), expected, atol=1e-5)


@pytest.mark.parametrize("sizes", [WINDOWED, GLOBAL, PLAIN], ids=["windowed", "global", "no relative positions"])
def test_every_block_has_prompts_of_its_own(sizes: ImageEncoderConfig) -> None:
    encoder = ImageEncoderViT(sizes)
    randomise(encoder)
    image = noise(1, 3, sizes.image_size, sizes.image_size)
    prompts = noise(sizes.depth, 2, sizes.embed_dim, seed=2).requires_grad_()
    features = encoder(image, prompts)
    assert features.shape == encoder(image).shape
    features.square().sum().backward()
    assert prompts.grad is not None
    assert bool(prompts.grad.flatten(1).any(dim=1).all())


def _tokens_seen_by_the_decoder(model: SamPromptTuning, image: Tensor) -> Tensor:
    seen: list[Tensor] = []
    model.mask_decoder.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    with torch.no_grad():
        model(image)
    return seen[0]


def test_learned_tokens_stand_where_prompts_stand() -> None:
    model = network("shallow prompts", prompt_tokens=3).eval()
    assert isinstance(model, SamPromptTuning)
    tokens = _tokens_seen_by_the_decoder(model, noise(2, 1, 32, 32))
    assert tokens.shape == (2, 1 + 4 + 3, 32)
    assert torch.equal(tokens[:, 5:], model.prompts_ND.detach().expand(2, -1, -1))


def test_deep_prompts_are_as_many_as_blocks() -> None:
    model = network("deep prompts", prompt_tokens=3)
    assert isinstance(model, SamPromptTuning)
    assert model.block_prompts_MND is not None
    assert model.block_prompts_MND.shape == (2, 3, 32)
    assert "block_prompts_MND" not in network("shallow prompts").state_dict()


def test_export_with_deep_prompts_agrees(tmp_path: Path) -> None:
    model = network("deep prompts")
    randomise(model)
    images = noise(3, 1, 32, 32)
    given, _ = in_onnx_runtime(model.eval(), images, tmp_path)
    with torch.no_grad():
        expected = model(images)
    assert (given - expected).abs().max() <= 1e-4 * float(expected.abs().max())


def test_more_classes_give_more_mask_tokens() -> None:
    model = network("shallow prompts", n_classes=6)
    assert model.mask_decoder.mask_tokens.weight.shape[0] == 6
    assert dataclasses.replace(model.config, n_classes=2).decoder(2).num_multimask_outputs == 1
