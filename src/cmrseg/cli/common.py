"""What every command shares: exit codes, how errors are shown, what `--quiet` and `--json` mean."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from cmrseg.errors import CmrsegError

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_REVIEW = 3


def show_error(error: CmrsegError, name: str = "") -> None:
    """Print an error's cause and remedy on stderr, with the name of the study it is about."""
    from rich.console import Console
    from rich.text import Text

    code = getattr(error, "code", "")
    line = Text()
    line.append("error", style="bold red")
    if code:
        line.append(f" [{code}]")
    if name:
        line.append(f" {name}")
    line.append(f": {error.cause}")
    if error.remedy:
        line.append(f"\n       {error.remedy}", style="dim")
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)


@contextmanager
def errors_become_exit_codes() -> Iterator[None]:
    """Turn the package's own errors into a message and an exit code; anything else is a defect and stays loud."""
    try:
        yield
    except CmrsegError as error:
        show_error(error)
        raise typer.Exit(error.exit_code) from None


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout for machines."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")
