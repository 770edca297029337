"""Rows of an experiment: each is a training, measured on the patients it held out, kept on disk, never run twice."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cmrseg.evaluate.statistics import bootstrap_interval
from cmrseg.models import registry
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import build_bank, find_cases, make_split
from cmrseg.train.loop import seconds_per_epoch
from cmrseg.train.run import run_training, score_run

RESULT = "result.json"


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
    """What we measured on held-out patients: `cmrseg.evaluate.cine.summarise`, and an interval of ``dice_mean``."""
    weights_m: float
    """Weights in millions."""
    trainable_m: float
    """Those of them that were trained."""
    epochs: int
    """Epochs trained."""
    minutes: float
    """Training time."""
    seed: int
    """Seed of the training."""
    patients_trained_on: int
    """Patients that trained it."""
    patients_measured_on: int
    """Patients that it never saw."""
    note: str = ""
    """What a reader must know to compare."""


def run_rows(
    rows: Sequence[Row],
    data: Path,
    out: Path,
    minutes: float,
    report: Callable[[str], None],
) -> list[RowResult]:
    """Run every row that has no result yet.

    Args:
        rows: what to run.
        data: root of the labelled patients.
        out: folder of the experiment; each row has a run folder in it.
        minutes: training time of each row; 0 leaves the epochs of its configuration.
        report: takes lines of progress.
    """
    return [_run_row(row, data, out / "runs" / slug(row.name), minutes, report) for row in rows]


def slug(name: str) -> str:
    """A name as a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "row"


def _run_row(row: Row, data: Path, run: Path, minutes: float, report: Callable[[str], None]) -> RowResult:
    stored = run / RESULT
    if stored.exists():
        return RowResult(**json.loads(stored.read_text()))
    report(f"{row.name}: training")
    config = _timed(row.config, data, run, minutes)
    began = time.monotonic()
    run_training(config, data, run, None, report)
    elapsed = (time.monotonic() - began) / 60
    scores, summary = score_run(config, data, run)
    dice = [sum(s.dice.values()) / len(s.dice) for s in scores]
    interval = bootstrap_interval(dice)
    if interval is not None:
        summary |= {"dice_mean_low": interval.low, "dice_mean_high": interval.high}
    split = json.loads((run / "split.json").read_text())
    model = registry.build(config.network, config.model)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    result = RowResult(
        name=row.name,
        paper=dict(row.paper),
        measured=summary,
        weights_m=sum(n for n, _ in sizes) / 1e6,
        trainable_m=sum(n for n, trained in sizes if trained) / 1e6,
        epochs=config.optim.epochs,
        # a resumed run's log knows more than this process's clock
        minutes=max(elapsed, sum(line["seconds"] for line in lines) / 60),
        seed=config.seed,
        patients_trained_on=len(split["train"]),
        patients_measured_on=len(split["validation"]),
        note=row.note,
    )
    partial = run / f"{RESULT}.partial"
    partial.write_text(json.dumps(asdict(result), indent=1) + "\n")
    partial.replace(stored)
    return result


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
