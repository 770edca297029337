"""Presets, the ablation's rows, and sizes that cannot be built."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from cardiosam_models import TINY

from cmrseg.errors import UsageError
from cmrseg.models.cardiosam.config import ABLATION, PRESETS, CardioSAMConfig, CardioSAMTemporalConfig, ablation
from cmrseg.models.cardiosam.model import CardioSAM
from cmrseg.models.sam.config import IMAGE_ENCODERS
from cmrseg.train.stored import from_dict


def _weights(config: CardioSAMConfig, *, trainable: bool) -> int:
    with torch.device("meta"):
        network = CardioSAM(config)
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)


def test_full_size_is_within_a_percent_of_the_paper() -> None:
    """98.2 M in Table I with the encoder's native positions; counted by hand from the architecture."""
    dim, structures, kernel, fusion = 256, 3, 7, 512
    attention = structures * (dim * kernel**2 + dim + 3 * 256 * dim + 3 * 256)
    attention += 3 * dim * dim + 3 * dim + dim * dim + dim
    attention += 4 * dim * fusion + 2 * fusion + 9 * fusion * dim + dim
    decoder = 9 * dim * 512 + 2 * 512
    for low, high, hidden in ((512, 256, 16), (256, 128, 8), (128, 64, 4)):
        decoder += 16 * low * high + 2 * high
        decoder += 2 * (9 * high * high + 2 * high) + 2 * high * hidden + 2 * 7 * 7
        decoder += high * 32 + 32
    refinement = 9 * 64 * 64 + 2 * 64 + 64 + 1 + 9 * 65 * 65 + 2 * 65
    head = 9 * (64 + 1 + 3 * 32) * 64 + 2 * 64 + 64 * 4 + 4
    assert _weights(PRESETS["full"], trainable=True) == attention + decoder + refinement + head == 8_276_886
    native = dataclasses.replace(PRESETS["full"], encoder=IMAGE_ENCODERS["vit_b"])
    assert _weights(native, trainable=False) == 89_670_912 + 8_276_886
    assert _weights(native, trainable=False) == pytest.approx(98.2e6, rel=0.01)


@pytest.mark.parametrize(
    ("config", "trainable", "whole"),
    [
        (PRESETS["full"], 8.28, 94.90),
        (dataclasses.replace(PRESETS["full"], width=256), 4.33, 90.96),
        (PRESETS["cpu"], 0.88, 3.83),
    ],
)
def test_sizes_are_those_of_the_explanation(config: CardioSAMConfig, trainable: float, whole: float) -> None:
    assert round(_weights(config, trainable=True) / 1e6, 2) == trainable
    assert round(_weights(config, trainable=False) / 1e6, 2) == whole


def test_cpu_preset_ends_at_the_images_own_size() -> None:
    config = PRESETS["cpu"]
    assert config.encoder.patch_size == 2**config.stages
    assert config.widths == (128, 64, 32, 16)
    assert _weights(config, trainable=True) < 1_000_000


def test_full_preset_takes_the_papers_input() -> None:
    with torch.device("meta"):
        network = CardioSAM(PRESETS["full"]).eval()
        image = torch.empty(1, 1, 224, 224)
        assert network.encode(image).shape == (1, 256, 14, 14)
        assert network(image).shape == (1, 4, 224, 224)


def test_every_row_of_the_ablation_adds_weights_to_the_row_before() -> None:
    rows = ablation(TINY)
    assert list(rows) == list(ABLATION)
    counts = [_weights(config, trainable=True) for config in rows.values()]
    basic, multi_scale, attention, refined, without = counts
    assert basic < multi_scale < attention < refined
    assert without < refined
    assert rows["+ boundary refinement"] == TINY


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_configurations_come_back_from_json(name: str) -> None:
    text = json.dumps(dataclasses.asdict(PRESETS[name]))
    assert from_dict(CardioSAMConfig, json.loads(text)) == PRESETS[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 1}, "1 classes"),
        ({"conditioning": "multiply"}, "multiply"),
        ({"prior_kernel": 4}, "kernel of 4"),
        ({"spatial_kernel": 6}, "kernel of 6"),
        ({"width": 36}, "36 channels"),
        ({"stages": 0}, "halved 0 times"),
        ({"stages": 4}, "4 stages"),
        ({"global_heads": 3}, "3 heads"),
        ({"image_size": 36}, "36 px"),
        ({"encoder": dataclasses.replace(IMAGE_ENCODERS["tiny"], in_channels=1)}, "1 channels"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize("change", [{"kernel_frames": 2}, {"kernel_pixels": 4}])
def test_temporal_kernels_without_centre_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="no centre"):
        CardioSAMTemporalConfig(TINY, **change)
