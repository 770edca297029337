"""Labelled patients to training arrays: split by patient, cut to windows, kept in memory."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.segment.preprocess import image_centre
from cmrseg.study import Study
from cmrseg.train.config import DataConfig, TrainConfig


@dataclass(frozen=True)
class Split:
    """Which patient is used for what. Patients, never slices, are divided."""

    train: tuple[str, ...]
    validation: tuple[str, ...]

    def __post_init__(self) -> None:
        shared = set(self.train) & set(self.validation)
        if shared:
            raise UsageError(
                f"{len(shared)} patients stand in both training and validation: {sorted(shared)[:5]}.",
                "Divide by patient.",
            )

    def save(self, path: Path) -> None:
        """Write the ids as JSON."""
        path.write_text(json.dumps({"train": self.train, "validation": self.validation}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read what `save` wrote."""
        values = json.loads(path.read_text())
        return cls(tuple(values["train"]), tuple(values["validation"]))


def make_split(cases: Iterable[Case], config: DataConfig) -> Split:
    """Keep patients of every diagnostic group for validation; the rest trains.

    With `folds` the patients of each group are dealt out in turn, so that every patient validates exactly once over
    all folds; without, a fixed number of each group is drawn.

    Raises:
        UsageError: a group too small to be divided like that, or no such fold.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case.case_id)
    if config.folds and not 0 <= config.fold < config.folds:
        raise UsageError(f"There is no fold {config.fold} of {config.folds}.", "Count the folds from 0.")
    generator = np.random.default_rng(config.split_seed)
    kept: set[str] = set()
    for name in sorted(groups):
        ids = sorted(groups[name])
        needed = config.folds or config.validation_per_group + 1
        if len(ids) < needed:
            raise UsageError(
                f"Group {name!r} has {len(ids)} patients; at least {needed} are needed.",
                "Lower data.folds or data.validation_per_group, or add patients.",
            )
        if config.folds:
            kept.update(generator.permutation(ids)[config.fold :: config.folds].tolist())
        else:
            kept.update(generator.choice(ids, config.validation_per_group, replace=False).tolist())
    every = sorted(i for ids in groups.values() for i in ids)
    return Split(tuple(i for i in every if i not in kept), tuple(i for i in every if i in kept))


def find_cases(root: Path, config: DataConfig) -> list[Case]:
    """The labelled patients of a data set; UsageError when there are none."""
    module = importlib.import_module(f"cmrseg.io.datasets.{config.layout}")
    cases: list[Case] = module.cases(root)
    if not cases:
        raise UsageError(f"No labelled patient in the layout {config.layout!r} was found.", "Check the folder given.")
    return cases


def load_case(case: Case, config: DataConfig) -> tuple[Study, Truth]:
    """A patient's study and the frames somebody labelled."""
    module = importlib.import_module(f"cmrseg.io.datasets.{config.layout}")
    return module.read(case.path), module.truth(case.path)


@dataclass(frozen=True)
class SliceBank:
    """Training slices in memory, each stack padded by its own ends so that every slice has neighbours.

    Args:
        images_NLL: float16 windows of all stacks one after another, each scaled to 0..1.
        labels_NLL: uint8 class numbers.
        context_MS: for each of the M slices that can be drawn, the index in N of its context slices.
        levels_M4: `InputSpec.levels` of the stack of each, where stacks are normalised as one; else None.
    """

    images_NLL: NDArray[np.float16]
    labels_NLL: NDArray[np.uint8]
    context_MS: NDArray[np.int64]
    levels_M4: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.context_MS)

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images float32[B, S, L, L] and labels uint8[B, L, L] of the chosen slices."""
        context_BS = self.context_MS[chosen]
        images = torch.from_numpy(self.images_NLL[context_BS].astype(np.float32))
        labels = torch.from_numpy(self.labels_NLL[context_BS[:, context_BS.shape[1] // 2]])
        return images, labels


def build_bank(cases: Iterable[Case], config: TrainConfig) -> SliceBank:
    """Cut every labelled frame of the cases to windows."""
    images: list[NDArray[np.float16]] = []
    labels: list[NDArray[np.uint8]] = []
    contexts: list[NDArray[np.int64]] = []
    levels: list[NDArray[np.float32]] = []
    start, reach = 0, config.input.context_slices // 2
    for case in cases:
        for image_ZLL, labels_ZLL in _windows(*load_case(case, config.data), config):
            depth = len(image_ZLL)
            offsets = np.arange(-reach, reach + 1)
            contexts.append(start + np.clip(np.arange(depth)[:, None] + offsets, 0, depth - 1))
            images.append(image_ZLL)
            labels.append(labels_ZLL)
            start += depth
            if config.input.normalisation == "stack":
                margin = (image_ZLL.shape[-1] - config.input.size) // 2
                seen = image_ZLL[:, margin : margin + config.input.size, margin : margin + config.input.size]
                levels.append(np.repeat(config.input.levels(seen), depth, axis=0))
    stacked = np.concatenate(levels) if levels else None
    return SliceBank(np.concatenate(images), np.concatenate(labels), np.concatenate(contexts), stacked)


def _windows(
    study: Study, truth: Truth, config: TrainConfig
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.uint8]]]:
    image = study.images[0]
    cached = replace(config.input, size=config.data.cache_size)
    for labels_ZYX, frame in zip(truth.labels, truth.frames, strict=True):
        centre = image_centre(image.geometry)
        if config.data.centre == "heart":
            _, row, column = ndimage.center_of_mass(labels_ZYX > 0)
            centre = (column, row)
        window = cached.window(image.geometry, centre)
        pixels = window.extract(image.data[frame])
        low, high = np.percentile(pixels, [0.05, 99.95])
        scaled = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1).astype(np.float16)
        classes = np.arange(config.model.n_classes)
        shares = np.stack([window.extract((labels_ZYX == k).astype(np.float32)) for k in classes], axis=0)
        yield scaled, shares.argmax(axis=0).astype(np.uint8)
