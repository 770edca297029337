"""Particle swarm optimisation over mixed settings.

Kennedy and Eberhart, Proc. IEEE ICNN 1995, 1942-1948 (swarm; doi 10.1109/ICNN.1995.488968); Shi and Eberhart, Proc.
IEEE CEC 1998, 69-73 (inertia; doi 10.1109/ICEC.1998.699146); Kennedy and Mendes, Proc. IEEE CEC 2002, 1671-1676 (ring;
doi 10.1109/CEC.2002.1004493). Inertia 0.72 and accelerations 1.49 are, rounded, those of Clerc and Kennedy, IEEE Trans.
Evol. Comput. 6(1), 2002 (doi 10.1109/4235.985692), with which a swarm neither explodes nor freezes. A study of settings
has tens of trials, not thousands, so by default the inertia falls from there and steps are short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import UsageError
from cmrseg.train.space import Space
from cmrseg.train.tune.search import Settings, Turns, check_spaces, chosen, decode, dimensions, encode

Neighbourhood = Literal["global", "ring"]


@dataclass(frozen=True)
class SwarmConfig:
    """How a swarm moves. Distances are fractions of a unit interval, onto which every space is laid."""

    particles: int = 12
    """Settings tried in each generation."""
    neighbourhood: Neighbourhood = "global"
    """Whose best a particle follows: that of the whole swarm, or of itself and its two neighbours on a ring."""
    inertia_start: float = 0.72
    """Share of its velocity that a particle keeps in its first move."""
    inertia_end: float = 0.4
    """The same in the last move; linear in between, and constant afterwards."""
    moves: int = 20
    """Moves over which the inertia goes from start to end."""
    cognitive: float = 1.49
    """Pull of the best place that the particle itself has seen."""
    social: float = 1.49
    """Pull of the best place that its neighbourhood has seen."""
    velocity_limit: float = 0.2
    """Largest step along each axis."""

    def __post_init__(self) -> None:
        if self.particles < 2:
            raise UsageError(f"{self.particles} particles are no swarm.", "Use at least two.")
        if self.neighbourhood not in ("global", "ring"):
            raise UsageError(f"There is no neighbourhood {self.neighbourhood!r}.", "One of global, ring.")
        if not 0 < self.velocity_limit <= 1:
            raise UsageError(f"A velocity limit of {self.velocity_limit} is not in (0, 1].", "Try 0.5.")


class Swarm:
    """Particles that remember where they did best and are pulled there, and to where their neighbours did best.

    Args:
        spaces: what is searched.
        config: how the swarm moves.
        seed: decides every random draw.
        start: settings that the first particle begins at; None to draw all of them.

    Raises:
        UsageError: no spaces, or start values outside them.
    """

    def __init__(
        self, spaces: Mapping[str, Space], config: SwarmConfig, seed: int, start: Settings | None = None
    ) -> None:
        check_spaces(spaces)
        self.spaces = dict(spaces)
        self.config = config
        self._turns = Turns()
        self._generator = np.random.default_rng(seed)
        size = (config.particles, dimensions(spaces))
        self._places_PD = _latin_hypercube(*size, self._generator)
        self._start = None if start is None else chosen(spaces, start)
        if start is not None:
            self._places_PD[0] = encode(spaces, start)
        # Half the way to another random place: no first step leaves the cube, and none favours its middle.
        self._velocities_PD = self._limited(0.5 * (self._generator.random(size) - self._places_PD))
        self._best_places_PD = self._places_PD.copy()
        self._best_values_P = np.full(config.particles, -np.inf)
        self._told = 0

    def ask(self) -> list[Settings]:
        """Settings at the place of every particle; each particle moves first, except in the first generation."""
        self._turns.asked(self.config.particles)
        if self._told:
            self._move()
        generation: list[Settings] = [decode(self.spaces, place) for place in self._places_PD.tolist()]
        if self._start is not None:
            generation[0], self._start = self._start, None
        return generation

    def tell(self, values: Sequence[float]) -> None:
        """Let particles remember places that beat their best so far."""
        self._turns.told(values)
        values_P = np.asarray(values, dtype=np.float64)
        better_P = values_P > self._best_values_P
        self._best_values_P[better_P] = values_P[better_P]
        self._best_places_PD[better_P] = self._places_PD[better_P]
        self._told += 1

    def inertia(self, move: int) -> float:
        """Inertia of a move, counted from 0."""
        share = min(1.0, move / max(1, self.config.moves - 1))
        return self.config.inertia_start + share * (self.config.inertia_end - self.config.inertia_start)

    def _move(self) -> None:
        size = self._places_PD.shape
        leaders_PD = self._best_places_PD[self._leaders()]
        own_PD, social_PD = self._generator.random(size), self._generator.random(size)
        self._velocities_PD = self._limited(
            self.inertia(self._told - 1) * self._velocities_PD
            + self.config.cognitive * own_PD * (self._best_places_PD - self._places_PD)
            + self.config.social * social_PD * (leaders_PD - self._places_PD)
        )
        self._places_PD, self._velocities_PD = reflect(self._places_PD + self._velocities_PD, self._velocities_PD)

    def _leaders(self) -> NDArray[np.int64]:
        """For each particle, which particle's best it follows."""
        count = self.config.particles
        if self.config.neighbourhood == "global":
            return np.full(count, self._best_values_P.argmax())
        # The particle itself comes first, so that it follows itself among equals.
        ring_P3 = (np.arange(count)[:, None] + np.array([0, -1, 1])) % count
        chosen_P = self._best_values_P[ring_P3].argmax(axis=1)
        leaders: NDArray[np.int64] = ring_P3[np.arange(count), chosen_P]
        return leaders

    def _limited(self, velocities: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(velocities, -self.config.velocity_limit, self.config.velocity_limit)


def reflect(
    places: NDArray[np.float64], velocities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring places that left [0, 1] by at most 1 back as if the walls were mirrors, with their velocities turned."""
    below, above = places < 0, places > 1
    inside = np.where(below, -places, np.where(above, 2.0 - places, places))
    return inside, np.where(below | above, -velocities, velocities)


def _latin_hypercube(count: int, width: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Random points float64[count, width] such that every axis has one in each of `count` equal parts.

    McKay, Beckman and Conover, Technometrics 21(2), 1979 (doi 10.1080/00401706.1979.10489755).
    """
    parts = generator.permuted(np.tile(np.arange(count)[:, None], (1, width)), axis=0)
    points: NDArray[np.float64] = (parts + generator.random((count, width))) / count
    return points
