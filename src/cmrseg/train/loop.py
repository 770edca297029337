"""The training loop: draw, augment, step, average, validate, checkpoint; a killed run goes on where it stopped.

Started by ``torchrun`` it trains in several processes, each with its own share of every epoch's slices; only the first
validates and writes.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.labels import SCHEMES
from cmrseg.losses.composite import CompositeLoss
from cmrseg.models import registry
from cmrseg.models.blocks import to_channels_last
from cmrseg.models.detector.boxes import Boxes
from cmrseg.models.encoder_bundle import encoder_path
from cmrseg.models.outputs import Outputs, StartsFromWeights, is_encoder_decoder, outputs_of, takes_boxes
from cmrseg.train import augment, checkpoint
from cmrseg.train.bank import SliceBank
from cmrseg.train.clock import training_clock
from cmrseg.train.config import TrainConfig
from cmrseg.train.features import FeatureCache, encoder_signature
from cmrseg.train.memory import keep_freed_memory
from cmrseg.train.predict import start_from
from cmrseg.train.scalars import ScalarLog
from cmrseg.train.workers import Workers, chosen_device

Validate = Callable[[nn.Module], dict[str, float]]


def share_of_peak(step: int, total: int, warmup_steps: int) -> float:
    """Learning rate over its peak: linear warm-up, then a cosine to zero at the last step."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, total - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class WeightAverage:
    """Exponential running average of a network's trainable weights and normalisation statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.frozen = {name for name, value in model.named_parameters() if not value.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the current weights; faster during the first steps, when there is little to remember."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        for name, value in self.model.state_dict().items():
            if name in self.frozen:
                continue
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
    torch.use_deterministic_algorithms(config.deterministic)
    keep_freed_memory()
    workers = Workers.join(config.device)
    torch.manual_seed(config.seed)
    model = to_channels_last(registry.build(config.network, config.model)).to(workers.device)
    optimiser = torch.optim.AdamW(parameter_groups(model, config), weight_decay=config.optim.weight_decay)
    average = WeightAverage(model, config.optim.average_decay)
    first = checkpoint.resume(run, model, average.model, optimiser)
    if first == 0:
        random = _begin_with_known_weights(config, model, average)
        if random and workers.first:
            report(f"of another shape than in {Path(config.start_from).name}, so random: {', '.join(random)}")
    loop = _Loop(config, bank, model, average, optimiser, workers, run)
    scalars = ScalarLog(run / "tensorboard" if config.tensorboard and workers.first else None)
    clock = training_clock(workers.device, config.threads)
    for epoch in range(first, config.optim.epochs):
        began = clock()
        losses = loop.epoch(epoch)
        line: dict[str, float] = {"epoch": epoch + 1, **losses, "seconds": clock() - began}
        if workers.first:
            if (epoch + 1) % config.validate_every == 0 or epoch + 1 == config.optim.epochs:
                line |= validate(average.model)
            checkpoint.save(run, model, average.model, optimiser, epoch + 1)
            with (run / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            scalars.add(line, epoch + 1)
            report(" ".join(f"{k} {v:.4g}" for k, v in line.items()))
        workers.wait()
    return average.model


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """Trainable weights with their peak learning rates: the encoder's own, where the configuration gives it one."""
    optim = config.optim
    separate = optim.encoder_learning_rate > 0 and is_encoder_decoder(model)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, value in model.named_parameters():
        rate = optim.encoder_learning_rate if separate and name.startswith("encoder.") else optim.learning_rate
        if value.requires_grad:
            groups.setdefault(rate, []).append(value)
    return [{"params": values, "lr": rate, "peak": rate} for rate, values in groups.items()]


def _begin_with_known_weights(config: TrainConfig, model: nn.Module, average: WeightAverage) -> tuple[str, ...]:
    """Take weights of an earlier run or of a pre-trained encoder, where the configuration names them.

    Returns:
        names of the weights that another shape kept from taking those of the earlier run.
    """
    if config.encoder_weights:
        if not isinstance(model, StartsFromWeights):
            raise UsageError(f"The network {config.network!r} has no encoder to load.", "Leave encoder_weights empty.")
        model.load_encoder(encoder_path(config.encoder_weights))
    random = start_from(config.start_from, model) if config.start_from else ()
    average.model.load_state_dict(model.state_dict())
    return random


def seconds_per_epoch(config: TrainConfig, bank: SliceBank, steps: int = 6) -> float:
    """Time of one epoch on this machine, from a few steps of a network that is thrown away.

    Args:
        config: the run.
        bank: its training slices.
        steps: steps that are timed, after two that warm up.
    """
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    workers = Workers(device=chosen_device(config.device))
    model = to_channels_last(registry.build(config.network, config.model)).to(workers.device)
    optimiser = torch.optim.AdamW(parameter_groups(model, config))
    uncached = replace(config, data=replace(config.data, augmented_variants=0))
    loop = _Loop(uncached, bank, model, WeightAverage(model, 0.0), optimiser, workers, Path())
    whole, loop.steps = loop.steps, 2
    loop.epoch(0)
    loop.steps = min(steps, whole)
    clock = training_clock(workers.device, config.threads)
    began = clock()
    loop.epoch(1)
    return (clock() - began) / max(1, loop.steps) * whole


class _Loop:
    """What stays the same from epoch to epoch."""

    def __init__(
        self,
        config: TrainConfig,
        bank: SliceBank,
        model: nn.Module,
        average: WeightAverage,
        optimiser: torch.optim.Optimizer,
        workers: Workers,
        run: Path,
    ) -> None:
        self.config, self.bank, self.model, self.average = config, bank, model, average
        self.optimiser, self.workers = optimiser, workers
        names = ("background", *SCHEMES[config.scheme].foreground_names)
        self.criterion = CompositeLoss(config.loss, names, config.input.spacing_mm)
        self.steps = len(bank) // (config.optim.batch_size * workers.count)
        self.cache: FeatureCache | None = None
        if config.data.augmented_variants and is_encoder_decoder(model) and model.encoder_frozen:
            self.cache = FeatureCache(run / "features", encoder_signature(model.encoder, config.model))
        self.parallel = model if self.cache is not None else workers.wrap(model)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train on every slice once; returns the mean of the loss and of its terms."""
        config, batch = self.config, self.config.optim.batch_size
        # Order and augmentation depend on seed and epoch alone, so that a resumed run repeats what it would have done.
        order = np.random.default_rng([config.seed, epoch]).permutation(len(self.bank))[self.workers.share]
        generator = torch.Generator().manual_seed(
            config.seed * 100_003 + epoch * self.workers.count + self.workers.rank
        )
        # what networks draw themselves, as dropout does
        torch.manual_seed(generator.initial_seed())
        self.model.train()
        totals: dict[str, float] = {}
        for k in range(self.steps):
            step = epoch * self.steps + k
            self._set_learning_rates(step)
            inputs, labels = self._batch(order[k * batch : (k + 1) * batch], epoch, generator)
            terms = self.criterion(self._outputs(inputs, self._prompts(labels, generator)), labels)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(terms["total"])
            self.workers.average_gradients(self.model, wrapped=self.cache is None)
            nn.utils.clip_grad_norm_(self.model.parameters(), config.optim.gradient_clip)
            self.optimiser.step()
            self.average.update(self.model, step)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value.item() / self.steps
        total = totals.pop("total", 0.0)
        return {"loss": total, **{f"loss_{name}": value for name, value in totals.items()}}

    def _set_learning_rates(self, step: int) -> None:
        optim = self.config.optim
        share = share_of_peak(step, optim.epochs * self.steps, optim.warmup_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share

    def _batch(self, chosen: NDArray[np.int64], epoch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Augmented, normalised slices [B, S, H, W] and their labels [B, H, W]."""
        config = self.config
        ratio = config.input.size / config.data.cache_size
        variants = config.data.augmented_variants
        if variants:
            seeds = [config.seed * 100_003 + (int(i) * variants + epoch % variants) for i in chosen]
            parts = [
                self._augmented(np.array([i]), torch.Generator().manual_seed(s), ratio)
                for i, s in zip(chosen, seeds, strict=True)
            ]
            images, labels = torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])
        else:
            images, labels = self._augmented(chosen, generator, ratio)
        levels = None if self.bank.levels_M4 is None else self.bank.levels_M4[chosen]
        inputs = torch.from_numpy(config.input.normalise(images.numpy(), levels))
        device = self.workers.device
        return inputs.to(device).contiguous(memory_format=torch.channels_last), labels.to(device)

    def _augmented(self, chosen: NDArray[np.int64], generator: torch.Generator, ratio: float) -> tuple[Tensor, Tensor]:
        images_BSLL, labels_BLL = self.bank.batch(chosen)
        numbers = augment.draw(self.config.augment, len(chosen), images_BSLL.shape[1], ratio, generator)
        as_one = self.config.input.normalisation == "stack"
        return augment.apply(numbers, images_BSLL, labels_BLL, self.config.input.size, keep_levels=as_one)

    def _prompts(self, labels_BHW: Tensor, generator: torch.Generator) -> tuple[Boxes, ...]:
        """Boxes of the labels, moved about, for a network that takes boxes; else nothing."""
        if not takes_boxes(self.model):
            return ()
        boxes, spec = self.model.true_boxes(labels_BHW), self.config.input
        numbers = augment.draw_moves(self.config.augment, boxes, generator)
        return (augment.move_boxes(numbers, boxes, spec.spacing_mm, spec.size),)

    def _outputs(self, inputs_BSHW: Tensor, prompts: tuple[Boxes, ...]) -> Outputs:
        with torch.autocast(self.workers.device.type, torch.bfloat16, enabled=self.config.optim.precision == "bf16"):
            if self.cache is not None and is_encoder_decoder(self.model):
                features = self.cache.features(inputs_BSHW, self.model.encode)
                size_hw = (inputs_BSHW.shape[-2], inputs_BSHW.shape[-1])
                return outputs_of(self.model.decode(features, size_hw, *prompts))
            return outputs_of(self.parallel(inputs_BSHW, *prompts))
