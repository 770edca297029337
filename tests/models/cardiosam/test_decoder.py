"""Channel and spatial attention against arithmetic by hand; stages, context, sizes."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from cardiosam_models import TINY, noise, randomise

from cmrseg.models.cardiosam.decoder import (
    ChannelAttention,
    Decoder,
    ResidualBlock,
    SpatialAttention,
    UpStage,
    resize,
)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_channel_attention_by_hand() -> None:
    """Channel means 2 and -1; hidden relu(2 + 1) = 3 and relu(2 - 2) = 0 and relu(-4) = 0 and relu(-1) = 0."""
    attention = ChannelAttention(channels=2, reduction=16)
    assert tuple(attention.squeeze.weight.shape) == (4, 2)
    assert attention.squeeze.bias is None
    assert attention.excite.bias is None
    with torch.no_grad():
        attention.squeeze.weight.copy_(torch.tensor([[1.0, -1.0], [1.0, 2.0], [-2.0, 0.0], [0.0, 1.0]]))
        attention.excite.weight.copy_(torch.tensor([[0.5, 7.0, 7.0, 7.0], [-1.0, 7.0, 7.0, 7.0]]))
    x = torch.tensor([[[[1.0, 3.0]], [[-4.0, 2.0]]]])
    weights = attention(x)
    assert weights.shape == (1, 2, 1, 1)
    assert weights.flatten().tolist() == pytest.approx([_sigmoid(1.5), _sigmoid(-3.0)])


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(256, 16, 16), (128, 16, 8), (32, 16, 4), (64, 8, 8)])
def test_channel_attention_narrows_by_the_reduction_down_to_four(channels: int, reduction: int, hidden: int) -> None:
    assert ChannelAttention(channels, reduction).squeeze.out_features == hidden


def test_spatial_attention_by_hand() -> None:
    """Maxima 3 and 1, means 1 and -1, of two pixels side by side under a kernel of three."""
    attention = SpatialAttention(kernel=3)
    with torch.no_grad():
        attention.conv.weight.zero_()
        attention.conv.weight[0, 0, 1] = torch.tensor([0.25, 1.0, 0.5])
        attention.conv.weight[0, 1, 1] = torch.tensor([0.0, -2.0, 1.0])
    x = torch.tensor([[[[3.0, 1.0]], [[-1.0, -3.0]]]])
    mask = attention(x)
    assert mask.shape == (1, 1, 1, 2)
    left = 1.0 * 3 + 0.5 * 1 + -2.0 * 1 + 1.0 * -1
    right = 0.25 * 3 + 1.0 * 1 + -2.0 * -1
    assert mask.flatten().tolist() == pytest.approx([_sigmoid(left), _sigmoid(right)])


def test_block_scales_its_update_by_both_attentions_of_that_update() -> None:
    block = ResidualBlock(8, TINY).eval()
    randomise(block)
    x = noise(2, 8, 4, 4)
    update = block.convs(x)
    expected = torch.relu(x + update * block.channel(update) * block.spatial(update))
    assert torch.allclose(block(x), expected)
    plain = ResidualBlock(8, dataclasses.replace(TINY, dual_attention=False)).eval()
    plain.load_state_dict({k: v for k, v in block.state_dict().items() if k.startswith("convs.")})
    assert torch.allclose(plain(x), torch.relu(x + update))
    assert not torch.allclose(plain(x), expected)


def test_a_stage_doubles_rows_and_columns() -> None:
    assert UpStage(8, 4, TINY)(noise(1, 8, 3, 5)).shape == (1, 4, 6, 10)


def test_a_stage_treats_all_pixels_of_a_flat_map_alike() -> None:
    """Away from the border, so that no chequerboard is built in."""
    up = UpStage(8, 4, TINY)[0]
    with torch.no_grad():
        up.weight.fill_(0.1)
    inside = up(torch.ones(1, 8, 5, 5))[:, :, 2:-2, 2:-2]
    assert torch.allclose(inside, inside[:, :, :1, :1].expand_as(inside))


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (30, 45)])
def test_maps_and_context_have_the_images_size(size: tuple[int, int]) -> None:
    features, context = Decoder(TINY)(noise(2, 32, 4, 4), size)
    assert features.shape == (2, 4, *size)
    assert context is not None
    assert context.shape == (2, 3 * 4, *size)


def test_without_multi_scale_there_is_no_context() -> None:
    decoder = Decoder(dataclasses.replace(TINY, multi_scale=False))
    features, context = decoder(noise(1, 32, 4, 4), (32, 32))
    assert features.shape == (1, 4, 32, 32)
    assert context is None


def test_context_holds_every_stage_in_order() -> None:
    decoder = Decoder(TINY).eval()
    x = decoder.project(noise(1, 32, 4, 4))
    expected = []
    for stage, narrow in zip(decoder.stages, decoder.context, strict=True):
        x = stage(x)
        enlarged = torch.nn.functional.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False)
        expected.append(narrow(enlarged))
    _, context = decoder(noise(1, 32, 4, 4), (32, 32))
    assert context is not None
    assert torch.allclose(context, torch.cat(expected, dim=1), atol=1e-5)


def test_resize_is_bilinear_between_pixel_centres() -> None:
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert resize(row, (1, 4)).flatten().tolist() == pytest.approx([0.0, 1.0, 3.0, 4.0])
    assert resize(row, (1, 2)) is row
