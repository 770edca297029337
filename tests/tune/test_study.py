"""Studies: cache, failures, journal, and going on after a kill with the very same trials."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tune_cases import MIXED, always_fails, defective, fails_below_one, value_of

from cmrseg.errors import UsageError
from cmrseg.train.space import Categorical
from cmrseg.train.tune.executor import InProcess
from cmrseg.train.tune.journal import Journal, Trial, best_of, same_settings
from cmrseg.train.tune.search import Search, Settings
from cmrseg.train.tune.searches import SEARCHES, make_search
from cmrseg.train.tune.study import HOPELESS_AFTER, run_study

TRIALS = 22  # not a multiple of the five particles


def a_search(name: str = "swarm") -> Search:
    """A search that has not begun."""
    if name == "tpe":
        pytest.importorskip("optuna")
    return make_search(name, MIXED, seed=11, trials=TRIALS, particles=5)


def tried(trials: Sequence[Trial]) -> list[tuple[int, int, Settings, float | None]]:
    """What decides a study, without the seconds that it took."""
    return [(t.number, t.generation, t.settings, t.value) for t in trials]


class Counting:
    """An objective that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Settings] = []

    def __call__(self, settings: Settings) -> float:
        """Value of the settings."""
        self.calls.append(settings)
        return value_of(settings)


def test_a_study_has_as_many_trials_as_asked_for_in_order(tmp_path: Path) -> None:
    trials = run_study(a_search(), value_of, TRIALS, InProcess(), Journal(tmp_path / "journal.jsonl"))
    assert [t.number for t in trials] == list(range(TRIALS))
    assert [t.generation for t in trials] == [k // 5 for k in range(TRIALS)]
    assert [t.value for t in trials] == [value_of(t.settings) for t in trials]
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [Trial(**line) for line in lines] == trials
    best = best_of(trials)
    assert best is not None
    assert best.value == max(value_of(t.settings) for t in trials)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_study_goes_on_from_any_line_of_its_journal(name: str, tmp_path: Path) -> None:
    whole = run_study(a_search(name), value_of, TRIALS, InProcess(), Journal(tmp_path / "whole.jsonl"))
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (0, 3, 5, 13, TRIALS):
        path = tmp_path / f"{kept}.jsonl"
        path.write_bytes(b"".join(lines[:kept]) + (lines[kept][:25] if 0 < kept < TRIALS else b""))
        objective = Counting()
        assert tried(run_study(a_search(name), objective, TRIALS, InProcess(), Journal(path))) == tried(whole)
        assert len(objective.calls) == TRIALS - kept
        assert len(Journal(path).trials) == TRIALS


def test_trials_that_ended_out_of_order_are_not_run_again(tmp_path: Path) -> None:
    whole = run_study(a_search(), value_of, TRIALS, InProcess())
    journal = Journal(tmp_path / "journal.jsonl")
    for number in (4, 1, 0):
        journal.add(whole[number])
    objective = Counting()
    again = run_study(a_search(), objective, TRIALS, InProcess(), Journal(tmp_path / "journal.jsonl"))
    assert tried(again) == tried(whole)
    assert objective.calls[:2] == [whole[2].settings, whole[3].settings]


def test_a_killed_study_goes_on_with_the_very_same_trials(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(
        "import sys; from pathlib import Path\n"
        "from tune_cases import MIXED, slow_value_of\n"
        "from cmrseg.train.tune.executor import LocalProcesses\n"
        "from cmrseg.train.tune.journal import Journal\n"
        "from cmrseg.train.tune.searches import make_search\n"
        "from cmrseg.train.tune.study import run_study\n"
        "if __name__ == '__main__':\n"
        f"    search = make_search('swarm', MIXED, seed=11, trials={TRIALS}, particles=5)\n"
        "    with LocalProcesses(2) as here:\n"
        f"        run_study(search, slow_value_of, {TRIALS}, here, Journal(Path(sys.argv[1])))\n"
    )
    path = tmp_path / "journal.jsonl"
    process = subprocess.Popen([sys.executable, str(script), str(path)], cwd=tmp_path, env=_environment())
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 8:
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    half = path.read_bytes().count(b"\n")
    assert 8 <= half < TRIALS
    objective = Counting()
    resumed = run_study(a_search(), objective, TRIALS, InProcess(), Journal(path))
    assert len(objective.calls) == TRIALS - half
    assert tried(resumed) == tried(run_study(a_search(), value_of, TRIALS, InProcess()))


def _environment() -> dict[str, str]:
    """Of a subprocess that imports what stands beside the tests."""
    return {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}


def test_settings_are_run_once_and_repetitions_say_so(tmp_path: Path) -> None:
    spaces = {"loss": Categorical(("a", "b")), "net": Categorical((1, 2))}
    values = {("a", 1): 1.0, ("a", 2): 2.0, ("b", 1): 3.0}
    calls: list[tuple[object, object]] = []

    def objective(settings: Settings) -> float:
        calls.append((settings["loss"], settings["net"]))
        if calls[-1] not in values:
            raise ValueError("these do not go together")
        return values[calls[-1]]

    search = make_search("random", spaces, seed=0, trials=20, batch=10)
    trials = run_study(search, objective, 20, InProcess(), Journal(tmp_path / "journal.jsonl"))
    assert sorted(calls) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]  # each once, the failing one too
    for trial in trials:
        if trial.same_as is not None:
            first = trials[trial.same_as]
            assert first.same_as is None
            assert (first.settings, first.value, first.error) == (trial.settings, trial.value, trial.error)
    assert sum(trial.same_as is not None for trial in trials) == 16
    again = run_study(
        make_search("random", spaces, seed=0, trials=20, batch=10),
        always_fails,
        20,
        InProcess(),
        Journal(tmp_path / "journal.jsonl"),
    )
    assert again == trials


def test_failures_are_written_with_their_reason(tmp_path: Path) -> None:
    reported: list[tuple[int, bool]] = []
    trials = run_study(
        make_search("random", MIXED, seed=0, trials=40),
        fails_below_one,
        40,
        InProcess(),
        Journal(tmp_path / "journal.jsonl"),
        lambda trial, replayed: reported.append((trial.number, replayed)),
    )
    reasons = {t.error for t in trials}
    assert reasons == {
        "",
        "UsageError: The weight is negative. Give another.",
        "The objective returned nan.",
        "FileNotFoundError: No such file or directory",  # and not the file's name
    }
    assert all((t.value is None) == bool(t.error) for t in trials)
    assert "Doe" not in (tmp_path / "journal.jsonl").read_text()
    assert reported == [(k, False) for k in range(40)]


def test_a_hopeless_study_ends_early(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no luck"):
        run_study(a_search(), always_fails, TRIALS, InProcess(), Journal(tmp_path / "journal.jsonl"))
    assert len(Journal(tmp_path / "journal.jsonl").trials) == HOPELESS_AFTER


def test_a_defect_of_the_objective_is_no_failed_trial() -> None:
    with pytest.raises(KeyError, match="wieght"):
        run_study(a_search(), defective, TRIALS, InProcess())


def test_the_journal_of_another_study_is_refused(tmp_path: Path) -> None:
    run_study(a_search(), value_of, 6, InProcess(), Journal(tmp_path / "journal.jsonl"))
    other = make_search("swarm", MIXED, seed=12, trials=TRIALS, particles=5)
    with pytest.raises(UsageError, match="other settings"):
        run_study(other, value_of, TRIALS, InProcess(), Journal(tmp_path / "journal.jsonl"))


def test_damaged_journals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run_study(a_search(), value_of, 5, InProcess(), Journal(path))
    lines = path.read_text().splitlines(keepends=True)
    for text in (lines[0] + "{}\n" + lines[1], lines[0][:20] + "\n" + lines[1]):
        path.write_text(text)
        with pytest.raises(UsageError, match="no trial"):
            Journal(path)
    path.write_text(lines[0] + lines[1] + lines[0])
    with pytest.raises(UsageError, match="twice"):
        Journal(path)


def test_no_trials_is_no_study() -> None:
    with pytest.raises(UsageError, match="no study"):
        run_study(a_search(), value_of, 0, InProcess())


def test_stored_settings_are_recognised_to_nine_digits() -> None:
    asked = {"a": 0.1, "b": (1, 2), "c": True}
    assert same_settings(asked, {"a": 0.1 + 1e-16, "b": [1, 2], "c": True})
    for other in ({"a": 0.1 + 1e-6}, {"b": [1, 3]}, {"c": 1}):
        assert not same_settings(asked, {"a": 0.1, "b": [1, 2], "c": True, **other})
    assert not same_settings(asked, {"a": 0.1, "b": [1, 2]})


def test_best_is_the_first_of_equals_and_none_without_success() -> None:
    trials = [Trial(0, 0, {}, None, "x"), Trial(1, 0, {}, 2.0), Trial(2, 0, {}, 2.0), Trial(3, 0, {}, 1.0)]
    assert best_of(trials) == trials[1]
    assert best_of(trials[:1]) is None
    assert best_of([]) is None


def test_replay_reports_itself(tmp_path: Path) -> None:
    run_study(a_search(), value_of, 7, InProcess(), Journal(tmp_path / "journal.jsonl"))
    reported: list[bool] = []
    run_study(
        a_search(), value_of, 9, InProcess(), Journal(tmp_path / "journal.jsonl"), lambda _, old: reported.append(old)
    )
    assert reported == [True] * 7 + [False] * 2
