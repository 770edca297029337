"""Training of the network that draws what a person points at, with simulated prompts.

Every slice is encoded once and prompted several times; after a first mask, clicks follow where it is wrong. Order,
augmentation and prompts depend on seed and epoch alone, so that a resumed run repeats what it would have done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case
from cmrseg.losses.prompted import prompted_mask_loss
from cmrseg.models.blocks import to_channels_last
from cmrseg.models.encoder_bundle import encoder_path
from cmrseg.models.prompted.model import PromptedSam, PromptTensors
from cmrseg.models.unet import UNetConfig
from cmrseg.train import augment, checkpoint
from cmrseg.train.bank import SliceBank, build_bank
from cmrseg.train.config import DataConfig, GeneratedConfig, TrainConfig
from cmrseg.train.data import Split, find_cases, make_split
from cmrseg.train.loop import WeightAverage, share_of_peak
from cmrseg.train.memory import keep_freed_memory
from cmrseg.train.prompt_config import PromptTrainConfig
from cmrseg.train.prompt_simulation import Target, simulate, targets_of
from cmrseg.train.scalars import ScalarLog
from cmrseg.train.workers import chosen_device

Report = Callable[[str], None]
_KERNELS = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)


def run_prompt_training(config: PromptTrainConfig, data: Path, run: Path, report: Report) -> PromptedSam:
    """Train, or go on with a run that was interrupted.

    Args:
        config: what to train. A run that was begun with another configuration is refused.
        data: folder of the labelled cines.
        run: folder for config.json, split.json, checkpoint.safetensors and log.jsonl; resumed if there.
        report: takes one line of progress.

    Returns:
        the averaged network, in evaluation mode.

    Raises:
        UsageError: no data, a group too small to split, or a run folder of another configuration.
    """
    parts = divided(config, data)
    split = whole_split(parts)
    run.mkdir(parents=True, exist_ok=True)
    path = run / "config.json"
    if path.exists() and PromptTrainConfig.load(path) != config:
        raise UsageError(
            f"{run.name} holds a run of another configuration.", "Give another folder, or the settings it began with."
        )
    config.save(path)
    split.save(run / "split.json")
    bank = prompt_bank(config, data, parts)
    report(f"{len(split.train)} patients, {len(bank)} slices to train on; {len(split.validation)} patients held out")
    return train_prompted(config, bank, run, report)


def divided(config: PromptTrainConfig, data: Path) -> list[tuple[DataConfig, list[Case], Split]]:
    """Cine, and LGE where there is any: how each is laid out, who is in it, and who of them trains."""
    sources = [(config.cine, data)]
    if config.lge_root:
        sources.append((config.lge, Path(config.lge_root)))
    parts = []
    for layout, root in sources:
        cases = find_cases(root, layout)
        parts.append((layout, cases, make_split(cases, layout)))
    return parts


def whole_split(parts: Iterable[tuple[DataConfig, list[Case], Split]]) -> Split:
    """The split of all patients together."""
    splits = [split for _, _, split in parts]
    return Split(*(tuple(i for s in splits for i in getattr(s, kind)) for kind in ("train", "validation", "test")))


def prompt_bank(
    config: PromptTrainConfig, data: Path, parts: Iterable[tuple[DataConfig, list[Case], Split]]
) -> SliceBank:
    """Windows of the slices of those who train, in the numbers of `labels.LGE_RV`, that have a structure to prompt for.

    Raises:
        UsageError: no such slice.
    """
    base = TrainConfig(scheme="lge_rv", input=config.input, model=UNetConfig(n_classes=6))
    banks = []
    for layout, cases, split in parts:
        generated = layout.generated
        if layout is config.cine and config.generated_per_frame:
            hidden = (*split.validation, *split.test)
            generated = GeneratedConfig(
                str(data), layout.layout, config.generated_per_frame, seed=config.seed, leave_out=hidden
            )
        chosen = [case for case in cases if case.case_id in set(split.train)]
        banks.append(build_bank(chosen, replace(base, data=replace(layout, generated=generated))))
    starts = np.cumsum([0, *(len(bank.images_NLL) for bank in banks)])
    bank = SliceBank(
        np.concatenate([b.images_NLL for b in banks]),
        np.concatenate([b.labels_NLL for b in banks]),
        np.concatenate([b.context_MS + start for b, start in zip(banks, starts, strict=False)]),
    )
    useful = [bool(targets_of(labels, config.prompts)) for labels in bank.labels_NLL]
    kept = np.array(useful, bool)[bank.context_MS[:, 0]]
    if not kept.any():
        raise UsageError("No slice holds a structure that is large enough.", "Check the folder and its labels.")
    return replace(bank, context_MS=bank.context_MS[kept])


def train_prompted(config: PromptTrainConfig, bank: SliceBank, run: Path, report: Report) -> PromptedSam:
    """The averaged network after all epochs, going on from the last checkpoint of the run folder."""
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    model = PromptedSam(config.model)
    to_channels_last(model).to(chosen_device(config.device))
    optimiser = torch.optim.AdamW(_groups(model, config), weight_decay=config.optim.weight_decay)
    average = WeightAverage(model, config.optim.average_decay)
    first = checkpoint.resume(run, model, average.model, optimiser)
    if first == 0 and config.encoder_weights:
        model.load_encoder(encoder_path(config.encoder_weights))
        average.model.load_state_dict(model.state_dict())
    loop = _Loop(config, bank, model, average, optimiser)
    scalars = ScalarLog(run / "tensorboard" if config.tensorboard else None)
    for epoch in range(first, config.optim.epochs):
        began = time.monotonic()
        line = {"epoch": epoch + 1.0, **loop.epoch(epoch), "seconds": time.monotonic() - began}
        checkpoint.save(run, model, average.model, optimiser, epoch + 1)
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        scalars.add(line, epoch + 1)
        report(" ".join(f"{k} {v:.4g}" for k, v in line.items()))
    result = average.model
    if not isinstance(result, PromptedSam):
        raise AssertionError("an average is of the network's own class")
    return result


def _groups(model: nn.Module, config: PromptTrainConfig) -> list[dict[str, object]]:
    """Trainable weights with their peak learning rates: the encoder's own, where the configuration gives it one."""
    optim = config.optim
    groups: dict[float, list[nn.Parameter]] = {}
    for name, value in model.named_parameters():
        own = optim.encoder_learning_rate if name.startswith("encoder.") else 0.0
        if value.requires_grad:
            groups.setdefault(own or optim.learning_rate, []).append(value)
    return [{"params": values, "lr": rate, "peak": rate} for rate, values in groups.items()]


class _Loop:
    """What stays the same from epoch to epoch."""

    def __init__(
        self,
        config: PromptTrainConfig,
        bank: SliceBank,
        model: PromptedSam,
        average: WeightAverage,
        optimiser: torch.optim.Optimizer,
    ) -> None:
        self.config, self.bank, self.model, self.average, self.optimiser = config, bank, model, average, optimiser
        self.device = next(model.parameters()).device
        self.steps = max(1, len(bank) // config.optim.batch_size)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train on every slice once; returns the mean of the loss and of its terms, after the last click."""
        config, batch = self.config, self.config.optim.batch_size
        random = np.random.default_rng([config.seed, epoch])
        order = random.permutation(len(self.bank))
        generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
        self.model.train()
        totals: dict[str, float] = {}
        for k in range(self.steps):
            step = epoch * self.steps + k
            share = share_of_peak(step, config.optim.epochs * self.steps, config.optim.warmup_steps)
            for group in self.optimiser.param_groups:
                group["lr"] = group["peak"] * share
            terms = self._step(order[k * batch : (k + 1) * batch], random, generator)
            self.average.update(self.model, step)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value.item() / self.steps
        total = totals.pop("total", 0.0)
        return {"loss": total, **{f"loss_{name}": value for name, value in totals.items()}}

    def _step(
        self, chosen: NDArray[np.int64], random: np.random.Generator, generator: torch.Generator
    ) -> dict[str, Tensor]:
        config = self.config
        images, targets = self._batch(chosen, random, generator)
        asked = simulate(targets, config.prompts, config.model.clicks, generator)
        truth = asked.targets_PHW.to(self.device)
        rounds = 1 + int(random.choice(len(config.prompts.corrections), p=config.prompts.corrections))
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=config.optim.precision == "bf16")
        # on CPUs the fused kernel takes several times as long to go backwards
        with precision, sdpa_kernel([SDPBackend.MATH] if self.device.type == "cpu" else list(_KERNELS)):
            features = self.model.encode(images)
            for number in range(rounds):
                # clicks are added in place, and the graph keeps what it was given
                prompts = PromptTensors(*(part.clone().to(self.device) for part in asked.prompts))
                drawn = self.model.decode(features, images, prompts)
                losses.append(prompted_mask_loss(drawn.logits_PHW, drawn.overlap_P, truth))
                if number + 1 < rounds:
                    asked.correct(drawn.logits_PHW.detach().float().cpu(), generator)
        torch.autograd.backward(torch.stack([terms["total"] for terms in losses]).mean())
        nn.utils.clip_grad_norm_(self.model.parameters(), config.optim.gradient_clip)
        self.optimiser.step()
        return {name: value.detach() for name, value in losses[-1].items()}

    def _batch(
        self, chosen: NDArray[np.int64], random: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, list[list[Target]]]:
        """Augmented, normalised windows [B, 1, H, W] round one structure of each slice, and what is in them."""
        config, spec = self.config, self.config.input
        cached_B1LL, labels_BLL = self.bank.batch(chosen)
        side = cached_B1LL.shape[-1]
        numbers = augment.draw(replace(config.augment, shift=0.0), len(chosen), 1, spec.size / side, generator)
        matrix = numbers.matrix_B23.clone()
        for b, labels in enumerate(labels_BLL.numpy()):
            own = targets_of(labels, config.prompts)
            rows, columns = np.nonzero(own[int(random.integers(len(own)))].mask_HW)
            middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
            middle += random.uniform(-1, 1, 2) * config.prompts.centre_error_pixels
            matrix[b, :, 2] = torch.from_numpy((2 * middle + 1) / side - 1)
        images, labels = augment.apply(replace(numbers, matrix_B23=matrix), cached_B1LL, labels_BLL, spec.size)
        targets = [targets_of(of_one, config.prompts) for of_one in labels.numpy()]
        # where augmentation left too little of every structure, the window is prompted for nothing: drop it
        kept = [b for b, own in enumerate(targets) if own]
        inputs = torch.from_numpy(spec.normalise(images[kept].numpy())).to(self.device)
        return inputs, [targets[b] for b in kept]
