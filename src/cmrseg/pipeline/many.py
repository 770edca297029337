"""Many studies with one set of networks: one outcome each, whatever happens to the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cmrseg.defects import explained
from cmrseg.errors import CmrsegError, InputRefused
from cmrseg.io.files import MARKER
from cmrseg.naming import result_names
from cmrseg.patients import completed
from cmrseg.pipeline.analyse import Analyser
from cmrseg.pipeline.record import Clock
from cmrseg.pipeline.write import free_folder, write
from cmrseg.study import Analysis, Finding, Patient, Study
from cmrseg.text import printable

NUMBERS = "measurements.json"
Status = Literal["done", "skipped", "refused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one study.

    Args:
        path: as it was given.
        name: of its result.
        status: ``done``; ``skipped``, where a result was there already; ``refused``, since its images cannot be
            trusted; ``failed``, for any other reason.
        folder: of the result; None where there is none.
        analysis: what was found; None unless done.
        error: why there is none.
    """

    path: Path
    name: str
    status: Status
    folder: Path | None = None
    analysis: Analysis | None = None
    error: CmrsegError | None = None


@dataclass(frozen=True)
class Task:
    """One study to analyse.

    Args:
        path: of the study.
        name: of its result.
        patient: what was given of its patient; None for nothing.
        findings: what is known of it before it is read.
    """

    path: Path
    name: str
    patient: Patient | None = None
    findings: tuple[Finding, ...] = ()


def tasks_of(paths: Sequence[Path]) -> list[Task]:
    """Studies under the names that tell them apart."""
    return [Task(path, name) for path, name in zip(paths, result_names(paths), strict=True)]


def analyse_many(
    analyser: Analyser,
    tasks: Sequence[Task],
    output: Path,
    *,
    skip_done: bool = False,
    begins: Callable[[Task], None] = lambda task: None,
) -> Iterator[Outcome]:
    """Analyse studies one after the other and write each one's folder.

    Nothing that is raised over one study stops the others; only an interruption by the user does, which leaves nothing
    half-written.

    Args:
        analyser: of all of them.
        tasks: the studies.
        output: folder of the results.
        skip_done: leave out studies whose result is in `output` already, made by the same version, bundles and settings
            from the same files and patient.
        begins: called before each study.

    Yields:
        one outcome for each task, in order, as soon as it is known.
    """
    done = DoneResults(output) if skip_done else None
    for task in tasks:
        begins(task)
        yield _outcome(analyser, task, output, done)


def _outcome(analyser: Analyser, task: Task, output: Path, done: DoneResults | None) -> Outcome:
    try:
        return _one(analyser, task, output, done)
    except Exception as error:  # noqa: BLE001 - whatever one study raises, the others go on
        told = explained(error)
        told.__cause__ = error if told is not error else error.__cause__
        status: Status = "refused" if isinstance(told, InputRefused) else "failed"
        return Outcome(path=task.path, name=task.name, status=status, error=told)


def _one(analyser: Analyser, task: Task, output: Path, done: DoneResults | None) -> Outcome:
    free_folder(output, task.name)
    clock = Clock()
    with clock.step("read"):
        study = analyser.read(task.path)
        study = replace(study, name=task.name, findings=(*study.findings, *task.findings))
        study = completed(study, task.patient)
    earlier = done.of(study, analyser.fingerprint(study)) if done else None
    if earlier is not None:
        return Outcome(path=task.path, name=task.name, status="skipped", folder=earlier)
    analysis = analyser.analyse(study, clock)
    folder = write(analysis, output)
    if done:
        done.add(folder)
    return Outcome(path=task.path, name=task.name, status="done", folder=folder, analysis=analysis)


class DoneResults:
    """Results that a folder holds, by what decided their numbers.

    Args:
        output: folder of results; need not exist.
    """

    def __init__(self, output: Path) -> None:
        self._found: dict[str, list[tuple[Path, str, str]]] = {}
        for folder in result_folders(output):
            self.add(folder)

    def add(self, folder: Path) -> None:
        """Take in a result; a damaged one counts as none."""
        run = read_json(folder / MARKER)
        if run is not None and read_json(folder / NUMBERS) is not None and run.get("fingerprint"):
            entry = (folder, str(run.get("study")), str(run.get("study_path")))
            self._found.setdefault(str(run["fingerprint"]), []).append(entry)

    def of(self, study: Study, fingerprint: str) -> Path | None:
        """Folder of a result of this very study, by its name or path; None where there is none."""
        name, path = printable(study.name), study.path.resolve()
        for folder, its_name, its_path in self._found.get(fingerprint, []):
            if its_name == name or Path(its_path).resolve() == path:
                return folder
        return None


def result_folders(output: Path) -> list[Path]:
    """Folders below `output` that hold a result, sorted; none where there is no such folder."""
    if not output.is_dir():
        return []
    return sorted(p for p in output.iterdir() if not p.name.startswith(".") and (p / MARKER).is_file())


def read_json(path: Path) -> dict[str, Any] | None:
    """What a JSON file of a result holds; None where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


class Pace:
    """How fast studies go and how long the rest will take.

    Args:
        total: studies in all.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended = 0
        self._analysed = 0
        self._began = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """Count one; those that were skipped or refused say nothing about the time that the others take."""
        self.ended += 1
        self._analysed += outcome.status == "done"

    def __str__(self) -> str:
        told = f"{self.ended} of {self.total} studies"
        seconds = time.monotonic() - self._began
        if self._analysed and seconds > 0:
            each = seconds / self._analysed
            told += f", {60 / each:.1f} per minute"
            if self.ended < self.total:
                told += f", about {_duration(each * (self.total - self.ended))} left"
        return told


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
