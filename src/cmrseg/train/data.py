"""Labelled patients: found, read, and split by patient."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import write_text
from cmrseg.labels import LabelScheme
from cmrseg.study import Study
from cmrseg.train.config import DataConfig


@dataclass(frozen=True)
class Split:
    """Which patient is used for what. Patients, never slices, are divided."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    """Kept for the end: neither trained on nor looked at while training."""

    def __post_init__(self) -> None:
        names = {"training": self.train, "validation": self.validation, "test": self.test}
        for first, second in combinations(names, 2):
            shared = set(names[first]) & set(names[second])
            if shared:
                raise UsageError(
                    f"{len(shared)} patients stand in both {first} and {second}: {sorted(shared)[:5]}.",
                    "Divide by patient.",
                )

    @property
    def held_out(self) -> tuple[str, ...]:
        """Who measures a finished run: the test patients, where there are some, else those of validation."""
        return self.test or self.validation

    def parts(self) -> dict[str, tuple[str, ...]]:
        """Ids by part; without test patients there is no such part."""
        return {"train": self.train, "validation": self.validation} | ({"test": self.test} if self.test else {})

    def save(self, path: Path) -> None:
        """Write the ids as JSON."""
        write_text(path, json.dumps(self.parts(), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(values["train"]), tuple(values["validation"]), tuple(values.get("test", ())))


def make_split(cases: Iterable[Case], config: DataConfig) -> Split:
    """Keep patients of every diagnostic group for validation; the rest trains.

    With `folds` the patients of each group are dealt out in turn, so that every patient validates exactly once over
    all folds; without, a fixed number of each group is drawn. Of the rest, `train_share` trains, at least one
    patient of each group; who is kept does not depend on it. With `shares` the patients are dealt into three parts,
    each with patients of every group as far as their numbers allow. `scar_quantiles` divides groups further, and
    groups that are not among `train_groups` are all test.

    Raises:
        UsageError: a group too small to be divided like that, or no such fold, share or group.
    """
    cases = list(cases)
    strange = set(config.train_groups) - {case.group for case in cases}
    if strange:
        raise UsageError(f"The data set has no group {sorted(strange)[0]!r}.", "Change data.train_groups.")
    inner = [case for case in cases if not config.train_groups or case.group in config.train_groups]
    outside = sorted({case.case_id for case in cases} - {case.case_id for case in inner})
    groups = strata(inner, config)
    if config.shares:
        parts = deal(groups, config.shares, config.split_seed)
        return Split(parts[0], parts[1], tuple(sorted((*parts[2], *outside))))
    split = _kept_for_validation(groups, config)
    return Split(split.train, split.validation, tuple(outside))


def strata(cases: Iterable[Case], config: DataConfig) -> dict[str, list[str]]:
    """Ids of the patients who are alike: of a group and, with `scar_quantiles`, with about as much scar."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.group].append(case)
    if config.scar_quantiles <= 1:
        return {name: [case.case_id for case in found] for name, found in groups.items()}
    divided: dict[str, list[str]] = defaultdict(list)
    for name, found in groups.items():
        volumes = sorted((_scar_ml(case, config), case.case_id) for case in found)
        for rank, (_, case_id) in enumerate(volumes):
            band = rank * config.scar_quantiles // len(volumes)
            divided[f"{name}, scar {band + 1} of {config.scar_quantiles}"].append(case_id)
    return dict(divided)


def _scar_ml(case: Case, config: DataConfig) -> float:
    truth = load_case(case, config)[1]
    return float(truth.scheme.infarct(truth.labels).sum()) * truth.geometry.voxel_volume_ml


def deal(groups: Mapping[str, Sequence[str]], shares: Sequence[float], seed: int) -> tuple[tuple[str, ...], ...]:
    """Patients dealt into parts of given shares, of every group as evenly as their numbers allow.

    Each patient goes to the part that lacks most of its share by then, groups one after another in random order.

    Args:
        groups: ids by group.
        shares: three or so, above 0 or equal to it, whose sum is 1.
        seed: of the order within groups.

    Returns:
        ids of each part, sorted.

    Raises:
        UsageError: shares that do not sum to 1, or not three of them.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or shares[0] == 0:
        raise UsageError(
            f"Patients cannot be divided into shares of {list(shares)}.", "Give data.shares [0.7,0.15,0.15]."
        )
    generator = np.random.default_rng(seed)
    parts: list[list[str]] = [[] for _ in shares]
    dealt = 0
    for name in sorted(groups):
        for case_id in generator.permutation(sorted(groups[name])).tolist():
            dealt += 1
            lacking = [share * dealt - len(part) for share, part in zip(shares, parts, strict=True)]
            parts[int(np.argmax(lacking))].append(case_id)
    return tuple(tuple(sorted(part)) for part in parts)


def _kept_for_validation(groups: Mapping[str, Sequence[str]], config: DataConfig) -> Split:
    """By folds, or a number of each group."""
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


def class_numbers(truth: Truth, scheme: LabelScheme) -> NDArray[np.uint8]:
    """Masks of a patient in the numbers of the scheme that is trained.

    Structures that the scheme does not know are background; where it knows scar alone, no-reflow belongs to that.
    """
    if truth.scheme.name == scheme.name:
        return truth.labels
    result = np.zeros_like(truth.labels)
    for name in scheme.foreground_names:
        parts = (name, "no_reflow") if name == "scar" and "no_reflow" not in scheme.numbers else (name,)
        known = [part for part in parts if part in truth.scheme.numbers]
        result[truth.scheme.mask(truth.labels, *known)] = scheme[name]
    return result
