"""Trials as tasks of Ray, on this machine or on a cluster. Ray is not a dependency: install it where it is used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from cmrseg.errors import UsageError
from cmrseg.train.tune.executor import PROCESS_DIED, Objective, Outcome, run_trial
from cmrseg.train.tune.search import Settings


class RayTasks:
    """At most `jobs` trials at a time as Ray tasks; what a task needs (data, run folders) must be reachable from it.

    Args:
        jobs: trials at a time, at least 1.
        threads: CPUs that each trial holds.
        address: of a running cluster (``auto``, ``ray://host:port``); ``local`` starts one for this study and ends it.

    Raises:
        UsageError: Ray is not installed, the cluster cannot be reached, or fewer than one job.
    """

    def __init__(self, jobs: int, threads: int = 1, address: str = "local") -> None:
        if jobs < 1 or threads < 1:
            raise UsageError(f"{jobs} jobs of {threads} CPUs cannot run anything.", "Ask for one or more.")
        # Ray reports its use to its makers unless told not to before it starts.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise UsageError("Ray is not installed.", "Install it (pip install ray), or use processes.") from error
        self.jobs = jobs
        if self._ray.is_initialized():
            raise UsageError("Ray runs in this process already.", "End it with ray.shutdown() first.")
        here = {"num_cpus": jobs * threads, "include_dashboard": False} if address == "local" else {}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="warning", **here)
        except ConnectionError as error:
            raise UsageError(
                f"No Ray cluster answers at {address!r}.", "Start it, or leave the address out."
            ) from error
        self._task: Any = self._ray.remote(num_cpus=threads, max_retries=0)(run_trial)
        failures = self._ray.exceptions
        self._died = (failures.WorkerCrashedError, failures.NodeDiedError, failures.OutOfMemoryError)

    def run(self, objective: Objective, generation: Sequence[Settings]) -> Iterator[tuple[int, Outcome]]:
        """In the order in which trials end."""
        waiting = list(enumerate(generation))
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                place, settings = waiting.pop(0)
                running[self._task.remote(objective, dict(settings))] = place
            (done,), _ = self._ray.wait(list(running), num_returns=1)
            yield running.pop(done), self._outcome(done)

    def _outcome(self, task: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(task)
        except self._died:
            return Outcome(None, PROCESS_DIED)
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster; one that was started for this study ends."""
        self._ray.shutdown()
