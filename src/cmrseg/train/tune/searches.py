"""Searches by name, each made for a budget of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cmrseg.errors import UsageError
from cmrseg.train.space import Space
from cmrseg.train.tune.random_search import RandomSearch
from cmrseg.train.tune.search import Search, Settings
from cmrseg.train.tune.swarm import Swarm, SwarmConfig
from cmrseg.train.tune.tpe import Tpe

SEARCHES = ("swarm", "swarm-local", "random", "tpe")


def make_search(
    name: str,
    spaces: Mapping[str, Space],
    *,
    seed: int,
    trials: int,
    particles: int = 12,
    batch: int = 1,
    start: Settings | None = None,
) -> Search:
    """A search that has not begun.

    Args:
        name: one of `SEARCHES`.
        spaces: what is searched.
        seed: decides every random draw.
        trials: budget, at least 1; spreads the inertia of a swarm over its moves.
        particles: size of a swarm, and so of its generations; at most as many as trials are used.
        batch: size of a generation of the others.
        start: settings of the first trial; None to draw all of them.

    Raises:
        UsageError: no such search, a budget below 1 (2 for a swarm), no spaces, start values outside them.
    """
    if name not in SEARCHES:
        raise UsageError(f"There is no search {name!r}.", f"One of {', '.join(SEARCHES)}.")
    if trials < 1 or batch < 1:
        raise UsageError(f"{trials} trials in generations of {batch} cannot be run.", "Ask for one or more.")
    if name == "random":
        return RandomSearch(spaces, seed, batch, start)
    if name == "tpe":
        return Tpe(spaces, seed, batch, start)
    particles = min(particles, trials)
    config = SwarmConfig(
        particles=particles,
        neighbourhood="global" if name == "swarm" else "ring",
        moves=math.ceil(trials / particles) - 1 if particles else 0,
    )
    return Swarm(spaces, config, seed, start)
