"""Labelled patients: found, read, and split by patient."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.study import Study
from cmrseg.train.config import DataConfig


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
    all folds; without, a fixed number of each group is drawn. Of the rest, `train_share` trains, at least one
    patient of each group; who is kept does not depend on it.

    Raises:
        UsageError: a group too small to be divided like that, no such fold, or no such share.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case.case_id)
    if config.folds and not 0 <= config.fold < config.folds:
        raise UsageError(f"There is no fold {config.fold} of {config.folds}.", "Count the folds from 0.")
    if not 0 < config.train_share <= 1:
        raise UsageError(f"A share of {config.train_share} cannot train.", "Give data.train_share above 0, at most 1.")
    generator, order = np.random.default_rng(config.split_seed), np.random.default_rng([config.split_seed, 1])
    kept: set[str] = set()
    idle: set[str] = set()
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
        rest = order.permutation([i for i in ids if i not in kept]).tolist()
        idle.update(rest[max(1, round(config.train_share * len(rest))) :])
    every = sorted(i for ids in groups.values() for i in ids)
    return Split(tuple(i for i in every if i not in kept | idle), tuple(i for i in every if i in kept))


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
