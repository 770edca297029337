"""Swarms: moves by hand, neighbours, walls, and known minima."""

from __future__ import annotations

import numpy as np
import pytest
from tune_cases import MIXED, value_of

from cmrseg.errors import UsageError
from cmrseg.train.space import Continuous
from cmrseg.train.tune.executor import InProcess
from cmrseg.train.tune.functions import FUNCTIONS
from cmrseg.train.tune.journal import best_of
from cmrseg.train.tune.search import WORST
from cmrseg.train.tune.study import run_study
from cmrseg.train.tune.swarm import Swarm, SwarmConfig, reflect

UNIT = {"x": Continuous(0.0, 1.0)}
SPHERE = next(f for f in FUNCTIONS if f.name == "sphere")


def xs(swarm: Swarm) -> list[float]:
    """Places of a swarm on one axis."""
    return [settings["x"] for settings in swarm.ask()]


@pytest.mark.parametrize("neighbourhood", ["global", "ring"])
def test_sphere_is_found_at_the_origin(neighbourhood: str) -> None:
    config = SwarmConfig(particles=12, neighbourhood=neighbourhood, moves=99)  # type: ignore[arg-type]
    best = best_of(run_study(Swarm(SPHERE.spaces, config, seed=3), SPHERE.objective, 1200, InProcess()))
    assert best is not None
    assert best.value == pytest.approx(0.0, abs=1e-3)
    assert best.settings == pytest.approx(SPHERE.best, abs=0.02)


def test_first_generation_is_spread_over_every_axis_and_begins_where_told() -> None:
    swarm = Swarm(UNIT, SwarmConfig(particles=10), seed=1)
    assert sorted(int(10 * x) for x in xs(swarm)) == list(range(10))
    start = {"rate": 1e-2, "loss": "focal", "weight": 0.5}
    first = Swarm(MIXED, SwarmConfig(particles=4), seed=1, start=start).ask()[0]
    assert first["loss"] == "focal"
    assert first["rate"] == pytest.approx(1e-2)
    assert first["weight"] == pytest.approx(0.5)


def test_a_particle_follows_inertia_its_own_best_and_the_swarms_best() -> None:
    config = SwarmConfig(particles=2, inertia_start=0.5, inertia_end=0.5, cognitive=0.0, social=2.0, velocity_limit=1.0)
    swarm = Swarm(UNIT, config, seed=7)
    # The same draws in the same order: places (parts, then within a part), velocities, then both pulls.
    generator = np.random.default_rng(7)
    parts = generator.permuted(np.array([[0], [1]]), axis=0)
    place = (parts + generator.random((2, 1))) / 2
    velocity = 0.5 * (generator.random((2, 1)) - place)
    generator.random((2, 1))
    social = generator.random((2, 1))
    assert xs(swarm) == pytest.approx(place[:, 0])
    swarm.tell([1.0, 0.0])  # the first leads
    expected = place + 0.5 * velocity + 2.0 * social * (place[0] - place)
    inside = np.where(expected < 0, -expected, np.where(expected > 1, 2 - expected, expected))
    assert xs(swarm) == pytest.approx(inside[:, 0])


def test_only_the_neighbours_of_the_best_follow_it_on_the_ring() -> None:
    def second_places(value_of_the_first: float) -> list[float]:
        swarm = Swarm(UNIT, SwarmConfig(particles=6, neighbourhood="ring", velocity_limit=1.0), seed=5)
        swarm.ask()
        swarm.tell([value_of_the_first, 1.0, 2.0, 3.0, 4.0, 5.0])
        return xs(swarm)

    moved = [a != b for a, b in zip(second_places(0.0), second_places(9.0), strict=True)]
    # Particle 1 leaves 2 for 0, and 5 leaves itself for 0; 2, 3 and 4 hear nothing of it, and 0 leaves 5 for itself.
    assert moved == [True, True, False, False, False, True]


def test_the_whole_swarm_hears_of_a_global_best() -> None:
    def second_places(value_of_the_first: float) -> list[float]:
        swarm = Swarm(UNIT, SwarmConfig(particles=6, velocity_limit=1.0), seed=5)
        swarm.ask()
        swarm.tell([value_of_the_first, 1.0, 2.0, 3.0, 4.0, 5.0])
        return xs(swarm)

    assert all(a != b for a, b in zip(second_places(0.0), second_places(9.0), strict=True))


def test_walls_are_mirrors() -> None:
    places, velocities = reflect(np.array([-0.25, 0.5, 1.25]), np.array([-0.5, 0.1, 0.75]))
    assert places.tolist() == [0.25, 0.5, 0.75]
    assert velocities.tolist() == [0.5, 0.1, -0.75]


def test_no_step_is_longer_than_the_limit_and_none_leaves_the_range() -> None:
    swarm = Swarm(SPHERE.spaces, SwarmConfig(particles=8, velocity_limit=0.1), seed=2)
    before = None
    for _ in range(20):
        generation = swarm.ask()
        swarm.tell([SPHERE.objective(settings) for settings in generation])
        places = np.array([list(settings.values()) for settings in generation])
        assert places.min() >= -3.0
        assert places.max() <= 7.0
        if before is not None:
            assert np.abs(places - before).max() <= 0.1 * 10.0 + 1e-9
            assert np.abs(places - before).max() > 0
        before = places


def test_inertia_falls_in_a_line_and_stays() -> None:
    swarm = Swarm(UNIT, SwarmConfig(inertia_start=0.9, inertia_end=0.4, moves=11), seed=0)
    assert [swarm.inertia(k) for k in (0, 5, 10, 50)] == pytest.approx([0.9, 0.65, 0.4, 0.4])
    assert Swarm(UNIT, SwarmConfig(moves=0), seed=0).inertia(0) == 0.72


def test_best_places_are_kept_and_failed_trials_never_lead() -> None:
    still = SwarmConfig(particles=2, inertia_start=0.0, inertia_end=0.0, cognitive=0.0, social=1.0)
    swarm = Swarm(UNIT, still, seed=4)
    first = xs(swarm)
    swarm.tell([WORST, -5.0])
    second = xs(swarm)
    assert second[1] == first[1]  # it leads itself
    low, high = sorted((first[0], first[1]))
    assert low <= second[0] <= high
    swarm.tell([-9.0, WORST])
    assert xs(swarm)[1] == first[1]


def test_same_seed_same_swarm() -> None:
    def walk(seed: int) -> list[object]:
        swarm = Swarm(MIXED, SwarmConfig(particles=3), seed)
        seen: list[object] = []
        for _ in range(4):
            generation = swarm.ask()
            seen += generation
            swarm.tell([value_of(settings) for settings in generation])
        return seen

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_turns_are_kept() -> None:
    swarm = Swarm(UNIT, SwarmConfig(particles=2), seed=0)
    with pytest.raises(UsageError, match="0 were asked"):
        swarm.tell([1.0, 2.0])
    swarm.ask()
    with pytest.raises(UsageError, match="not been told"):
        swarm.ask()
    with pytest.raises(UsageError, match="1 values were told, 2"):
        swarm.tell([1.0])
    with pytest.raises(UsageError, match="NaN"):
        swarm.tell([1.0, float("nan")])


def test_impossible_swarms_are_refused() -> None:
    for bad in ({"particles": 1}, {"neighbourhood": "star"}, {"velocity_limit": 0.0}, {"velocity_limit": 1.5}):
        with pytest.raises(UsageError):
            SwarmConfig(**bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no setting"):
        Swarm({}, SwarmConfig(), seed=0)
    with pytest.raises(UsageError, match="outside"):
        Swarm(UNIT, SwarmConfig(), seed=0, start={"x": 2.0})
    with pytest.raises(UsageError, match="no value for x"):
        Swarm(UNIT, SwarmConfig(), seed=0, start={})
