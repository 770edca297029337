"""Squeeze-and-excitation and ScarAttention against loops written out from their definitions."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cardiosam_models import noise, randomise
from scarnet_models import TINY
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from cmrseg.models.scarnet.attention import MultiScaleScarAttention, ScarAttention, SqueezeExcite

SMALL_KERNEL = dataclasses.replace(TINY, spatial_kernel=3)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_squeeze_and_excitation_is_the_formula() -> None:
    block = SqueezeExcite(3, 16)
    randomise(block)
    x = noise(2, 3, 4, 5)
    first, second = block.squeeze.weight.detach(), block.excite.weight.detach()
    for image, given in zip(x, block(x), strict=True):
        means = [float(image[c].sum()) / 20 for c in range(3)]
        hidden = [max(0.0, sum(float(first[r, c]) * means[c] for c in range(3))) for r in range(len(first))]
        for c in range(3):
            weight = _sigmoid(sum(float(second[c, r]) * hidden[r] for r in range(len(hidden))))
            assert torch.allclose(given[c], weight * image[c], atol=1e-6)


def _scar_attention_by_hand(x_CHW: Tensor, block: ScarAttention) -> Tensor:
    """Pixel by pixel, zeros beyond the border; batch normalisation with its running statistics."""
    narrow, norm, _, widen, _ = block.channel
    assert isinstance(narrow, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(widen, nn.Conv2d)
    channels, rows, columns = x_CHW.shape
    gated = torch.zeros_like(x_CHW)
    for y in range(rows):
        for x in range(columns):
            hidden = []
            for r in range(narrow.out_channels):
                value = sum(float(narrow.weight[r, c, 0, 0]) * float(x_CHW[c, y, x]) for c in range(channels))
                value = (value - float(norm.running_mean[r])) / math.sqrt(float(norm.running_var[r]) + norm.eps)
                hidden.append(max(0.0, value * float(norm.weight[r]) + float(norm.bias[r])))
            for c in range(channels):
                value = sum(float(widen.weight[c, r, 0, 0]) * h for r, h in enumerate(hidden)) + float(widen.bias[c])
                gated[c, y, x] = _sigmoid(value) * x_CHW[c, y, x]
    kernel = block.spatial.conv.weight[0]
    reach = kernel.shape[-1] // 2
    out = torch.zeros_like(x_CHW)
    for y in range(rows):
        for x in range(columns):
            total = 0.0
            for i in range(-reach, reach + 1):
                for j in range(-reach, reach + 1):
                    if 0 <= y + i < rows and 0 <= x + j < columns:
                        pixel = [float(gated[c, y + i, x + j]) for c in range(channels)]
                        total += float(kernel[0, reach + i, reach + j]) * max(pixel)
                        total += float(kernel[1, reach + i, reach + j]) * sum(pixel) / channels
            out[:, y, x] = _sigmoid(total) * gated[:, y, x]
    return out


def test_scar_attention_is_its_definition() -> None:
    block = ScarAttention(3, SMALL_KERNEL)
    randomise(block)
    block.train()(noise(4, 3, 4, 4, seed=7))  # moves the running statistics away from 0 and 1
    block.eval()
    x = noise(2, 3, 4, 3)
    with torch.no_grad():
        for image, given in zip(x, block(x), strict=True):
            assert torch.allclose(given, _scar_attention_by_hand(image, block), atol=1e-5)


def test_gates_only_lower() -> None:
    block = ScarAttention(8, TINY).eval()
    randomise(block)
    x = noise(2, 8, 8, 8)
    out = block(x)
    assert bool((out.abs() <= x.abs()).all())
    assert bool((out * x >= 0).all())


def test_scar_attention_sees_places_and_squeeze_and_excitation_does_not() -> None:
    """A changed pixel changes its own gate more than others' in one, and all places by one factor in the other."""
    x = noise(1, 4, 8, 8)
    other = x.clone()
    other[..., 0, 0] += 3
    attention, squeeze = ScarAttention(4, SMALL_KERNEL).eval(), SqueezeExcite(4, 16)
    for block in (attention, squeeze):
        randomise(block)
    far = (slice(None), slice(None), slice(4, None), slice(4, None))
    assert torch.equal(attention(x)[far], attention(other)[far])
    ratio = (squeeze(other) / other)[far] / (squeeze(x) / x)[far]
    assert not torch.allclose(ratio, torch.ones_like(ratio), atol=1e-4)
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio), atol=1e-4)


@pytest.mark.parametrize(("channels", "hidden"), [(64, 8), (32, 4), (8, 4)])
def test_channel_gate_narrows_by_eight_down_to_four(channels: int, hidden: int) -> None:
    narrow = ScarAttention(channels, TINY).channel[0]
    assert isinstance(narrow, nn.Conv2d)
    assert narrow.out_channels == hidden


def test_a_single_image_trains() -> None:
    """The channel gate is normalised over pixels, so that a batch of one has statistics."""
    ScarAttention(8, TINY).train()(noise(1, 8, 4, 4)).sum().backward()


def test_multi_scale_fuses_pooled_attentions() -> None:
    block = MultiScaleScarAttention(4, SMALL_KERNEL).eval()
    randomise(block)
    x = noise(2, 4, 8, 12)
    parts = [block.scales[0](x)]
    for attention, pool in ((block.scales[1], 2), (block.scales[2], 4)):
        coarse = attention(avg_pool2d(x, pool))
        parts.append(interpolate(coarse, size=(8, 12), mode="bilinear", align_corners=False))
    joined = torch.cat(parts, dim=1)
    expected = torch.einsum("oc,bchw->bohw", block.fuse.weight[:, :, 0, 0], joined)
    assert torch.allclose(block(x), expected + block.fuse.bias[None, :, None, None], atol=1e-5)
