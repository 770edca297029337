"""A study: a search and an objective brought together for a number of trials, with cache, journal and replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cmrseg.errors import UsageError
from cmrseg.train.tune.executor import Executor, Objective, Outcome
from cmrseg.train.tune.journal import Journal, Trial, best_of, key_of, same_settings
from cmrseg.train.tune.search import Search, Settings

#: A study whose first trials all fail has been set up wrongly, and the rest would fail as well.
HOPELESS_AFTER = 5

#: Takes each trial as soon as it is known, and whether it was read from the journal.
Report = Callable[[Trial, bool], None]


def run_study(
    search: Search,
    objective: Objective,
    trials: int,
    executor: Executor,
    journal: Journal | None = None,
    report: Report | None = None,
) -> list[Trial]:
    """Run a number of trials, or go on with a study that was interrupted.

    A search proposes the same settings whenever it is told the same values. So a study goes on by being replayed: what
    the journal holds is told instead of run. Settings that were tried before in the study are not run again either.

    Args:
        search: one that has not been asked yet.
        objective: what is maximised.
        trials: how many, those of the journal included; the last generation is cut to it.
        executor: where they run.
        journal: keeps every trial and holds those of an interrupted study; None keeps nothing.
        report: told of every trial.

    Returns:
        all trials, by number.

    Raises:
        UsageError: the journal belongs to another study; fewer than one trial; the first `HOPELESS_AFTER` all failed.
    """
    if trials < 1:
        raise UsageError(f"{trials} trials are no study.", "Ask for one or more.")
    study = _Study(objective, executor, journal, report or _say_nothing)
    while len(study.done) < trials:
        generation = search.ask()
        finished = study.run_generation(generation[: trials - len(study.done)])
        if len(study.done) < trials:
            search.tell([trial.worth for trial in finished])
    return study.done


def _say_nothing(trial: Trial, replayed: bool) -> None:
    """Report to nobody."""


class _Study:
    """Trials so far, and which settings they tried."""

    def __init__(self, objective: Objective, executor: Executor, journal: Journal | None, report: Report) -> None:
        self.objective = objective
        self.executor = executor
        self.journal = journal
        self.report = report
        self.done: list[Trial] = []
        self.numbers: dict[str, int] = {}
        self.generations = 0

    def run_generation(self, generation: Sequence[Settings]) -> list[Trial]:
        """Trials of a generation: from the journal, from earlier trials of the same settings, or run."""
        first = len(self.done)
        found: dict[int, Trial] = {}
        repeated: dict[int, int] = {}
        to_run: list[int] = []
        for number, settings in enumerate(generation, start=first):
            earlier = self.numbers.setdefault(key_of(settings), number)
            replayed = self._replayed(number, settings)
            if replayed is not None:
                found[number] = replayed
                self.report(replayed, True)
            elif earlier != number:
                repeated[number] = earlier
            else:
                to_run.append(number)
        for place, outcome in self.executor.run(self.objective, [generation[n - first] for n in to_run]):
            number = to_run[place]
            found[number] = self._finish(number, generation[number - first], outcome, None)
            self._give_up_if_hopeless([*self.done, *found.values()])
        for number, earlier in repeated.items():
            same = self.done[earlier] if earlier < first else found[earlier]
            found[number] = self._finish(number, generation[number - first], Outcome(same.value, same.error), earlier)
        finished = [found[number] for number in sorted(found)]
        self.done += finished
        self.generations += 1
        return finished

    def _replayed(self, number: int, settings: Settings) -> Trial | None:
        stored = self.journal.trials.get(number) if self.journal else None
        if stored is None:
            return None
        if not same_settings(settings, stored.settings):
            raise UsageError(
                f"Trial {number} of the journal tried other settings than this study does.",
                "Give the search, seed, spaces and software versions that it began with, or another folder.",
            )
        return stored

    def _finish(self, number: int, settings: Settings, outcome: Outcome, same_as: int | None) -> Trial:
        trial = Trial(
            number, self.generations, dict(settings), outcome.value, outcome.error, round(outcome.seconds, 3), same_as
        )
        if self.journal is not None:
            self.journal.add(trial)
        self.report(trial, False)
        return trial

    def _give_up_if_hopeless(self, trials: Sequence[Trial]) -> None:
        if len(trials) >= HOPELESS_AFTER and best_of(trials) is None:
            raise UsageError(
                f"The first {len(trials)} trials failed, one with: {trials[-1].error}",
                "Mend the cause and begin in another folder.",
            )
