"""Attention from branch to branch against a loop, the gate and the sum against arithmetic by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cardiosam_models import noise, randomise
from scarnet_models import TINY
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cmrseg.models.scarnet.fusion import ChannelGate, Concatenation, CrossAttention, CrossGatedFusion


def _row(layer: nn.Linear, token: list[float], row: int) -> float:
    return sum(float(layer.weight[row, c]) * value for c, value in enumerate(token)) + float(layer.bias[row])


def _tokens(x_CHW: Tensor, stride: int) -> list[list[float]]:
    """Means of squares of `stride` pixels, row by row."""
    channels, rows, columns = x_CHW.shape
    return [
        [float(x_CHW[c, y : y + stride, x : x + stride].mean()) for c in range(channels)]
        for y in range(0, rows, stride)
        for x in range(0, columns, stride)
    ]


@pytest.mark.parametrize("heads", [1, 2])
def test_cross_attention_is_the_formula(heads: int) -> None:
    cross = CrossAttention(4, heads, stride=2)
    randomise(cross)
    asking, asked = noise(1, 4, 4, 6), noise(1, 4, 4, 6, seed=2)
    part = cross.attention
    queries, keys = _tokens(asking[0], 2), _tokens(asked[0], 2)
    dim = 4 // heads
    found = torch.zeros(4, len(queries))
    with torch.no_grad():
        for head in range(heads):
            rows = range(head * dim, (head + 1) * dim)
            q = [[_row(part.q_proj, t, r) for r in rows] for t in queries]
            k = [[_row(part.k_proj, t, r) for r in rows] for t in keys]
            v = [[_row(part.v_proj, t, r) for r in rows] for t in keys]
            for i, query in enumerate(q):
                scores = [math.exp(sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(dim)) for key in k]
                for c, r in enumerate(rows):
                    found[r, i] = sum(s * value[c] for s, value in zip(scores, v, strict=True)) / sum(scores)
        mixed = part.out_proj.weight @ found + part.out_proj.bias[:, None]
        expected = interpolate(mixed.reshape(1, 4, 2, 3), size=(4, 6), mode="bilinear", align_corners=False)
        assert torch.allclose(cross(asking, asked), expected, atol=1e-5)


def test_gate_by_hand() -> None:
    gate = ChannelGate(1)
    first, _, second = gate.mlp
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -2.0]]))
        first.bias.fill_(0.5)
        second.weight.fill_(3.0)
        second.bias.fill_(-4.0)
    # means 2 and 0.5: relu(2 - 1 + 0.5) = 1.5, 3 * 1.5 - 4 = 0.5
    share = gate(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.0, 1.0]]]]))
    assert share.shape == (1, 1, 1, 1)
    assert share.item() == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_fusion_is_algorithm_4() -> None:
    fusion = CrossGatedFusion(TINY).eval()
    randomise(fusion)
    sam_map, unet_map = noise(2, 8, 16, 16), noise(2, 4, 16, 16, seed=2)
    sam, unet = fusion.align_sam(sam_map), fusion.align_unet(unet_map)
    sam = sam + fusion.cross(sam, unet)
    share = fusion.gate(sam, unet)
    assert share.shape == (2, 8, 1, 1)
    assert bool(((share > 0) & (share < 1)).all())
    mixed = share * sam + (1 - share) * unet
    assert torch.allclose(fusion(sam_map, unet_map), torch.relu(mixed + fusion.refine(mixed)), atol=1e-5)


@pytest.mark.parametrize(("bias", "deaf"), [(50.0, "unet"), (-50.0, "sam")])
def test_an_open_or_closed_gate_leaves_one_branch_alone(bias: float, deaf: str) -> None:
    fusion = CrossGatedFusion(TINY).eval()
    randomise(fusion)
    last = fusion.gate.mlp[2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(bias)
        for parameter in fusion.cross.parameters():
            parameter.zero_()
    maps = {"sam": noise(1, 8, 16, 16), "unet": noise(1, 4, 16, 16, seed=2)}
    before = fusion(maps["sam"], maps["unet"])
    other = "sam" if deaf == "unet" else "unet"
    assert torch.allclose(fusion(**{f"{k}_BCHW": v + (k == deaf) for k, v in maps.items()}), before, atol=1e-5)
    assert not torch.allclose(fusion(**{f"{k}_BCHW": v + (k == other) for k, v in maps.items()}), before, atol=1e-2)


def test_concatenation_keeps_both() -> None:
    fusion = Concatenation(dataclasses.replace(TINY, fusion="concat"))
    sam, unet = noise(1, 8, 4, 4), noise(1, 4, 4, 4)
    assert fusion.out_channels == 12
    assert torch.equal(fusion(sam, unet), torch.cat([sam, unet], dim=1))
