"""Where trials run: here, in local processes, or (`ray_executor`) on a Ray cluster."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from cmrseg.errors import CmrsegError, UsageError
from cmrseg.train.tune.search import Settings

#: What a search maximises. Executors other than `InProcess` pickle it.
Objective = Callable[[Settings], float]
#: What bad settings or a full machine raise. Anything else is a defect of the objective and ends the study.
TRIAL_ERRORS = (CmrsegError, ArithmeticError, MemoryError, OSError, RuntimeError, ValueError)
PROCESS_DIED = "The process of the trial died: killed, or out of memory."
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Outcome:
    """What came of one trial.

    Args:
        value: the objective; None for a trial that failed.
        error: why it failed; empty for one that did not.
        seconds: how long it ran.
    """

    value: float | None
    error: str = ""
    seconds: float = 0.0


class Executor(Protocol):
    """Runs trials. A context manager: leaving it ends whatever it started."""

    def run(self, objective: Objective, generation: Sequence[Settings]) -> Iterator[tuple[int, Outcome]]:
        """Run every trial of a generation; yields its place in it and its outcome, each as soon as it is known."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def run_trial(objective: Objective, settings: Settings) -> Outcome:
    """One trial; what settings can be blamed for (`TRIAL_ERRORS`, a value that is no finite number) is its outcome."""
    began = time.monotonic()
    try:
        value = float(objective(settings))
    except TRIAL_ERRORS as error:
        return Outcome(None, _reason(error), time.monotonic() - began)
    seconds = time.monotonic() - began
    if not math.isfinite(value):
        return Outcome(None, f"The objective returned {value}.", seconds)
    return Outcome(value, "", seconds)


def _reason(error: BaseException) -> str:
    # The text of an OSError names files, and file names may name patients.
    text = (error.strerror or "") if isinstance(error, OSError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


class InProcess:
    """One trial after another, in this process."""

    def run(self, objective: Objective, generation: Sequence[Settings]) -> Iterator[tuple[int, Outcome]]:
        """In the order of the generation."""
        for place, settings in enumerate(generation):
            yield place, run_trial(objective, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""


class LocalProcesses:
    """Several trials at a time, each in a process of this machine that is started afresh (no fork: torch has threads).

    A trial whose process dies fails. As nobody can tell which of the running trials brought a pool down, those that
    it lost are run again, each in a process of its own.

    Args:
        jobs: processes, at least 1.

    Raises:
        UsageError: fewer than one job.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise UsageError(f"{jobs} processes cannot run anything.", "Ask for one or more.")
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def run(self, objective: Objective, generation: Sequence[Settings]) -> Iterator[tuple[int, Outcome]]:
        """In the order in which trials end."""
        self._pool = self._pool or _pool(self.jobs)
        running: dict[Future[Outcome], int] = {}
        lost: list[int] = []
        for place, settings in enumerate(generation):
            try:
                running[self._pool.submit(run_trial, objective, settings)] = place
            except BrokenProcessPool:
                lost.append(place)
        for future in as_completed(running):
            if isinstance(future.exception(), BrokenProcessPool):
                lost.append(running[future])
            else:
                yield running[future], future.result()
        if lost:
            self._end()
        for place in sorted(lost):
            yield place, _run_alone(objective, generation[place])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; trials that have not begun never do."""
        self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _run_alone(objective: Objective, settings: Settings) -> Outcome:
    began = time.monotonic()
    with _pool(1) as pool:
        future = pool.submit(run_trial, objective, settings)
        if isinstance(future.exception(), BrokenProcessPool):
            return Outcome(None, PROCESS_DIED, time.monotonic() - began)
        return future.result()


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when the study is killed; it would go on training into a folder that a resumed study uses."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise UsageError("This process was not started by another.", "Use LocalProcesses.")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
