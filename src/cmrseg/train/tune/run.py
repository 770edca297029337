"""A whole study of a training's settings, from configuration to best.json, in one folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.train.config import TrainConfig
from cmrseg.train.space import Space, default_settings, tunable_settings
from cmrseg.train.tune.executor import Executor
from cmrseg.train.tune.journal import Journal, Trial, best_of
from cmrseg.train.tune.objective import TrainingObjective, as_arguments, inner_data, link_training_patients
from cmrseg.train.tune.search import check_spaces
from cmrseg.train.tune.searches import make_search
from cmrseg.train.tune.study import run_study


@dataclass(frozen=True)
class TunePlan:
    """What decides a study, beside the training that it is about."""

    search: str = "swarm"
    """One of `searches.SEARCHES`."""
    trials: int = 60
    """Trainings, those included that repeat settings and are not run again."""
    particles: int = 12
    """Size of a swarm."""
    batch: int = 1
    """Trainings that random search and TPE ask for at a time."""
    epochs: int = 10
    """Epochs of each training."""
    seed: int = 0
    """Seed of the search."""
    only: tuple[str, ...] = ()
    """Settings to search; empty for all that the configuration marks."""
    fixed: tuple[str, ...] = ()
    """Settings that stay as the configuration has them, marked or not."""


def run_tuning(
    config: TrainConfig,
    plan: TunePlan,
    data: Path,
    output: Path,
    locator: Path | None,
    executor: Executor,
    report: Callable[[str], None],
) -> Trial:
    """Search the settings of a training, or go on with a study that was interrupted.

    The first trial has the settings as they are, so that the best is never worse than what was there.

    Args:
        config: the training; its `tunable` fields are searched.
        plan: the study.
        data: root of the data set. Patients that `cmrseg train` would hold out are never seen.
        output: folder for settings.json, journal.jsonl, best.json, trials.csv, patients/ and runs/.
        locator: run folder of a trained locator.
        executor: where trials run.
        report: takes one line for each trial.

    Returns:
        the best trial.

    Raises:
        UsageError: nothing to search, or settings that are not tunable; data that cannot be divided; a folder of
            another study; trials that all failed.
    """
    if config.data.centre == "image":
        raise UsageError("A locator has no Dice that could be maximised.", "Tune a segmenter.")
    if data.resolve() in (output.resolve(), *output.resolve().parents):
        raise UsageError("The results would lie among the data.", "Give an output folder outside the data.")
    spaces = spaces_of(config, plan.only, plan.fixed)
    training = _trial_training(config, plan.epochs)
    search = make_search(
        plan.search,
        spaces,
        seed=plan.seed,
        trials=plan.trials,
        particles=plan.particles,
        batch=plan.batch,
        start=default_settings(config, spaces),
    )
    output.mkdir(parents=True, exist_ok=True)
    _same_study({"plan": asdict(plan), "spaces": _described(spaces), "training": config.to_dict()}, output)
    split = link_training_patients(data, config.data, output / "patients")
    report(f"{len(spaces)} settings, {plan.trials} trials on {len(split.train)} + {len(split.validation)} patients")
    journal = Journal(output / "journal.jsonl")
    objective = TrainingObjective(
        training,
        (output / "patients").resolve(),
        (output / "runs").resolve(),
        split,
        None if locator is None else locator.resolve(),
    )
    trials = run_study(
        search, objective, plan.trials, executor, journal, lambda trial, replayed: report(_line(trial, replayed))
    )
    best = best_of(trials)
    if best is None:
        raise UsageError(f"All {len(trials)} trials failed, the first with: {trials[0].error}", "Mend the cause.")
    _write_best(best, trials, output / "best.json")
    write_trials(trials, output / "trials.csv")
    return best


def _trial_training(config: TrainConfig, epochs: int) -> TrainConfig:
    """The training that a trial runs: on a division of the training patients, validated once, after its last epoch."""
    optim = replace(config.optim, epochs=epochs)
    return replace(config, data=inner_data(config.data), optim=optim, validate_every=epochs)


def spaces_of(config: TrainConfig, only: Sequence[str], fixed: Sequence[str]) -> dict[str, Space]:
    """The tunable settings of a configuration, or some of them; UsageError when none is left, or one is not tunable."""
    spaces = {path: space for path, space in tunable_settings(config).items() if path not in fixed}
    unknown = [path for path in only if path not in spaces]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no tunable setting.", f"Tunable: {', '.join(spaces) or 'none'}.")
    chosen = {path: space for path, space in spaces.items() if path in only or not only}
    check_spaces(chosen)
    return chosen


def _described(spaces: Mapping[str, Space]) -> dict[str, Any]:
    return {path: {"kind": type(space).__name__, **vars(space)} for path, space in spaces.items()}


def _same_study(study: Mapping[str, Any], output: Path) -> None:
    path = output / "settings.json"
    text = json.dumps(study, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{output.name} holds another study.", "Give another folder, or the options that it began with."
        )
    path.write_text(text, encoding="utf-8")


def _line(trial: Trial, replayed: bool) -> str:
    value = f"failed: {trial.error}" if trial.value is None else f"{trial.value:.4f}"
    note = " (from the journal)" if replayed else "" if trial.same_as is None else f" (as trial {trial.same_as})"
    return f"trial {trial.number} {value}{note} {' '.join(as_arguments(trial.settings))}"


def _write_best(best: Trial, trials: Sequence[Trial], path: Path) -> None:
    values = {
        "trial": best.number,
        "value": best.value,
        "value_before": trials[0].value,
        "trials": len(trials),
        "failed": sum(trial.value is None for trial in trials),
        "settings": dict(best.settings),
        "set": as_arguments(best.settings),
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """One row for each trial, as CSV; one column for each setting."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = list(trials[0].settings) if trials else []
        writer.writerow(["trial", "generation", "value", "seconds", "same_as", "error", *names])
        for t in trials:
            value, same_as = ("" if v is None else v for v in (t.value, t.same_as))
            plain = [v if isinstance(v, str) else json.dumps(v) for v in (t.settings[name] for name in names)]
            writer.writerow([t.number, t.generation, value, t.seconds, same_as, t.error, *plain])
