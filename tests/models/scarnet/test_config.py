"""Presets, the ablation's rows, numbers of weights, and sizes that cannot be built."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from docpages import table_rows
from scarnet_models import TINY

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import IMAGE_ENCODERS
from cmrseg.models.scarnet.config import ABLATION, PRESETS, ScarNetConfig, ablation
from cmrseg.models.scarnet.model import ScarNet
from cmrseg.train.stored import from_dict

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "scarnet.md"


def _network(config: ScarNetConfig) -> ScarNet:
    with torch.device("meta"):
        return ScarNet(config)


def _weights(config: ScarNetConfig) -> int:
    return sum(p.numel() for p in _network(config).parameters())


def _gate(channels: int) -> int:
    """ScarAttention: two 1 x 1 convolutions, normalisation, 7 x 7 of two maps."""
    hidden = max(channels // 8, 4)
    return 2 * channels * hidden + channels + 2 * hidden + 2 * 49


def _double(low: int, high: int) -> int:
    return 9 * low * high + 9 * high * high + 4 * high


def test_full_size_is_counted_by_hand() -> None:
    """The paper says no number of weights; this is what its sizes come to."""
    sam = 0
    for low, high in pairwise((256, 128, 64, 32)):
        sam += 9 * low * high + 2 * high + 2 * high * max(high // 16, 4) + _gate(high) + high * 32
    sam += 2 * 32 + _gate(32)
    widths = (64, 128, 256, 512, 1024)
    unet = _double(1, 64) + sum(_double(a, b) for a, b in pairwise(widths))
    for high, low in pairwise(widths):
        unet += 4 * low * high + high + _gate(high) + _double(2 * high, high)
    unet += 3 * _gate(64) + 3 * 64 * 64 + 64
    fusion = 32 * 64 + 2 * 64 + 64 * 64 + 2 * 64 + 4 * (64 * 64 + 64)
    fusion += 128 * 64 + 64 + 64 * 64 + 64 + 2 * (9 * 64 * 64 + 2 * 64)
    network = _network(PRESETS["full"])
    counted = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert (counted["sam_decoder"], counted["unet"], counted["fusion"]) == (sam, unet, fusion)
    assert counted["classify"] == 64 * 4 + 4
    # SAM's own ViT-B holds positions of 64 x 64 patches and, in four blocks, offsets of 127 rows and columns
    native = 89_670_912 - (64**2 - 16**2) * 768 - 4 * 2 * (127 - 31) * 64
    assert counted["encoder"] == native
    assert sum(counted.values()) == sam + unet + fusion + 260 + native


def test_sizes_are_those_of_the_explanation() -> None:
    rows = {row[0]: row[1:] for row in table_rows(PAGE, "Size")}
    full, cpu = ablation(PRESETS["full"]), ablation(PRESETS["cpu"])
    assert list(full) == list(rows)
    for name, config in full.items():
        assert rows[name] == [f"{_weights(config) / 1e6:.2f} M", f"{_weights(cpu[name]) / 1e6:.2f} M"]


def test_every_part_of_the_ablation_adds_weights() -> None:
    rows = ablation(TINY)
    assert list(rows) == list(ABLATION)
    counts = [_weights(config) for config in rows.values()]
    unet, sam, *both = counts
    assert unet < sam < both[0]
    assert both == sorted(set(both))
    assert rows["+ gated fusion"] == TINY


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_configurations_come_back_from_json(name: str) -> None:
    text = json.dumps(dataclasses.asdict(dataclasses.replace(PRESETS[name], prior_classes=(2, 3))))
    assert from_dict(ScarNetConfig, json.loads(text)) == dataclasses.replace(PRESETS[name], prior_classes=(2, 3))


def test_full_preset_takes_the_papers_input() -> None:
    """256 x 256 px in patches of 16, four classes."""
    network = _network(PRESETS["full"]).eval()
    image = torch.empty(1, 1, 256, 256, device="meta")
    assert network.encoder(network.adapter(image)).shape == (1, 256, 16, 16)
    assert network(image).shape == (1, 4, 256, 256)


@pytest.mark.parametrize(
    ("change", "stride"),
    [
        ({}, 8),
        ({"unet_widths": (4, 4, 4, 4, 4)}, 16),
        ({"attention_stride": 12}, 24),
        ({"attention_stride": 12, "fusion": "concat"}, 8),
        ({"sam_branch": False}, 4),
        ({"sam_branch": False, "unet_widths": (4, 8)}, 4),
        ({"sam_branch": False, "unet_widths": (4, 8), "scar_attention": False}, 2),
        ({"unet_branch": False}, 8),
    ],
)
def test_stride_suits_every_part(change: dict[str, Any], stride: int) -> None:
    config = dataclasses.replace(TINY, **change)
    assert config.stride == stride
    image = torch.empty(1, 1, 2 * stride, 3 * stride, device="meta")
    assert _network(config).eval()(image).shape == (1, 4, 2 * stride, 3 * stride)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sam_branch": False, "unet_branch": False}, "without branches"),
        ({"n_classes": 1}, "1 classes"),
        ({"fusion": "sum"}, "'sum'"),
        ({"skip": "product"}, "'product'"),
        ({"spatial_kernel": 6}, "kernel of 6"),
        ({"dropout": 1.0}, "share of 1.0"),
        ({"prior_classes": (0,)}, r"structures \[0\]"),
        ({"prior_classes": (2, 4)}, r"structures \[4\]"),
        ({"unet_widths": (4,)}, "two levels"),
        ({"decoder_widths": ()}, "one stage"),
        ({"decoder_widths": (8, 8, 8, 8)}, "4 stages"),
        ({"attention_heads": 3}, "3 heads"),
        ({"attention_stride": 0}, "0 px"),
        ({"encoder": dataclasses.replace(IMAGE_ENCODERS["tiny"], in_channels=1)}, "1 channels"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(TINY, **change)
