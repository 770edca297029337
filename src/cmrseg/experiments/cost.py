"""What a trained row costs: weights, peak memory and time of training and of inference, measured on this machine.

Peaks of memory need a process of their own, ``python -m cmrseg.experiments.cost RUN WHAT``: they never fall again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from cmrseg.errors import UsageError
from cmrseg.io.files import write_text
from cmrseg.models import registry
from cmrseg.models.outputs import is_encoder_decoder
from cmrseg.train.bank import SliceBank
from cmrseg.train.config import TrainConfig
from cmrseg.train.loop import seconds_per_epoch
from cmrseg.train.predict import BATCH, TorchPredictor, load_run

#: Name of the file in the folder of a row's run.
COST = "cost.json"
#: Steps of training that are timed, and batches of inference.
_STEPS, _BATCHES = 4, 7
_BYTES = 4
_GB = 1e9


@dataclass(frozen=True)
class Cost:
    """What one network needs. GB are 10^9 bytes; peaks are of resident memory, less what it was without the network."""

    weights_m: float
    """Weights in millions."""
    trainable_m: float
    """Those that are trained."""
    encoder_gb: float
    """Weights of the encoder, and where it is trained their gradients and AdamW's two moments; 0 without an encoder."""
    rest_gb: float
    """The same of everything else."""
    batch_gb: float
    """One batch of training: slices, labels and logits."""
    training_gb: float
    """Peak of training, with its augmentation."""
    seconds_per_step: float
    """One step of training, its batch included; features of a frozen encoder are computed, not kept."""
    batch_size: int
    """Slices of that step."""
    inference_gb: float
    """Peak of inference of a batch of `cmrseg.train.predict.BATCH` slices, by torch."""
    seconds_per_slice: float
    """Median over such batches; without finding the heart and resampling."""
    threads: int
    """CPU threads."""

    @property
    def other_gb(self) -> float:
        """What of the training peak is left: activations, the running average of the weights, work space."""
        return self.training_gb - self.encoder_gb - self.rest_gb - self.batch_gb


def cost_of(run: Path) -> Cost:
    """Cost of a trained run; measured once and kept in its folder.

    Raises:
        UsageError: the measuring process failed, as on systems that do not count memory.
    """
    stored = run / COST
    if not stored.exists():
        config = TrainConfig.load(run / "config.json")
        model = registry.build(config.network, config.model)
        encoder = set(map(id, model.encoder.parameters())) if is_encoder_decoder(model) else set()
        sizes = {True: [0, 0], False: [0, 0]}
        for weights in model.parameters():
            sizes[id(weights) in encoder][int(weights.requires_grad)] += weights.numel()
        pixels = config.optim.batch_size * config.input.size**2
        measured = _in_process(run, "training") | _in_process(run, "inference")
        cost = Cost(
            weights_m=sum(map(sum, sizes.values())) / 1e6,
            trainable_m=(sizes[True][1] + sizes[False][1]) / 1e6,
            encoder_gb=_held_gb(*sizes[True]),
            rest_gb=_held_gb(*sizes[False]),
            batch_gb=pixels * (_BYTES * (config.input.context_slices + config.model.n_classes) + 8) / _GB,
            batch_size=config.optim.batch_size,
            threads=config.threads,
            **measured,
        )
        write_text(stored, json.dumps(asdict(cost), indent=1) + "\n")
    return Cost(**json.loads(stored.read_text(encoding="utf-8")))


def _held_gb(frozen: int, trained: int) -> float:
    """Weights, and for those that are trained a gradient and two moments each."""
    return _BYTES * (frozen + 4 * trained) / _GB


def _in_process(run: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-m", "cmrseg.experiments.cost", str(run), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        cause = f"The cost of {run.name!r} could not be measured: {' '.join(last)}"
        raise UsageError(cause, "Measure it on Linux or macOS, where a process knows its memory.")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(run: Path, what: str) -> dict[str, float]:
    """Measure training or inference in this process."""
    config = TrainConfig.load(run / "config.json")
    before = peak_bytes()
    seconds = {"training": _seconds_per_step, "inference": _seconds_per_slice}[what](config, run)
    name = {"training": "seconds_per_step", "inference": "seconds_per_slice"}[what]
    return {name: seconds, f"{what}_gb": (peak_bytes() - before) / _GB}


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would begin with the peak of the process that started this one
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _seconds_per_step(config: TrainConfig, run: Path) -> float:
    """Time of one step on slices of noise: what they show changes no cost."""
    generator = np.random.default_rng(0)
    count, side, context = config.optim.batch_size * _STEPS, config.data.cache_size, config.input.context_slices
    images = generator.random((count, side, side), np.float32).astype(np.float16)
    labels = generator.integers(0, config.model.n_classes, images.shape, np.uint8)
    contexts = np.repeat(np.arange(count)[:, None], context, axis=1)
    levels = config.input.levels(images) if config.input.normalisation == "stack" else None
    bank = SliceBank(images, labels, contexts, None if levels is None else np.repeat(levels, count, axis=0))
    return seconds_per_epoch(config, bank, _STEPS) / _STEPS


def _seconds_per_slice(config: TrainConfig, run: Path) -> float:
    torch.set_num_threads(config.threads)
    predict: Callable[..., object] = TorchPredictor([load_run(run)[1]])
    shape = (BATCH, config.input.context_slices, config.input.size, config.input.size)
    inputs = np.random.default_rng(0).standard_normal(shape, np.float32)
    seconds = []
    for _ in range(_BATCHES):
        began = time.perf_counter()
        predict(inputs)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) / BATCH


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201 - the parent process reads it
