"""Cardiac-specific attention against loops written out from its equations."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cardiosam_models import TINY, noise, randomise
from torch import Tensor

from cmrseg.models.cardiosam.attention import CardiacAttention, SelfAttention, StructureAttention


def _attention_by_hand(x_Dhw: Tensor, weight: Tensor, bias: Tensor, heads: int, head_dim: int) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V for one image, number by number."""
    weight, bias = weight.detach(), bias.detach()
    dim, h, w = x_Dhw.shape
    tokens = [[float(x_Dhw[c, k // w, k % w]) for c in range(dim)] for k in range(h * w)]

    def projected(token: list[float], row: int) -> float:
        return sum(float(weight[row, c]) * token[c] for c in range(dim)) + float(bias[row])

    out = torch.zeros(heads * head_dim, h, w)
    inner = heads * head_dim
    for head in range(heads):
        rows = range(head * head_dim, (head + 1) * head_dim)
        q = [[projected(t, r) for r in rows] for t in tokens]
        k = [[projected(t, inner + r) for r in rows] for t in tokens]
        v = [[projected(t, 2 * inner + r) for r in rows] for t in tokens]
        for i, query in enumerate(q):
            scores = [math.exp(sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(head_dim)) for key in k]
            for c, r in enumerate(rows):
                value = sum(s * values[c] for s, values in zip(scores, v, strict=True)) / sum(scores)
                out[r, i // w, i % w] = value
    return out


def test_self_attention_is_the_formula() -> None:
    attention = SelfAttention(dim=3, heads=2, head_dim=4)
    randomise(attention)
    x = noise(2, 3, 2, 3)
    given = attention(x)
    assert given.shape == (2, 8, 2, 3)
    for image, out in zip(x, given, strict=True):
        expected = _attention_by_hand(image, attention.qkv.weight, attention.qkv.bias, 2, 4)
        assert torch.allclose(out, expected, atol=1e-5)


def _prior_by_hand(x_Dhw: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each channel with its own kernel, zeros beyond the border."""
    weight, bias = weight.detach(), bias.detach()
    dim, h, w = x_Dhw.shape
    size = weight.shape[-1]
    out = torch.zeros_like(x_Dhw)
    for c in range(dim):
        for y in range(h):
            for x in range(w):
                total = float(bias[c])
                for i in range(size):
                    for j in range(size):
                        row, column = y + i - size // 2, x + j - size // 2
                        if 0 <= row < h and 0 <= column < w:
                            total += float(weight[c, 0, i, j]) * float(x_Dhw[c, row, column])
                out[c, y, x] = total
    return out


@pytest.mark.parametrize("conditioning", ["add", "gate"])
def test_structure_attention_attends_to_features_conditioned_by_its_prior(conditioning: str) -> None:
    small = dataclasses.replace(TINY.encoder, out_channels=4)
    config = dataclasses.replace(
        TINY, encoder=small, conditioning=conditioning, prior_kernel=3, structure_heads=1, structure_head_dim=3
    )
    structure = StructureAttention(config)
    randomise(structure)
    x = noise(1, 4, 3, 2)
    assert structure.prior.bias is not None
    prior = _prior_by_hand(x[0], structure.prior.weight, structure.prior.bias)
    conditioned = x[0] + prior if conditioning == "add" else x[0] * torch.sigmoid(prior)
    qkv = structure.attention.qkv
    expected = _attention_by_hand(conditioned, qkv.weight, qkv.bias, 1, 3)
    assert torch.allclose(structure(x)[0], expected, atol=1e-5)


def test_whole_module_adds_the_fused_branches_to_its_input() -> None:
    module = CardiacAttention(TINY).eval()
    randomise(module)
    x = noise(2, 32, 4, 4)
    branches = [structure(x) for structure in module.structures]
    assert [tuple(b.shape) for b in branches] == [(2, 16, 4, 4)] * 3
    whole = torch.einsum("oc,bchw->bohw", module.whole_out.weight[:, :, 0, 0], module.whole(x))
    whole = whole + module.whole_out.bias[None, :, None, None]
    fused = module.fuse(torch.cat([*branches, whole], dim=1))
    assert torch.allclose(module(x), x + fused, atol=1e-4)
    with torch.no_grad():
        module.fuse[-1].weight.zero_()
        module.fuse[-1].bias.zero_()
    assert torch.equal(module(x), x)


def test_the_bottleneck_is_not_linear() -> None:
    module = CardiacAttention(TINY).eval()
    randomise(module)
    joined = noise(1, 3 * 16 + 32, 4, 4)
    zero, there, back = (module.fuse(joined * f) for f in (0.0, 1.0, -1.0))
    assert not torch.allclose(there + back, 2 * zero, atol=1e-2)


def test_the_global_branch_alone_does_not_know_where_a_feature_stands_and_structures_do() -> None:
    """Attention commutes with turning the map upside down; a prior that is not symmetric does not."""
    module = CardiacAttention(TINY).eval()
    randomise(module)
    x = noise(1, 32, 4, 4)
    assert torch.allclose(module.whole(x.flip(2)), module.whole(x).flip(2), atol=1e-5)
    for structure in module.structures:
        assert not torch.allclose(structure(x.flip(2)), structure(x).flip(2), atol=1e-2)


def test_every_structure_has_weights_of_its_own_and_gradients_reach_all() -> None:
    module = CardiacAttention(dataclasses.replace(TINY, n_classes=6))
    assert len(module.structures) == 5
    module(noise(2, 32, 4, 4)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        # a bias before the softmax's key, alone, cancels out
        if "qkv.bias" not in name:
            assert bool(parameter.grad.any()), name
