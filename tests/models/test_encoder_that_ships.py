"""The pre-trained encoder that ships: whole, listed, found by name, and what a network starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import BundleError
from cmrseg.models.encoder_bundle import encoder_path, read_encoder_bundle, shipped_encoders

torch = pytest.importorskip("torch")


def test_it_is_found_by_its_name_and_everything_else_is_a_path(tmp_path: Path) -> None:
    assert encoder_path("sam-cmr-small") == shipped_encoders()["sam-cmr-small"]
    assert encoder_path(str(tmp_path / "mine")) == tmp_path / "mine"


def test_it_left_out_the_patients_that_experiments_measure_on() -> None:
    data = read_encoder_bundle(encoder_path("sam-cmr-small")).manifest["data"]
    seen = {study.rsplit("/", 1)[-1] for study in data["studies"]}
    assert len(data["left_out"]) == 15
    assert len(seen) == 86
    assert not seen & set(data["left_out"])


def test_a_network_starts_from_it() -> None:
    from cmrseg.models.cardiosam.config import PRESETS
    from cmrseg.models.cardiosam.model import CardioSAM

    bundle = read_encoder_bundle(encoder_path("sam-cmr-small"))
    model = CardioSAM(PRESETS["cpu"])
    model.load_encoder(bundle.path)
    stored = bundle.weights()["blocks.0.attn.qkv.weight"]
    assert np.array_equal(model.encoder.state_dict()["blocks.0.attn.qkv.weight"].numpy(), stored.numpy())


def test_the_command_line_lists_shows_and_verifies_it() -> None:
    runner = CliRunner()
    assert "sam-cmr-small\tencoder" in runner.invoke(app, ["models", "list"]).stdout
    assert "masked auto-encoder" in runner.invoke(app, ["models", "show", "sam-cmr-small"]).stdout
    assert "is whole" in runner.invoke(app, ["models", "verify", "sam-cmr-small"]).stdout


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "sam-cmr-small"
    copy.mkdir()
    for file in encoder_path("sam-cmr-small").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = bytearray((copy / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(weights)
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        read_encoder_bundle(copy)
