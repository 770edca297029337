"""The feature cache gives what the encoder gives, once; a changed image, weight or file is never mistaken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import IMAGE_ENCODERS
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.train.features import FeatureCache, encoder_signature

TINY = IMAGE_ENCODERS["tiny"]


class Counting:
    """An encoder that counts the images it is given."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.encoder = ImageEncoderViT(TINY).eval()
        self.images = 0

    def __call__(self, x_BCHW: Tensor) -> Tensor:
        self.images += len(x_BCHW)
        features: Tensor = self.encoder(x_BCHW)
        return features


@pytest.fixture
def encode() -> Counting:
    return Counting()


def batch(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(7))


def cache(folder: Path, encode: Counting) -> FeatureCache:
    return FeatureCache(folder, encoder_signature(encode.encoder, TINY))


def test_each_image_is_encoded_once_also_across_processes_and_batches(tmp_path: Path, encode: Counting) -> None:
    first = cache(tmp_path, encode)
    fresh = first.features(batch(), encode)
    assert encode.images == 3
    with torch.no_grad():
        torch.testing.assert_close(fresh, encode.encoder(batch()), atol=2e-3, rtol=2e-3)
    again = cache(tmp_path, encode)
    kept = again.features(batch()[[2, 0, 2]], encode)
    assert encode.images == 3
    assert (again.hits, again.misses, again.damaged) == (2, 0, 0)
    assert kept.equal(fresh[[2, 0, 2]])  # bit for bit: the first time passed half precision too
    assert kept.dtype == torch.float32


def test_entries_are_half_precision_and_their_size_is_told(tmp_path: Path, encode: Counting) -> None:
    kept = cache(tmp_path, encode)
    assert kept.size_bytes == 0
    kept.features(batch(), encode)
    values = 3 * 32 * 4 * 4 * 2
    assert values < kept.size_bytes < values + 3 * 300
    assert not list(tmp_path.rglob("*.partial"))


def test_changed_image_weight_or_size_misses(tmp_path: Path, encode: Counting) -> None:
    cache(tmp_path, encode).features(batch(), encode)
    nudged = batch()
    nudged[1, 0, 0, 0] += 1e-6
    cache(tmp_path, encode).features(nudged, encode)
    assert encode.images == 4
    with torch.no_grad():
        encode.encoder.neck[0].weight[0, 0] += 1e-6
    changed = cache(tmp_path, encode)
    changed.features(batch(), encode)
    assert changed.misses == 3
    other = replace(TINY, num_heads=4)  # the same weights, other features
    assert encoder_signature(encode.encoder, other) != encoder_signature(encode.encoder, TINY)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_entry_is_computed_anew(tmp_path: Path, encode: Counting, damage: str) -> None:
    fresh = cache(tmp_path, encode).features(batch(), encode)
    entry = sorted(tmp_path.rglob("*.safetensors"))[0]
    content = bytearray(entry.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    entry.write_bytes(bytes(content) if damage == "flip" else bytes(content[:-7]) if damage == "cut" else b"")
    again = cache(tmp_path, encode)
    assert again.features(batch(), encode).equal(fresh)
    assert (again.hits, again.misses, again.damaged) == (2, 1, 1)
    assert encode.images == 4
    last = cache(tmp_path, encode)
    last.features(batch(), encode)
    assert (last.hits, last.damaged) == (3, 0)


def test_empty_batch_keeps_nothing(tmp_path: Path, encode: Counting) -> None:
    kept = cache(tmp_path, encode)
    assert kept.features(batch()[:0], encode).shape == (0, 32, 4, 4)
    assert kept.size_bytes == 0


def test_values_beyond_half_precision_are_refused_and_not_kept(tmp_path: Path) -> None:
    kept = FeatureCache(tmp_path, "a")
    with pytest.raises(UsageError, match="half precision"):
        kept.features(batch(), lambda x: x * 1e6)
    with pytest.raises(UsageError, match="1 features for 3"):
        kept.features(batch(), lambda x: x[:1])
    assert kept.size_bytes == 0
