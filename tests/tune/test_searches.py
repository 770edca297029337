"""Random search and TPE, searches by name, and all of them against each other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tune_cases import MIXED, fails_below_one, value_of

from cmrseg.errors import UsageError
from cmrseg.train.tune.compare import compare_searches
from cmrseg.train.tune.executor import InProcess
from cmrseg.train.tune.functions import FUNCTIONS, TestFunction
from cmrseg.train.tune.search import Settings
from cmrseg.train.tune.searches import SEARCHES, make_search
from cmrseg.train.tune.study import run_study
from cmrseg.train.tune.swarm import Swarm


def trajectory(name: str, seed: int, batch: int = 1) -> list[Settings]:
    """What a search tries."""
    if name == "tpe":
        pytest.importorskip("optuna")
    search = make_search(name, MIXED, seed=seed, trials=24, particles=4, batch=batch)
    return [trial.settings for trial in run_study(search, value_of, 24, InProcess())]


@pytest.mark.parametrize("name", SEARCHES)
def test_seeds_decide_and_values_lie_in_their_spaces(name: str) -> None:
    tried = trajectory(name, 1)
    assert tried == trajectory(name, 1)
    assert tried != trajectory(name, 2)
    for settings in tried:
        assert settings.keys() == MIXED.keys()
        for path, space in MIXED.items():
            space.encode(settings[path])
    assert {settings["loss"] for settings in tried} == {"dice", "focal", "boundary"}


@pytest.mark.parametrize("name", SEARCHES)
def test_everybody_begins_where_told(name: str) -> None:
    if name == "tpe":
        pytest.importorskip("optuna")
    start = {"rate": 3e-3, "loss": "boundary", "weight": 2.3, "something else": 1}
    generation = make_search(name, MIXED, seed=0, trials=8, particles=4, batch=2, start=start).ask()
    assert generation[0] == {"rate": 3e-3, "loss": "boundary", "weight": 2.3}  # to the last digit
    assert generation[1] != generation[0]
    with pytest.raises(UsageError, match="outside"):
        make_search(name, MIXED, seed=0, trials=8, particles=4, start={**start, "weight": 3.5})


@pytest.mark.parametrize("name", SEARCHES)
def test_failed_trials_are_survived(name: str) -> None:
    if name == "tpe":
        pytest.importorskip("optuna")
    search = make_search(name, MIXED, seed=1, trials=30, particles=6)
    trials = run_study(search, fails_below_one, 30, InProcess())
    assert any(trial.value is None for trial in trials)
    assert max(trial.worth for trial in trials) > 1.5


def test_random_search_draws_the_same_in_generations_of_any_size() -> None:
    assert trajectory("random", 3, batch=1) == trajectory("random", 3, batch=5)


def test_random_search_is_uniform_in_its_spaces() -> None:
    (generation,) = [make_search("random", MIXED, seed=0, trials=2000, batch=2000).ask()]
    assert np.mean([s["weight"] for s in generation]) == pytest.approx(1.0, abs=0.1)  # middle of -1 .. 3
    assert np.mean(np.log10([s["rate"] for s in generation])) == pytest.approx(-2.5, abs=0.1)  # of -4 .. -1
    assert np.mean([s["loss"] == "focal" for s in generation]) == pytest.approx(1 / 3, abs=0.05)


def test_swarms_by_name_have_their_neighbourhood_and_schedule() -> None:
    local = make_search("swarm-local", MIXED, seed=0, trials=50, particles=8)
    assert isinstance(local, Swarm)
    assert (local.config.neighbourhood, local.config.particles, local.config.moves) == ("ring", 8, 6)
    small = make_search("swarm", MIXED, seed=0, trials=5, particles=8)
    assert isinstance(small, Swarm)
    assert (small.config.neighbourhood, small.config.particles, small.config.moves) == ("global", 5, 0)


def test_what_cannot_be_searched_is_refused() -> None:
    for name, trials, batch in (("grid", 5, 1), ("random", 0, 1), ("random", 5, 0), ("swarm", 1, 1)):
        with pytest.raises(UsageError):
            make_search(name, MIXED, seed=0, trials=trials, batch=batch)
    for name in ("swarm", "random", "tpe"):
        with pytest.raises(UsageError, match="no setting"):
            make_search(name, {}, seed=0, trials=5)


def test_searching_needs_no_torch() -> None:
    searching = "searches, compare, functions, study, executor, ray_executor"
    code = f"import sys; from cmrseg.train.tune import {searching}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="Optuna") as caught:
        make_search("tpe", MIXED, seed=0, trials=5)
    assert "cmrseg[tune]" in caught.value.remedy


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_functions_are_zero_at_their_best_and_less_elsewhere(function: TestFunction) -> None:
    assert function.objective(function.best) == pytest.approx(0.0, abs=1e-12)
    for settings in make_search("random", function.spaces, seed=0, trials=200, batch=200).ask():
        assert function.objective(settings) < 0


def test_functions_by_hand() -> None:
    value = {f.name: f.objective for f in FUNCTIONS}
    assert value["sphere"]({"a": 1.0, "b": -2.0}) == -5.0
    assert value["rosenbrock"]({"a": 2.0, "b": 3.0}) == -(100 * (3 - 4) ** 2 + 1)
    assert value["rastrigin"]({"a": 0.5, "b": 1.0}) == pytest.approx(-(10 + 0.25 + 10 + 10 + 1 - 10))
    assert value["mixed"]({"learning_rate": 3e-2, "loss": "dice", "weight": 0.7}) == pytest.approx(-(1 + 1 + 0.3))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_swarms_beat_random_search_on_average(function: TestFunction) -> None:
    rows = compare_searches(
        function.objective, function.spaces, 120, range(100, 120), searches=("swarm", "swarm-local", "random")
    )
    mean = {name: np.mean([row.best for row in rows if row.search == name]) for name in ("swarm", "swarm-local")}
    by_chance = np.mean([row.best for row in rows if row.search == "random"])
    assert mean["swarm"] > by_chance
    assert mean["swarm-local"] > by_chance


def test_comparison_counts_trials_and_failures() -> None:
    rows = compare_searches(fails_below_one, MIXED, 12, (4, 5), searches=("random", "swarm"), particles=4)
    assert [(r.search, r.seed, r.trials) for r in rows] == [
        ("random", 4, 12),
        ("random", 5, 12),
        ("swarm", 4, 12),
        ("swarm", 5, 12),
    ]
    search = make_search("random", MIXED, seed=4, trials=12)
    trials = run_study(search, fails_below_one, 12, InProcess())
    assert rows[0].failed == sum(t.value is None for t in trials) > 0
    assert rows[0].best == max(t.worth for t in trials)
    assert trials[rows[0].found_at - 1].settings == rows[0].settings
