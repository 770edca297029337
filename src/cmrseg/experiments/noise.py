"""Dice of trained networks with noise added to the image, many times over: ScarNet's Monte Carlo simulation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.evaluate import lge
from cmrseg.evaluate.metrics import dice
from cmrseg.experiments.runner import Report
from cmrseg.experiments.scale import Scale
from cmrseg.experiments.views import Trained
from cmrseg.io.datasets.layout import Truth
from cmrseg.io.files import write_text
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import load_case
from cmrseg.train.run import held_out_cases, pipeline_of_run

#: SD of the noise, as a share of the stack's range of brightness; the paper's "noise level of 0.05".
SIGMA = 0.05
#: The range goes from one of these percentiles to the other.
PERCENTILES = (0.5, 99.5)
SEED = 0
DRAWS = "noise.json"
STRUCTURES = ("scar", "myocardium")


@dataclass(frozen=True)
class Draw:
    """One patient with one draw of noise."""

    k: int
    """Which draw; 0 is the image without noise."""
    case_id: str
    """The patient."""
    dice: Mapping[str, float]
    """By structure; without scar where the truth has none."""


@dataclass(frozen=True)
class NoiseSummary:
    """Dice of one structure under noise, 0..1. Patients weigh alike."""

    clean: float
    """Mean without noise."""
    mean: float
    """Mean over patients and draws."""
    sd_patients: float
    """SD over patients of their means over draws; 0 for one patient."""
    sd_draws: float
    """SD over draws within a patient, as root mean square over patients; 0 for one draw."""
    draws: int
    """Draws of each patient."""
    noisy: tuple[float, ...]
    """Mean over draws of each patient."""
    changes: tuple[float, ...]
    """By how much noise changed it, of each patient."""


def noisy(image: Image, seed: Sequence[int], sigma: float = SIGMA) -> Image:
    """The image with Gaussian noise; the same seed gives the same noise.

    Args:
        image: any stack.
        seed: of the noise.
        sigma: its SD as a share of the range between `PERCENTILES` of the stack's brightness.
    """
    low, high = np.percentile(image.data, PERCENTILES)
    noise = np.random.default_rng(seed).standard_normal(image.data.shape, np.float32)
    data: NDArray[np.float32] = image.data + np.float32(sigma * (high - low)) * noise
    return replace(image, data=data)


def measure(rows: Mapping[str, Trained], data: Path, scale: Scale, report: Report) -> None:
    """Draw noise for every row that has not had all its draws; what was drawn stays in its folder.

    Args:
        rows: trained rows.
        data: root of the patients.
        scale: names the number of draws.
        report: takes lines of progress.
    """
    for name, row in rows.items():
        draws = load(row.run)
        done = 1 + max((d.k for d in draws), default=-1)
        if done > scale.noise_runs:
            continue
        report(f"{name}: noise, draw {done} of {scale.noise_runs}")
        config, pipeline = TrainConfig.load(row.run / "config.json"), pipeline_of_run(row.run)
        torch.set_num_threads(scale.base.threads)
        loaded = [(c.case_id, *load_case(c, config.data)) for c in held_out_cases(config, data, row.run)]
        for k in range(done, scale.noise_runs + 1):
            for number, (case_id, study, truth) in enumerate(loaded):
                image = study.images[0] if k == 0 else noisy(study.images[0], (SEED, k, number))
                draws.append(Draw(k, case_id, _dice(image, truth, pipeline)))
            _save(draws, row.run)


def _dice(image: Image, truth: Truth, pipeline: Pipeline) -> dict[str, float]:
    """Dice of the structures that the truth has; 0 where no heart was found."""
    try:
        found = segment(image, pipeline).labels[0]
    except InputRefused:
        found = np.zeros_like(truth.labels[0])
    result = {}
    for name in STRUCTURES:
        expected, given = (
            scheme.mask(labels, *(p for p in lge.STRUCTURES[name] if p in scheme.numbers))
            for scheme, labels in ((truth.scheme, truth.labels[0]), (pipeline.scheme, found))
        )
        if expected.any():
            result[name] = dice(given, expected)
    return result


def load(run: Path) -> list[Draw]:
    """What was drawn for a run; empty where nothing was."""
    path = run / DRAWS
    return [Draw(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _save(draws: Sequence[Draw], run: Path) -> None:
    write_text(run / DRAWS, json.dumps([asdict(draw) for draw in draws]) + "\n")


def summary(draws: Sequence[Draw], structure: str) -> NoiseSummary | None:
    """Dice of a structure over patients and draws; None without noisy draws of a patient who has it."""
    found = [(d.k, d.case_id, d.dice[structure]) for d in draws if structure in d.dice]
    clean = {case_id: value for k, case_id, value in found if k == 0}
    patients = [[value for k, i, value in found if i == case_id and k > 0] for case_id in clean]
    if not patients or not patients[0]:
        return None
    values = np.array(patients)
    means, before = values.mean(axis=1), np.array(list(clean.values()))
    within = values.var(axis=1, ddof=1).mean() if values.shape[1] > 1 else 0.0
    return NoiseSummary(
        clean=float(before.mean()),
        mean=float(means.mean()),
        sd_patients=float(means.std(ddof=1)) if len(means) > 1 else 0.0,
        sd_draws=float(np.sqrt(within)),
        draws=values.shape[1],
        noisy=tuple(means.tolist()),
        changes=tuple((means - before).tolist()),
    )
