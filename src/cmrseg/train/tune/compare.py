"""Searches against each other, at equal numbers of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmrseg.errors import UsageError
from cmrseg.train.space import Space
from cmrseg.train.tune.executor import Executor, InProcess, Objective
from cmrseg.train.tune.journal import best_of
from cmrseg.train.tune.search import Settings
from cmrseg.train.tune.searches import SEARCHES, make_search
from cmrseg.train.tune.study import run_study


@dataclass(frozen=True)
class Comparison:
    """One search with one seed.

    Args:
        search: its name.
        seed: its seed.
        trials: how many it had.
        failed: how many of them failed.
        best: the highest value it found.
        found_at: number of the trial that found it, counted from 1.
        settings: what was tried there.
    """

    search: str
    seed: int
    trials: int
    failed: int
    best: float
    found_at: int
    settings: Settings


def compare_searches(
    objective: Objective,
    spaces: Mapping[str, Space],
    budget: int,
    seeds: Sequence[int],
    *,
    searches: Sequence[str] = SEARCHES,
    particles: int = 12,
    start: Settings | None = None,
    executor: Executor | None = None,
) -> list[Comparison]:
    """Give every search the same objective, the same number of trials and the same seeds.

    Trials that a search repeats count, though they are not run again. TPE and random search are asked for one trial at
    a time, which is when TPE is at its best.

    Args:
        objective: what is maximised; cheap, or else patience is needed.
        spaces: what is searched.
        budget: trials for each search and seed.
        seeds: one study of each search for each.
        searches: names of `searches.SEARCHES`.
        particles: size of the swarms.
        start: settings of everybody's first trial; None to draw it.
        executor: where trials run; None for this process.

    Returns:
        one row for each search and seed, in that order.

    Raises:
        UsageError: no such search, or no trial of a study succeeded.
    """
    rows = []
    for name in searches:
        for seed in seeds:
            search = make_search(name, spaces, seed=seed, trials=budget, particles=particles, start=start)
            trials = run_study(search, objective, budget, executor or InProcess())
            best = best_of(trials)
            if best is None or best.value is None:
                raise UsageError(f"No trial of {name} with seed {seed} succeeded.", trials[0].error)
            failed = sum(trial.value is None for trial in trials)
            rows.append(Comparison(name, seed, budget, failed, best.value, best.number + 1, best.settings))
    return rows
