"""Training slices in memory: cut to windows round the heart, shown with their neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import SCHEMES
from cmrseg.segment.preprocess import image_centre
from cmrseg.study import Study
from cmrseg.train.config import DataConfig, TrainConfig
from cmrseg.train.data import class_numbers, load_case
from cmrseg.train.generated import generated_studies, repainted_studies
from cmrseg.train.label_noise import noisy_truth


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
    """Cut every labelled frame of the cases, and of what is generated beside them, to windows."""
    images: list[NDArray[np.float16]] = []
    labels: list[NDArray[np.uint8]] = []
    contexts: list[NDArray[np.int64]] = []
    levels: list[NDArray[np.float32]] = []
    start, reach = 0, config.input.context_slices // 2
    for study, truth, times in _studies(cases, config.data):
        for image_ZLL, labels_ZLL in _windows(study, truth, config):
            depth = len(image_ZLL)
            offsets = np.arange(-reach, reach + 1)
            context_ZS = start + np.clip(np.arange(depth)[:, None] + offsets, 0, depth - 1)
            contexts.append(np.tile(context_ZS, (times, 1)))
            images.append(image_ZLL)
            labels.append(labels_ZLL)
            start += depth
            if config.input.normalisation == "stack":
                margin = (image_ZLL.shape[-1] - config.input.size) // 2
                seen = image_ZLL[:, margin : margin + config.input.size, margin : margin + config.input.size]
                levels.append(np.repeat(config.input.levels(seen), depth * times, axis=0))
    stacked = np.concatenate(levels) if levels else None
    return SliceBank(np.concatenate(images), np.concatenate(labels), np.concatenate(contexts), stacked)


def _studies(cases: Iterable[Case], config: DataConfig) -> Iterator[tuple[Study, Truth, int]]:
    """Everything to train on, with how often an epoch shows it."""
    for case in cases:
        study, truth = load_case(case, config)
        drawn = noisy_truth(study.images[0], truth, config.label_noise, case.case_id)
        yield study, drawn, config.repeats
        for painted, known in repainted_studies(study, drawn, case.case_id, config.generated):
            yield painted, known, 1
    for study, truth in generated_studies(config.generated):
        yield study, truth, 1


def _windows(
    study: Study, truth: Truth, config: TrainConfig
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.uint8]]]:
    image = study.images[0]
    cached = replace(config.input, size=config.data.cache_size)
    trained = class_numbers(truth, SCHEMES[config.scheme])
    for heart_ZYX, labels_ZYX, frame in zip(truth.labels, trained, truth.frames, strict=True):
        centre = image_centre(image.geometry)
        if config.data.centre == "heart":
            _, row, column = ndimage.center_of_mass(heart_ZYX > 0)
            centre = (column, row)
        window = cached.window(image.geometry, centre)
        pixels = window.extract(image.data[frame])
        low, high = np.percentile(pixels, [0.05, 99.95])
        scaled = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1).astype(np.float16)
        classes = np.arange(config.model.n_classes)
        shares = np.stack([window.extract((labels_ZYX == k).astype(np.float32)) for k in classes], axis=0)
        yield scaled, shares.argmax(axis=0).astype(np.uint8)
