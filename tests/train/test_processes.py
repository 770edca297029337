"""Several processes train what one would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from cmrseg.errors import UsageError
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.train.workers import chosen_device

torch = pytest.importorskip("torch")
SCRIPT = Path(__file__).with_name("two_processes.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms in ACDC's layout."""
    root = tmp_path_factory.mktemp("acdc")
    for k in range(2):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / f"patient{k + 1:03d}")
    return root


def start(*command: object) -> None:
    """Run a command to its end; its output on failure."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def weights(file: Path) -> dict[str, np.ndarray]:
    """Weights that the script wrote."""
    return {k: np.array(v) for k, v in json.loads(file.read_text()).items()}


def test_two_processes_end_with_the_weights_of_one(patients: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    start(sys.executable, SCRIPT, patients, one, 4)
    start(*TORCHRUN, SCRIPT, patients, two, 2)
    alone, first, second = (
        weights(one / "weights-0.json"),
        weights(two / "weights-0.json"),
        weights(two / "weights-1.json"),
    )
    for name, value in alone.items():
        assert np.array_equal(first[name], second[name])
        assert np.allclose(first[name], value, atol=1e-5)
    assert len((two / "log.jsonl").read_text().splitlines()) == 2


def test_the_training_command_runs_under_torchrun_and_resumes(patients: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ["input.size=32", "input.spacing_mm=3.0", "data.validation_per_group=1", "optim.batch_size=2"]
    sets = [part for s in [*settings, "model.widths=[4,8]", "data.cache_size=48"] for part in ("--set", s)]
    command = ["-m", "cmrseg", "train", "cine", patients, "-o", run, "--epochs", "1", "--threads", "1", *sets]
    start(*TORCHRUN, *command)
    start(*TORCHRUN, *command)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 1
    assert 0 <= lines[0]["dice_mean"] <= 1
    assert json.loads((run / "split.json").read_text())["validation"]


def test_devices_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert chosen_device("auto") == chosen_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="no GPU"):
        chosen_device("cuda")
    with pytest.raises(UsageError, match="no device"):
        chosen_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="no GPU 2"):
        chosen_device("cuda", 2)


def test_a_training_that_is_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(
    patients: Path, tmp_path: Path
) -> None:
    settings = ["input.size=32", "input.spacing_mm=3.0", "data.validation_per_group=1", "optim.batch_size=2"]
    sets = [part for s in [*settings, "model.widths=[4,8]", "data.cache_size=48"] for part in ("--set", s)]

    def command(run: Path) -> list[str]:
        words = ["-m", "cmrseg", "train", "cine", patients, "-o", run, "--epochs", "4", "--threads", "1"]
        return [sys.executable, *map(str, words), "--deterministic", *sets]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(*command(whole))
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = killed / "log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text()):
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0, "the training ended before it could be killed"
    done = len(log.read_text().splitlines())
    assert 1 <= done < 4
    start(*command(killed))
    first, second = (load_file(run / "checkpoint.safetensors") for run in (whole, killed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3, 4]
