"""What settings of a training are worth: Dice of a short training, on validation patients and never on test patients.

`cmrseg train` holds patients out, and networks are later compared on them. To a search they are the test patients: it
would otherwise choose what happens to suit them. So the patients that train are divided once more, and the
data folder that trials are given has no others in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case
from cmrseg.train.config import DataConfig, TrainConfig
from cmrseg.train.data import Split, find_cases, make_split
from cmrseg.train.tune.journal import key_of
from cmrseg.train.tune.search import Settings

SCORE = "dice_mean"


def make_inner_split(cases: Iterable[Case], config: DataConfig) -> Split:
    """Divide the patients that a configuration trains on into patients of trials and patients that score them.

    Args:
        cases: all patients of the data set.
        config: how `cmrseg train` divides them. The inner division keeps `validation_per_group` too, without folds.

    Returns:
        a split in which no patient stands that `cmrseg train` holds out. Where only a share of the patients is to
        train, it is the share of those left to the trials.

    Raises:
        UsageError: a group too small to be divided twice.
    """
    return make_split(_trained(cases, config), inner_data(config))


def inner_data(config: DataConfig) -> DataConfig:
    """The data settings with which a trial divides the patients that are left to it."""
    return replace(config, folds=0, fold=0, shares=(), train_groups=())


def _trained(cases: Iterable[Case], config: DataConfig) -> list[Case]:
    """The patients that `cmrseg train` does not hold out, whatever share of them it would train on."""
    known = list(cases)
    trained = set(make_split(known, replace(config, train_share=1.0)).train)
    return [case for case in known if case.case_id in trained]


def link_training_patients(data: Path, config: DataConfig, linked: Path) -> Split:
    """Make a data folder of links that leaves out every patient that `cmrseg train` holds out.

    Args:
        data: root of the data set.
        config: how `cmrseg train` divides it.
        linked: folder to make; one that is there is checked and used.

    Returns:
        the inner split of the patients in it.

    Raises:
        UsageError: no data; a group too small; links cannot be made; the folder does not hold exactly those patients.
    """
    cases = find_cases(data, config)
    inner = make_inner_split(cases, config)
    wanted = {case.case_id for case in _trained(cases, config)}
    left_out = {case.path for case in cases if case.case_id not in wanted}
    if not linked.exists():
        partial = linked.with_name(linked.name + ".partial")
        try:
            _link(data, left_out, partial)
            partial.rename(linked)
        except OSError as error:
            raise UsageError(
                f"Links to the patients cannot be made: {error.strerror}.",
                "Choose an empty output folder on a file system that has symbolic links.",
            ) from error
    found = find_cases(linked, config)
    originals = {path.resolve() for path in left_out}
    if {case.case_id for case in found} != wanted or any(case.path.resolve() in originals for case in found):
        raise UsageError(
            f"{linked.name} does not hold exactly the patients that may be trained on.",
            "The data or its division have changed: begin in another folder.",
        )
    return inner


def _link(folder: Path, left_out: Set[Path], linked: Path) -> None:
    linked.mkdir(parents=True, exist_ok=True)
    for entry in sorted(folder.iterdir()):
        place = linked / entry.name
        if entry in left_out or place.is_symlink():
            continue
        if any(entry in path.parents for path in left_out):
            _link(entry, left_out, place)
        else:
            place.symlink_to(entry.resolve(), target_is_directory=entry.is_dir())


@dataclass(frozen=True)
class TrainingObjective:
    """Validation Dice of a training with settings applied; picklable, so that trials can run elsewhere.

    Args:
        config: the training, with as many epochs as a trial gets and data settings of `inner_data`.
        data: folder of `link_training_patients`.
        runs: folder under which every trial has its run folder, named after its settings; a killed trial goes on there.
        split: the inner split. A trial that would see any other patient fails before it trains.
        locator: run folder of a locator, as `run_training` needs it.
    """

    config: TrainConfig
    data: Path
    runs: Path
    split: Split
    locator: Path | None = None

    def __call__(self, settings: Settings) -> float:
        """Train and validate; `UsageError` for settings that do not fit, or a patient who must not be seen."""
        from cmrseg.train.run import run_training

        config = self.config.changed(as_arguments(settings))
        if make_split(find_cases(self.data, config.data), config.data) != self.split:
            raise UsageError("This trial would see other patients than the study may.", "Begin in another folder.")
        run = self.runs / hashlib.sha256(key_of(settings).encode()).hexdigest()[:12]
        summary = run_training(config, self.data, run, self.locator, lambda _: None)
        if SCORE not in summary:
            raise UsageError(f"This training is not validated by {SCORE}.", "Tune a segmenter.")
        # Only its score is needed of a short training, and the weights of hundreds would fill a disk.
        (run / "checkpoint.safetensors").unlink(missing_ok=True)
        return float(summary[SCORE])


def as_arguments(settings: Settings) -> list[str]:
    """Settings as `TrainConfig.changed` and the option ``--set`` take them."""
    return [f"{path}={json.dumps(value)}" for path, value in settings.items()]
