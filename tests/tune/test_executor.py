"""Where trials run: the same outcomes everywhere, processes that die, and processes that must not outlive a study."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tune_cases import MIXED, defective, dies_above_two, fails_below_one, value_of

from cmrseg.errors import UsageError
from cmrseg.train.tune.executor import PROCESS_DIED, Executor, InProcess, LocalProcesses, Outcome, run_trial
from cmrseg.train.tune.ray_executor import RayTasks
from cmrseg.train.tune.search import Settings
from cmrseg.train.tune.searches import make_search
from cmrseg.train.tune.study import run_study


def at(*weights: float) -> list[Settings]:
    """Settings of these weights."""
    return [{"rate": 0.01, "loss": "focal", "weight": weight} for weight in weights]


def outcomes(executor: Executor, objective: Any, generation: list[Settings]) -> list[tuple[float | None, str]]:
    """Values and reasons in the order of the generation."""
    found = dict(executor.run(objective, generation))
    return [(found[k].value, found[k].error) for k in range(len(generation))]


EXPECTED = [
    (2.0, ""),
    (None, "UsageError: The weight is negative. Give another."),
    (None, "The objective returned nan."),
    (None, "FileNotFoundError: No such file or directory"),
]


def test_trials_here_and_in_processes_come_out_the_same() -> None:
    generation = at(2.0, -0.5, 0.2, 0.7)
    with InProcess() as here:
        assert outcomes(here, fails_below_one, generation) == EXPECTED
    with LocalProcesses(2) as processes:
        assert outcomes(processes, fails_below_one, generation) == EXPECTED
        assert outcomes(processes, value_of, at(1.0)) == [(-0.01, "")]  # the pool serves again
        with pytest.raises(KeyError, match="wieght"):
            outcomes(processes, defective, at(1.0))


def test_seconds_are_measured() -> None:
    outcome = run_trial(lambda _: time.sleep(0.05) or 1.0, {})
    assert outcome.value == 1.0
    assert 0.05 <= outcome.seconds < 5


def test_infinite_values_and_long_reasons_are_no_values() -> None:
    assert run_trial(lambda _: float("inf"), {}) == Outcome(
        None, "The objective returned inf.", pytest.approx(0, abs=1)
    )

    def complain(_: Settings) -> float:
        raise RuntimeError("word\n" * 500)

    assert run_trial(complain, {}).error.startswith("RuntimeError: word word")
    assert len(run_trial(complain, {}).error) == 300


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_trial_whose_process_dies_fails_and_takes_no_other_with_it() -> None:
    with LocalProcesses(2) as processes:
        generation = at(1.0, 2.5, 1.5, 0.5)
        expected = [(1.0, ""), (None, PROCESS_DIED), (1.5, ""), (0.5, "")]
        assert outcomes(processes, dies_above_two, generation) == expected
        assert outcomes(processes, dies_above_two, at(1.75)) == [(1.75, "")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_processes_end_with_a_killed_study(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(
        "import sys; from pathlib import Path\n"
        "from tune_cases import SaysWhoRan\n"
        "from cmrseg.train.tune.executor import LocalProcesses\n"
        "if __name__ == '__main__':\n"
        "    with LocalProcesses(2) as here:\n"
        "        list(here.run(SaysWhoRan(Path(sys.argv[1])), [{'a': 1}, {'a': 2}]))\n"
    )
    ran = tmp_path / "ran"
    ran.mkdir()
    environment = {"PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen([sys.executable, str(script), str(ran)], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 60
    while len(list(ran.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = [int(path.name) for path in ran.iterdir()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    while any(_is_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_is_alive(worker) for worker in workers)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_no_jobs_are_refused() -> None:
    with pytest.raises(UsageError, match="0 processes"):
        LocalProcesses(0)
    with pytest.raises(UsageError, match="0 jobs"):
        RayTasks(0)


class Task:
    """Something to be done, told apart by what it is and not by what it holds."""

    def __init__(self, call: tuple[Any, tuple[Any, ...]]) -> None:
        self.call = call


class FakeRay(ModuleType):
    """The part of Ray's interface that is used, in this process; tasks run when they are waited for, the last first."""

    def __init__(self) -> None:
        super().__init__("ray")
        crashed = type("WorkerCrashedError", (Exception,), {})
        self.exceptions = SimpleNamespace(
            WorkerCrashedError=crashed,
            NodeDiedError=type("NodeDiedError", (Exception,), {}),
            OutOfMemoryError=type("OutOfMemoryError", (Exception,), {}),
        )
        self.started: dict[str, Any] | None = None
        self.most_at_once = 0

    def is_initialized(self) -> bool:
        """Whether init was called."""
        return self.started is not None

    def init(self, **options: Any) -> None:
        """Start, or connect."""
        if options["address"] == "ray://nobody:1":
            raise ConnectionError("no answer")
        self.started = options

    def shutdown(self) -> None:
        """End."""
        self.started = None

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        """Turn a function into a task."""
        assert options == {"num_cpus": 2, "max_retries": 0}
        return lambda function: SimpleNamespace(remote=lambda *arguments: Task((function, arguments)))

    def wait(self, tasks: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        """The last one is done first."""
        assert num_returns == 1
        self.most_at_once = max(self.most_at_once, len(tasks))
        return tasks[-1:], tasks[:-1]

    def get(self, task: Any) -> Any:
        """What a task returned."""
        function, (objective, settings) = task.call
        if settings["weight"] > 2:
            raise self.exceptions.WorkerCrashedError
        return function(objective, settings)


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Ray's place in the modules, taken by the fake."""
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    return ray


def test_ray_is_started_without_reporting_and_ended(fake_ray: FakeRay) -> None:
    with RayTasks(3, threads=2):
        assert fake_ray.started is not None
        assert fake_ray.started["num_cpus"] == 6
        assert fake_ray.started["include_dashboard"] is False
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        with pytest.raises(UsageError, match="already"):
            RayTasks(1, threads=2)
    assert fake_ray.started is None
    with RayTasks(3, threads=2, address="auto"):
        assert fake_ray.started == {"address": "auto", "log_to_driver": False, "logging_level": "warning"}
    with pytest.raises(UsageError, match="No Ray cluster"):
        RayTasks(3, threads=2, address="ray://nobody:1")


def test_ray_gives_the_outcomes_of_trials_and_of_those_that_died(fake_ray: FakeRay) -> None:
    with RayTasks(2, threads=2) as tasks:
        generation = at(2.0, -0.5, 0.2, 0.7, 2.5)
        assert outcomes(tasks, fails_below_one, generation) == [*EXPECTED, (None, PROCESS_DIED)]
    assert fake_ray.most_at_once == 2


def test_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="not installed"):
        RayTasks(1)


@pytest.mark.slow
def test_ray_itself_gives_the_trials_of_this_process() -> None:
    pytest.importorskip("ray")
    with RayTasks(2) as tasks:
        there = run_study(make_search("swarm", MIXED, seed=1, trials=8, particles=4), value_of, 8, tasks)
    here = run_study(make_search("swarm", MIXED, seed=1, trials=8, particles=4), value_of, 8, InProcess())
    assert [(t.settings, t.value) for t in there] == [(t.settings, t.value) for t in here]
