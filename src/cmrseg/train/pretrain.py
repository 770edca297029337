"""Self-supervised pre-training of SAM's image encoder on images without labels, from folders to an encoder bundle."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.io.files import output_file, write_text
from cmrseg.models.encoder_bundle import write_encoder_bundle
from cmrseg.models.mae import MaeConfig, MaskedAutoEncoder, masked_loss, random_mask
from cmrseg.models.sam.config import IMAGE_ENCODERS, ImageEncoderConfig
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train import augment
from cmrseg.train.config import PRECISIONS, AugmentConfig
from cmrseg.train.memory import keep_freed_memory
from cmrseg.train.pretrain_card import UNSTATED_ID, UNSTATED_TEXT, card
from cmrseg.train.stored import StoredConfig
from cmrseg.train.unlabelled import DataRecord, UnlabelledBank, left_out_patients, load_unlabelled
from cmrseg.train.workers import chosen_device

BETAS = (0.9, 0.95)
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class PretrainOptimConfig:
    """How weights are found."""

    epochs: int = 100
    """Passes over the training slices."""
    batch_size: int = 32
    """Slices per step."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW. He et al. scale 1.5e-4 by batch over 256, for batches of 4096 and 800 epochs or
    more; runs of some thousand steps with small batches need larger steps."""
    weight_decay: float = 0.05
    """Weight decay of AdamW, for matrices only."""
    warmup_epochs: float = 5.0
    """Epochs of linear warm-up, at most a tenth of the run; afterwards a cosine to zero."""
    gradient_clip: float = 1.0
    """Largest gradient norm."""
    precision: str = "bf16"
    """Arithmetic of the network: ``fp32``, or ``bf16`` where matrix units make it faster."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision {self.precision!r}.", f"One of {', '.join(PRECISIONS)}.")
        if self.epochs < 1 or self.batch_size < 1:
            raise UsageError("A run needs at least one epoch and one slice per step.", "Give larger numbers.")


@dataclass(frozen=True)
class PretrainConfig(StoredConfig):
    """One pre-training run."""

    name: str = "encoder"
    """Name of the encoder bundle."""
    seed: int = 0
    """Seed of weights, masks, order and augmentation."""
    threads: int = 2
    """CPU threads."""
    device: str = "auto"
    """Where the network computes: ``cpu``, ``cuda``, or ``auto``, a GPU where there is one."""
    cache_size: int = 192
    """Side of the windows kept in memory [px], round the middle of the image; training windows are drawn from them."""
    check_share: float = 0.05
    """Share of the studies that only measure the loss, so that learning by heart shows; 0 for none."""
    input: InputSpec = field(default_factory=lambda: InputSpec(context_slices=1))
    """What the network sees; `size` must be the encoder's `image_size`."""
    encoder: ImageEncoderConfig = field(default_factory=lambda: IMAGE_ENCODERS["small"])
    """The encoder."""
    mae: MaeConfig = field(default_factory=MaeConfig)
    """Masking and decoder."""
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(shift=0.2, scale=0.35, mirror_probability=0.5, noise=0.02)
    )
    """Variation of the images: hearts lie anywhere near the middle, and noise cannot be predicted."""
    optim: PretrainOptimConfig = field(default_factory=PretrainOptimConfig)
    """The optimiser."""

    @classmethod
    def of(cls, encoder: str, settings: Sequence[str] = ()) -> PretrainConfig:
        """The configuration of an encoder preset, with settings such as ``optim.epochs=10`` applied.

        Windows show the same part of the chest at every size of the encoder; they are cached half as large again.

        Raises:
            UsageError: no such preset or setting, or settings that do not fit together.
        """
        if encoder not in IMAGE_ENCODERS:
            raise UsageError(f"There is no encoder {encoder!r}.", f"Encoders: {', '.join(IMAGE_ENCODERS)}.")
        sizes, usual = IMAGE_ENCODERS[encoder], InputSpec()
        spacing_mm = usual.spacing_mm * usual.size / sizes.image_size
        windows = any(sizes.window_of(block) for block in range(sizes.depth))
        config = cls(
            cache_size=sizes.image_size * 3 // 2,
            input=InputSpec(spacing_mm=spacing_mm, size=sizes.image_size, context_slices=1),
            encoder=sizes,
            mae=MaeConfig(masking="token" if windows else "drop"),
        )
        config = config.changed(settings)
        config.check()
        return config

    def check(self) -> None:
        """Raise UsageError where settings do not fit together."""
        if self.input.size != self.encoder.image_size or self.input.context_slices != 1:
            raise UsageError(
                f"The encoder is made for single slices of {self.encoder.image_size} px, "
                f"not {self.input.context_slices} of {self.input.size} px.",
                "Set input.size and encoder.image_size alike, and input.context_slices to 1.",
            )
        if self.input.normalisation != "slice":
            raise UsageError("Pre-training sees slices without their stack.", "Set input.normalisation to slice.")
        if self.cache_size < self.input.size:
            raise UsageError("The windows in memory are smaller than those of the network.", "Raise cache_size.")
        if not 0 <= self.check_share < 1:
            raise UsageError(f"A share of {self.check_share} cannot be kept.", "Give check_share from 0 to below 1.")


@dataclass(frozen=True)
class Terms:
    """Under which terms the images, and so the encoder, may be passed on."""

    licence_id: str = UNSTATED_ID
    """SPDX identifier of the encoder's licence."""
    text: str = UNSTATED_TEXT
    """Content of LICENSE."""


def run_pretraining(
    config: PretrainConfig,
    roots: Sequence[Path],
    run: Path,
    exclude: Path | None,
    terms: Terms,
    report: Callable[[str], None],
) -> Path:
    """Pre-train an encoder and write its bundle, or go on with a run that was interrupted.

    Args:
        config: the run. A folder begun with another configuration or other data is refused.
        roots: folders of data; see `cmrseg.train.unlabelled.find_studies`.
        run: folder for config.json, data.json, log.jsonl, checkpoint.safetensors and the bundle ``encoder``.
        exclude: split.json whose validation and test patients must not be seen; None to use every study.
        terms: licence of the bundle.
        report: takes lines of progress.

    Returns:
        the folder of the encoder bundle.

    Raises:
        UsageError: settings that do not fit, no data, or a patient that must be left out and is not.
    """
    config.check()
    left_out = left_out_patients(exclude) if exclude else frozenset()
    run.mkdir(parents=True, exist_ok=True)
    bank, record = load_unlabelled(roots, left_out, config.input, config.cache_size, report)
    _same_as_before(run / "config.json", config.to_dict())
    _same_as_before(run / "data.json", json.loads(json.dumps(dataclasses.asdict(record))))
    model = pretrain(config, bank, run, report)
    target = run / "encoder"
    if target.exists():
        report(f"{target} is there already")
    else:
        export_encoder(target, config, model, record, _log(run), terms)
        report(f"wrote {target}")
    return target


def _same_as_before(path: Path, values: dict[str, Any]) -> None:
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != values:
        raise UsageError(
            f"{path.parent.name} holds a run with another {path.name}.",
            "Give another folder, or the settings and data it began with.",
        )
    write_text(path, json.dumps(values, indent=1) + "\n")


def export_encoder(
    target: Path,
    config: PretrainConfig,
    model: MaskedAutoEncoder,
    record: DataRecord,
    losses: Sequence[dict[str, float]],
    terms: Terms,
) -> None:
    """Write the encoder of a finished run as a bundle; the decoder is thrown away.

    Raises:
        OutputError: the folder exists, or writing failed.
    """
    description = {
        "name": config.name,
        "licence_id": terms.licence_id,
        "data": dataclasses.asdict(record),
        "training": config.published(),
        "losses": {"first": losses[0], "last": losses[-1]},
    }
    documents = {"CARD.md": card(config.name, description), "LICENSE": terms.text}
    write_encoder_bundle(target, config.encoder, model.encoder.state_dict(), description, documents)


def pretrain(
    config: PretrainConfig, bank: UnlabelledBank, run: Path, report: Callable[[str], None]
) -> MaskedAutoEncoder:
    """The network after all epochs, going on from the last checkpoint of the run folder.

    Order, masks and augmentation depend on seed and epoch alone, so that a resumed run repeats what it would have done.
    """
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    torch.manual_seed(config.seed)
    model = MaskedAutoEncoder(config.encoder, config.mae).to(chosen_device(config.device))
    optimiser = _optimiser(model, config.optim)
    training, checking = _divide(bank, config)
    steps = math.ceil(len(training) / config.optim.batch_size)
    first = _resume(run, model, optimiser)
    for epoch in range(first, config.optim.epochs):
        began = time.monotonic()
        loss = _one_epoch(config, bank, training, model, optimiser, epoch, steps)
        line = {"epoch": epoch + 1, "loss": loss}
        if len(checking):
            line["check_loss"] = _check_loss(config, bank, checking, model)
        line["seconds"] = time.monotonic() - began
        if not math.isfinite(loss):
            raise UsageError(f"The loss is {loss} in epoch {epoch + 1}.", "Lower optim.learning_rate.")
        _log_line(run, line)
        _checkpoint(run, model, optimiser, epoch + 1)
        report(" ".join(f"{k} {v:.4g}" for k, v in line.items()))
    return model


def learning_rate_at(step: int, steps_per_epoch: int, config: PretrainOptimConfig) -> float:
    """Linear warm-up, then a cosine to zero at the last step; `step` counts from 0 over all epochs."""
    total = steps_per_epoch * config.epochs
    warmup = min(config.warmup_epochs, config.epochs / 10) * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def _optimiser(model: nn.Module, config: PretrainOptimConfig) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay)


def _divide(bank: UnlabelledBank, config: PretrainConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows to train on and windows to check with, by study."""
    studies = len(bank.stacks)
    order = np.random.default_rng(config.seed).permutation(studies)
    kept = order[: int(studies * config.check_share)]
    checks = np.isin(bank.place_N2[:, 0], kept)
    return np.flatnonzero(~checks), np.flatnonzero(checks)


def _one_epoch(
    config: PretrainConfig,
    bank: UnlabelledBank,
    training: NDArray[np.int64],
    model: MaskedAutoEncoder,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    steps: int,
) -> float:
    order = np.random.default_rng([config.seed, epoch]).permutation(training)
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    total = 0.0
    for k, chosen in enumerate(np.array_split(order, steps)):
        images = _augmented(config, bank.batch(chosen), generator)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(epoch * steps + k, steps, config.optim)
        optimiser.zero_grad(set_to_none=True)
        loss = _loss(config, model, images, generator)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.gradient_clip)
        optimiser.step()
        total += loss.item()
    return total / steps


@torch.no_grad()
def _check_loss(
    config: PretrainConfig, bank: UnlabelledBank, checking: NDArray[np.int64], model: MaskedAutoEncoder
) -> float:
    """Loss on studies that do not train, with the same draws after every epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    batches = np.array_split(checking, math.ceil(len(checking) / config.optim.batch_size))
    losses = [
        _loss(config, model, _augmented(config, bank.batch(chosen), generator), generator).item() for chosen in batches
    ]
    return float(np.average(losses, weights=[len(chosen) for chosen in batches]))


def _augmented(config: PretrainConfig, cached_B1LL: Tensor, generator: torch.Generator) -> Tensor:
    """Normalised windows [B, 1, H, W] of cached ones."""
    batch, _, side, _ = cached_B1LL.shape
    numbers = augment.draw(config.augment, batch, 1, config.input.size / side, generator)
    no_labels = torch.zeros(batch, side, side, dtype=torch.uint8)
    images, _ = augment.apply(numbers, cached_B1LL, no_labels, config.input.size)
    return torch.from_numpy(config.input.normalise(images.numpy()))


def _loss(config: PretrainConfig, model: MaskedAutoEncoder, images: Tensor, generator: torch.Generator) -> Tensor:
    device = next(model.parameters()).device
    images = images.to(device)
    mask_BN = random_mask(len(images), model.side**2, config.mae.mask_ratio, generator).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.optim.precision == "bf16"):
        predicted = model(images, mask_BN)
    return masked_loss(predicted.float(), images, mask_BN, config.mae)


def _checkpoint(run: Path, model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    with output_file(run / CHECKPOINT) as partial:
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata={"epoch": str(epoch)})


def _resume(run: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Load the last checkpoint; returns the number of epochs already done."""
    path = run / CHECKPOINT
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    with safe_open(path, "pt") as file:
        return int(file.metadata()["epoch"])


def _log(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def _log_line(run: Path, line: dict[str, float]) -> None:
    """Add a line; of an epoch that a killed run had logged and not yet kept, the new line stays."""
    earlier = [old for old in (_log(run) if line["epoch"] > 1 else []) if old["epoch"] < line["epoch"]]
    write_text(run / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in (*earlier, line)))
