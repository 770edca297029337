"""One training run from data folder to checkpoint: split, cache, train, validate through `segment`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from torch import nn

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.evaluators import evaluator_of
from cmrseg.io.datasets.layout import Case
from cmrseg.labels import SCHEMES
from cmrseg.segment import bundle
from cmrseg.segment.engine import Pipeline, Stage, find_heart
from cmrseg.train.bank import build_bank
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import Split, find_cases, load_case, make_split
from cmrseg.train.lineage import check_lineage
from cmrseg.train.loop import train
from cmrseg.train.predict import TorchPredictor, load_run, stage_of
from cmrseg.train.workers import Workers


def run_training(
    config: TrainConfig, data: Path, run: Path, locator: Path | None, report: Callable[[str], None]
) -> dict[str, float]:
    """Train the network of a configuration and leave a run folder that can be exported.

    Args:
        config: what to train. A run that was begun with another configuration is refused.
        data: root of the data set.
        run: folder for config.json, split.json, checkpoint.safetensors, log.jsonl and validation.csv; resumed if there.
        locator: run folder of a trained locator, to validate a segmenter with the heart found automatically; None for
            the locator of the cine bundle that ships.
        report: takes one line of progress.

    Returns:
        the last validation: ``dice_mean`` and the rest for a segmenter, ``centre_error_mm`` for a locator.

    Raises:
        UsageError: no data, a group too small to split, a run folder of another configuration, or patients held out
            who trained the weights it begins with.
    """
    workers = Workers.join(config.device)
    cases = find_cases(data, config.data)
    split = make_split(cases, config.data)
    check_lineage(config, split)
    if workers.first:
        run.mkdir(parents=True, exist_ok=True)
        _same_configuration(config, run)
        split.save(run / "split.json")
    workers.wait()
    by_id = {case.case_id: case for case in cases}
    bank = build_bank([by_id[i] for i in split.train], config)
    if workers.first:
        counts = f"{len(split.train)} patients, {len(bank)} slices to train on"
        report(f"{counts}; {len(split.validation)} patients to validate")
    held_out = [by_id[i] for i in split.validation]
    check = (
        partial(_validate_locator, config, held_out)
        if config.data.centre == "image"
        else partial(_validate_segmenter, config, held_out, locator, run)
    )
    train(config, bank, run, check, report)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {k: v for k, v in lines[-1].items() if not k.startswith(("epoch", "loss", "seconds"))}


def _same_configuration(config: TrainConfig, run: Path) -> None:
    path = run / "config.json"
    if path.exists() and TrainConfig.load(path) != config:
        raise UsageError(
            f"{run.name} holds a run of another configuration.", "Give another folder, or the settings it began with."
        )
    config.save(path)


def _validate_locator(config: TrainConfig, cases: list[Case], model: nn.Module) -> dict[str, float]:
    """Distance in mm between the heart found and the centroid of the truth, in the plane of the slices."""
    stage = Stage(config.input, TorchPredictor([model]))
    errors, missed = [], 0
    for case in cases:
        study, truth = load_case(case, config.data)
        image = study.images[0]
        x_mm, y_mm, _ = image.geometry.spacing_xyz_mm
        _, row, column = ndimage.center_of_mass((truth.labels > 0).any(axis=0))
        try:
            found = find_heart(image, stage)
        except InputRefused:
            missed += 1
            continue
        errors.append(float(np.hypot((found[0] - column) * x_mm, (found[1] - row) * y_mm)))
    return {"centre_error_mm": float(np.mean(errors)), "centre_error_max_mm": max(errors), "missed": missed}


def _validate_segmenter(
    config: TrainConfig, cases: list[Case], locator: Path | None, run: Path, model: nn.Module
) -> dict[str, float]:
    evaluator = evaluator_of(config.scheme)
    scores = evaluator.score(cases, lambda case: load_case(case, config.data), _pipeline(config, model, locator))
    evaluator.write_scores(scores, run / "validation.csv")
    return evaluator.summarise(scores)


def _pipeline(config: TrainConfig, model: nn.Module, locator: Path | None) -> Pipeline:
    """A network behind a locator: a trained run's, or the one of the cine bundle that ships."""
    return Pipeline(
        locator=bundle.load("cine").pipeline().locator if locator is None else stage_of([locator]),
        segmenter=Stage(config.input, TorchPredictor([model])),
        scheme=SCHEMES[config.scheme],
        method=config.name,
    )


def pipeline_of_run(run: Path, locator: Path | None = None) -> Pipeline:
    """A trained run's network, its averaged weights, behind a locator; see `run_training`."""
    config, model = load_run(run)
    return _pipeline(config, model, locator)


def held_out_cases(config: TrainConfig, data: Path, run: Path) -> list[Case]:
    """The patients that measure a run: those kept for the end, else those of validation."""
    held_out = set(Split.load(run / "split.json").held_out)
    return [case for case in find_cases(data, config.data) if case.case_id in held_out]


def score_run(
    config: TrainConfig, data: Path, run: Path, locator: Path | None = None
) -> tuple[list[Any], dict[str, float]]:
    """Measure a finished run on the patients that it held out.

    Args:
        config: of the run.
        data: root of the data set.
        run: its folder.
        locator: see `run_training`.

    Returns:
        one score per patient, of the type that `evaluator_of` names, and their summary.
    """
    evaluator, cases = evaluator_of(config.scheme), held_out_cases(config, data, run)
    scores = evaluator.score(cases, lambda case: load_case(case, config.data), pipeline_of_run(run, locator))
    return scores, evaluator.summarise(scores)
