"""Rows of an experiment: each is a training, measured on the patients it held out, kept on disk, never run twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cmrseg.evaluate.cine import CineScore
from cmrseg.evaluate.evaluators import CINE, Evaluator, Scores, evaluator_of
from cmrseg.evaluate.statistics import bootstrap_interval
from cmrseg.experiments.scores import PATIENTS, load_scores, save_scores
from cmrseg.io.files import write_text
from cmrseg.models import registry
from cmrseg.train.bank import build_bank
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import find_cases, make_split
from cmrseg.train.loop import seconds_per_epoch
from cmrseg.train.run import run_training, score_run

RESULT = "result.json"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of a table before it is run."""

    name: str
    """As the paper calls it."""
    config: TrainConfig
    """The training."""
    paper: Mapping[str, float] = field(default_factory=dict)
    """What the paper says, by the names of `RowResult.measured`, in percent and mm."""
    note: str = ""
    """What a reader must know to compare."""


@dataclass(frozen=True)
class RowResult:
    """One line of a table after it was run."""

    name: str
    """As the paper calls it."""
    paper: Mapping[str, float]
    """What the paper says."""
    measured: Mapping[str, float]
    """What we measured on held-out patients, see `measured`; the mean over seeds where there are several. Empty for a
    row that was not run."""
    weights_m: float
    """Weights in millions."""
    trainable_m: float
    """Those of them that were trained."""
    epochs: int
    """Epochs trained."""
    minutes: float
    """Training time; the mean over seeds."""
    seed: int
    """Seed of the training, the first where there are several."""
    patients_trained_on: int
    """Patients that trained it."""
    patients_measured_on: int
    """Patients that it never saw."""
    note: str = ""
    """What a reader must know to compare."""
    seeds: int = 1
    """Trainings that this line sums up."""
    sd: Mapping[str, float] = field(default_factory=dict)
    """SD of `measured` over seeds; empty for one."""
    oracle: bool = False
    """Whether it was given what only the truth knows: it is comparable with no other row, and tested against none."""


@dataclass(frozen=True)
class ForeignRow:
    """A line that is not trained by our loop."""

    name: str
    """As the paper calls it."""
    paper: Mapping[str, float]
    """See `Row.paper`."""
    measure: Callable[[Path, Path, float, Report], tuple[RowResult, Scores]] | None
    """From data, folder of the run, minutes of training (0 for as long as its own settings say) and a report of
    progress to result and scores; None where it cannot be run."""
    note: str = ""
    """What a reader must know to compare, or why it was not run."""


def run_rows(
    rows: Sequence[Row | ForeignRow],
    data: Path,
    out: Path,
    minutes: float,
    report: Report,
    seeds: int = 1,
) -> list[RowResult]:
    """Run every row that has no result yet.

    Args:
        rows: what to run.
        data: root of the labelled patients.
        out: folder of the experiment; each row has a run folder in it.
        minutes: training time of each row; 0 leaves the epochs of its configuration.
        report: takes lines of progress.
        seeds: trainings of each row, which differ in their seed: that of the row, the next, and so on. The line is then
            their mean, with the SD. Rows that our loop does not train have one.
    """
    results = []
    for row in rows:
        if isinstance(row, ForeignRow):
            results.append(_run_foreign(row, data, run_folder(out, row.name), minutes, report))
            continue
        found = [_run_row(row, data, out, k, minutes, report) for k in range(seeds)]
        runs = [run_folder(out, row.name, k) for k in range(seeds)]
        results.append(_over_seeds(found, runs, data, evaluator_of(row.config.scheme)))
    return results


def run_folder(out: Path, name: str, k: int = 0) -> Path:
    """Folder of a row's training with the k-th of its seeds."""
    return out / "runs" / (slug(name) if k == 0 else f"{slug(name)}-seed-{k + 1}")


def slug(name: str) -> str:
    """A name as a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "row"


def row_scores(run: Path, data: Path) -> list[Any]:
    """Scores of a finished run's held-out patients; measured again from its weights where only they were kept."""
    path = run / PATIENTS
    if not path.exists():
        scores, _ = score_run(TrainConfig.load(run / "config.json"), data, run)
        save_scores(scores, path)
    return load_scores(path)


def measured(scores: Scores, evaluator: Evaluator[Any] = CINE) -> dict[str, float]:
    """Summary of patients, bootstrap interval of their Dice, and for cine the share of voxels with the right label."""
    cine = [s for s in scores if isinstance(s, CineScore)]
    right = {
        "label_accuracy_mean": [s.label_accuracy for s in cine],
        "label_trivial_accuracy_mean": [s.trivial_accuracy for s in cine],
    }
    shares = {name: float(np.mean(values)) for name, values in right.items() if values}
    return evaluator.summarise(scores) | shares | _interval(_dice(scores, evaluator), evaluator)


def _dice(scores: Scores, evaluator: Evaluator[Any]) -> list[float]:
    return [value for s in scores if (value := evaluator.dice(s)) is not None]


def _interval(dice: Sequence[float], evaluator: Evaluator[Any] = CINE) -> dict[str, float]:
    interval, name = bootstrap_interval(dice), evaluator.dice_name
    return {} if interval is None else {f"{name}_low": interval.low, f"{name}_high": interval.high}


def _run_row(row: Row, data: Path, out: Path, k: int, minutes: float, report: Report) -> RowResult:
    run = run_folder(out, row.name, k)
    if (run / RESULT).exists():
        return _stored(run)
    seed = row.config.seed + k
    report(f"{row.name}: training, seed {seed}")
    if k and not (run / "config.json").exists():
        # as many epochs as the first seed's, however busy the machine is by now
        config = replace(TrainConfig.load(run_folder(out, row.name) / "config.json"), seed=seed)
    else:
        config = _timed(row.config, data, run, minutes)
    run_training(config, data, run, None, report)
    scores, _ = score_run(config, data, run)
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    model = registry.build(config.network, config.model)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    result = RowResult(
        name=row.name,
        paper=dict(row.paper),
        measured=measured(scores, evaluator_of(config.scheme)),
        weights_m=sum(n for n, _ in sizes) / 1e6,
        trainable_m=sum(n for n, trained in sizes if trained) / 1e6,
        epochs=config.optim.epochs,
        minutes=sum(line["seconds"] for line in lines) / 60,
        seed=config.seed,
        patients_trained_on=len(split["train"]),
        patients_measured_on=len(scores),
        note=row.note,
    )
    _store(result, scores, run, report)
    return result


def _run_foreign(row: ForeignRow, data: Path, run: Path, minutes: float, report: Report) -> RowResult:
    if (run / RESULT).exists():
        return _stored(run)
    if row.measure is None:
        return RowResult(row.name, dict(row.paper), {}, 0.0, 0.0, 0, 0.0, 0, 0, 0, f"not run: {row.note}")
    report(f"{row.name}: {row.note}")
    run.mkdir(parents=True, exist_ok=True)
    result, scores = row.measure(data, run, minutes, report)
    _store(result, scores, run, report)
    return result


def _stored(run: Path) -> RowResult:
    return RowResult(**json.loads((run / RESULT).read_text(encoding="utf-8")))


def _store(result: RowResult, scores: Scores, run: Path, report: Report) -> None:
    """Scores first: a run that has a result has everything."""
    save_scores(scores, run / PATIENTS)
    write_text(run / RESULT, json.dumps(asdict(result), indent=1) + "\n")
    report(f"{trained_with(result)}. Mean Dice {result.measured['dice_mean']:.3f}")


def trained_with(result: RowResult) -> str:
    """What a line rests on: patients, seeds, epochs, minutes."""
    if not result.measured:
        return f"{result.name}: {result.note}"
    last = result.seed + result.seeds - 1
    seeds = f"seed {result.seed}" if result.seeds == 1 else f"seeds {result.seed} to {last}"
    return (
        f"{result.name}: {result.patients_trained_on} patients trained, {result.patients_measured_on} measured, "
        f"{seeds}, {result.epochs} epochs, {result.minutes:.1f} minutes"
    )


def _over_seeds(
    results: Sequence[RowResult], runs: Sequence[Path], data: Path, evaluator: Evaluator[Any] = CINE
) -> RowResult:
    """Mean and SD over seeds; the interval is that of patients, each averaged over seeds."""
    first = results[0]
    if len(results) == 1:
        return first
    every = {key: [r.measured[key] for r in results if key in r.measured] for key in first.measured}
    patients = [_dice(row_scores(run, data), evaluator) for run in runs]
    interval = _interval(np.mean(patients, axis=0).tolist(), evaluator)
    return replace(
        first,
        measured={k: float(np.mean(v)) for k, v in every.items()} | interval,
        sd={k: float(np.std(v, ddof=1)) for k, v in every.items() if len(v) > 1},
        minutes=float(np.mean([r.minutes for r in results])),
        seeds=len(results),
    )


def _timed(config: TrainConfig, data: Path, run: Path, minutes: float) -> TrainConfig:
    """The configuration with as many epochs as fit the time; those of a run that was begun stay."""
    if (run / "config.json").exists():
        return TrainConfig.load(run / "config.json")
    if not minutes:
        return config
    cases = {case.case_id: case for case in find_cases(data, config.data)}
    split = make_split(cases.values(), config.data)
    bank = build_bank([cases[i] for i in split.train], config)
    epochs = max(1, int(60 * minutes / seconds_per_epoch(config, bank)))
    return replace(config, optim=replace(config.optim, epochs=epochs))
