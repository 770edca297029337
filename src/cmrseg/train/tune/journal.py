"""Every finished trial on one line of JSON, on disk before the next one counts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmrseg.errors import UsageError
from cmrseg.train.tune.search import WORST, Settings


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Args:
        number: its place in the study, counted from 0 in the order of asking.
        generation: which generation it belongs to, counted from 0.
        settings: what was tried.
        value: what they were worth, higher being better; None for a trial that failed.
        error: why it failed; empty for one that did not.
        seconds: how long it ran.
        same_as: number of the earlier trial of the same settings whose outcome it takes; None where it ran itself.
    """

    number: int
    generation: int
    settings: Settings
    value: float | None
    error: str = ""
    seconds: float = 0.0
    same_as: int | None = None

    @property
    def worth(self) -> float:
        """Its value for a search: `WORST` when it failed."""
        return WORST if self.value is None else self.value


class Journal:
    """Trials of a study in a file.

    Args:
        path: the file; made when the first trial is added.

    Raises:
        UsageError: a line before the last that is no trial, or two lines of one trial.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials = {trial.number: trial for trial in _read(path)}

    def add(self, trial: Trial) -> None:
        """Write a trial, and return when it is on the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial), allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.trials[trial.number] = trial


def _read(path: Path) -> Iterator[Trial]:
    if not path.exists():
        return
    whole, newline, cut = path.read_bytes().rpartition(b"\n")
    if cut:
        # A study killed while it wrote leaves half a line; the trial of that line is run again.
        with path.open("r+b") as file:
            file.truncate(len(whole) + len(newline))
    seen: set[int] = set()
    for count, line in enumerate(whole.splitlines(), start=1):
        try:
            trial = Trial(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"Line {count} of {path.name} is no trial.", "Restore the file, or begin in another folder."
            ) from error
        if trial.number in seen:
            raise UsageError(
                f"{path.name} has trial {trial.number} twice.", "Run one study at a time in a folder; begin in another."
            )
        seen.add(trial.number)
        yield trial


def same_settings(asked: Settings, stored: Settings) -> bool:
    """Whether stored settings are those asked for; numbers to nine digits, as machines round logarithms differently."""
    plain = json.loads(json.dumps(dict(asked)))
    return plain.keys() == stored.keys() and all(_same(plain[path], stored[path]) for path in plain)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return type(a) is type(b) and bool(a == b)


def key_of(settings: Settings) -> str:
    """Settings as text, the same for the same settings."""
    return json.dumps(dict(settings), sort_keys=True)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest value, the first of equals; None when none succeeded."""
    succeeded = [trial for trial in trials if trial.value is not None]
    return max(succeeded, key=lambda trial: trial.worth, default=None)
