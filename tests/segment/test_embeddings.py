"""Embeddings are kept as they are, and what is damaged is computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import OutputError
from cmrseg.segment import embeddings
from cmrseg.segment.embeddings import EmbeddingCache

NUMBERS = np.random.default_rng(0).normal(size=(1, 4, 2, 2)).astype(np.float32)


def refuse() -> np.ndarray:
    raise AssertionError("it should have been there")


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path).get("a", lambda: NUMBERS)
    np.testing.assert_array_equal(EmbeddingCache(tmp_path).get("a", refuse), NUMBERS)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text"])
def test_damaged_file_is_computed_again_and_mended(tmp_path: Path, damage: str) -> None:
    EmbeddingCache(tmp_path).get("a", lambda: NUMBERS)
    file = tmp_path / "a.npz"
    raw = bytearray(file.read_bytes())
    place = raw.find(NUMBERS.tobytes())
    assert place > 0
    raw[place] ^= 1
    file.write_bytes({"cut": bytes(raw[:100]), "changed": bytes(raw), "empty": b"", "text": b"no archive"}[damage])
    cache = EmbeddingCache(tmp_path)
    np.testing.assert_array_equal(cache.get("a", lambda: NUMBERS), NUMBERS)
    assert cache.computed == 1
    np.testing.assert_array_equal(EmbeddingCache(tmp_path).get("a", refuse), NUMBERS)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "IN_MEMORY", 2)
    cache = EmbeddingCache(None)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda: NUMBERS)
    assert cache.computed == 3
    cache.get("a", refuse)
    cache.get("b", lambda: NUMBERS)
    assert cache.computed == 4


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        EmbeddingCache(tmp_path / "file" / "inner").get("a", lambda: NUMBERS)
