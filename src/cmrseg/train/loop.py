"""The training loop: draw, augment, step, average, validate, checkpoint; a killed run goes on where it stopped."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmrseg.losses.dice_ce import dice_ce_loss
from cmrseg.models.blocks import to_channels_last
from cmrseg.models.unet import UNet
from cmrseg.train import augment
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import SliceBank
from cmrseg.train.memory import keep_freed_memory
from cmrseg.train.predict import load_run

Validate = Callable[[nn.Module], dict[str, float]]


def learning_rate_at(step: int, total: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to zero at the last step."""
    optim = config.optim
    if step < optim.warmup_steps:
        return optim.learning_rate * (step + 1) / optim.warmup_steps
    done = (step - optim.warmup_steps) / max(1, total - optim.warmup_steps)
    return optim.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class WeightAverage:
    """Exponential running average of a network's weights and normalisation statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the current weights; faster during the first steps, when there is little to remember."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])


def train(
    config: TrainConfig, bank: SliceBank, run: Path, validate: Validate, report: Callable[[str], None]
) -> nn.Module:
    """Train one network, or go on with a run that was interrupted.

    Args:
        config: the run.
        bank: training slices.
        run: folder of the run; checkpoints and log.jsonl go there.
        validate: returns metrics of a network in evaluation mode.
        report: takes one line of progress.

    Returns:
        the averaged network, in evaluation mode.
    """
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    model = to_channels_last(UNet(config.model))
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.optim.learning_rate, weight_decay=config.optim.weight_decay
    )
    average = WeightAverage(model, config.optim.average_decay)
    first = _resume(run, model, average, optimiser)
    if first == 0 and config.start_from:
        model.load_state_dict(load_run(Path(config.start_from))[1].state_dict())
        average.model.load_state_dict(model.state_dict())
    steps = len(bank) // config.optim.batch_size
    for epoch in range(first, config.optim.epochs):
        began = time.monotonic()
        loss = _one_epoch(config, bank, model, average, optimiser, epoch, steps)
        line: dict[str, float] = {"epoch": epoch + 1, "loss": loss, "seconds": time.monotonic() - began}
        if (epoch + 1) % config.validate_every == 0 or epoch + 1 == config.optim.epochs:
            line |= validate(average.model)
        _checkpoint(run, model, average, optimiser, epoch + 1)
        with (run / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        report(" ".join(f"{k} {v:.4g}" for k, v in line.items()))
    return average.model


def _one_epoch(
    config: TrainConfig,
    bank: SliceBank,
    model: nn.Module,
    average: WeightAverage,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    steps: int,
) -> float:
    # Order and augmentation depend on seed and epoch alone, so that a resumed run repeats what it would have done.
    order = np.random.default_rng([config.seed, epoch]).permutation(len(bank))
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    model.train()
    total = 0.0
    ratio = config.input.size / config.data.cache_size
    for k in range(steps):
        batch = config.optim.batch_size
        images_BSLL, labels_BLL = bank.batch(order[k * batch : (k + 1) * batch])
        numbers = augment.draw(config.augment, batch, images_BSLL.shape[1], ratio, generator)
        images, labels = augment.apply(numbers, images_BSLL, labels_BLL, config.input.size)
        inputs = torch.from_numpy(config.input.normalise(images.numpy())).contiguous(memory_format=torch.channels_last)
        step = epoch * steps + k
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, config.optim.epochs * steps, config)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.optim.precision == "bf16"):
            logits = model(inputs)
        loss = dice_ce_loss(logits.float(), labels, config.optim.dice_weight)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.gradient_clip)
        optimiser.step()
        average.update(model, step)
        total += loss.item()
    return total / max(1, steps)


def _checkpoint(
    run: Path, model: nn.Module, average: WeightAverage, optimiser: torch.optim.Optimizer, epoch: int
) -> None:
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    partial = run / "checkpoint.partial"
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata={"epoch": str(epoch)})
    partial.replace(run / "checkpoint.safetensors")


def _resume(run: Path, model: nn.Module, average: WeightAverage, optimiser: torch.optim.Optimizer) -> int:
    """Load the last checkpoint into the three; returns the number of epochs already done."""
    path = run / "checkpoint.safetensors"
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    average.model.load_state_dict(
        {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return _epoch_of(path)


def _epoch_of(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return int(file.metadata()["epoch"])
