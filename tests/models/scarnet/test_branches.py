"""The decoder behind the encoder and the U-Net: shapes, the channel reducer, skips."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from cardiosam_models import noise, randomise
from scarnet_models import TINY
from torch.nn.functional import interpolate, relu

from cmrseg.models.scarnet.branches import SamDecoder, UNetBranch, UpStage

PLAIN = dataclasses.replace(TINY, squeeze_excite=False, scar_attention=False, skip_attention=False)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (30, 45)])
def test_decoder_ends_at_the_images_size(size: tuple[int, int]) -> None:
    assert SamDecoder(TINY)(noise(2, 32, 4, 4), size).shape == (2, 8, *size)


def test_stages_double_rows_and_columns_one_by_one() -> None:
    decoder = SamDecoder(TINY)
    shapes: list[tuple[int, ...]] = []
    for stage in decoder.stages:
        stage.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape)))
    decoder(noise(1, 32, 4, 4), (32, 32))
    assert shapes == [(1, 16, 8, 8), (1, 8, 16, 16), (1, 8, 32, 32)]


def test_reducer_is_a_convolution_of_all_stages_side_by_side() -> None:
    decoder = SamDecoder(PLAIN).eval()
    randomise(decoder)
    x = features = noise(2, 32, 4, 4)
    maps = []
    for stage in decoder.stages:
        x = stage(interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
        maps.append(interpolate(x, size=(32, 32), mode="bilinear", align_corners=False))
    weight = torch.cat([reduce.weight for reduce in decoder.reduce], dim=1)
    assert tuple(weight.shape) == (8, 16 + 8 + 8, 1, 1)
    joined = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], torch.cat(maps, dim=1))
    assert torch.allclose(decoder(features, (32, 32)), relu(decoder.norm(joined)), atol=1e-4)


def test_unet_gives_features_of_the_images_size() -> None:
    branch = UNetBranch(dataclasses.replace(TINY, in_channels=3))
    assert branch(noise(2, 3, 32, 48)).shape == (2, 4, 32, 48)


@pytest.mark.parametrize("skip", ["concat", "add"])
def test_skips_pass_attention_and_are_joined(skip: str) -> None:
    stage = UpStage(8, 4, dataclasses.replace(TINY, skip=skip)).eval()
    randomise(stage)
    low, high = noise(2, 8, 4, 4), noise(2, 4, 8, 8, seed=2)
    coarse, seen = stage.up(low), stage.attention(high)
    assert not torch.allclose(seen, high, atol=1e-2)
    joined = coarse + seen if skip == "add" else torch.cat([coarse, seen], dim=1)
    assert torch.allclose(stage(low, high), stage.conv(joined))


def test_without_attention_skips_go_in_as_they_are() -> None:
    stage = UpStage(8, 4, PLAIN).eval()
    high = noise(1, 4, 8, 8)
    assert stage.attention(high) is high


def test_levels_have_the_papers_widths() -> None:
    """Algorithm 3: 64 filters doubled down to 1,024, and back."""
    with torch.device("meta"):
        branch = UNetBranch(dataclasses.replace(TINY, unet_widths=(64, 128, 256, 512, 1024)))
    assert [stage[1][0].out_channels for stage in branch.down] == [128, 256, 512, 1024]
    assert [(s.up.in_channels, s.conv[0].in_channels, s.conv[0].out_channels) for s in branch.up] == [
        (1024, 1024, 512),
        (512, 512, 256),
        (256, 256, 128),
        (128, 128, 64),
    ]
