"""What every command shares: exit codes, how errors are shown, what `--quiet` and `--json` mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import typer

from cmrseg.errors import CmrsegError
from cmrseg.text import json_text, printable

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_REVIEW = 3
EXIT_INTERRUPTED = 130
#: Whether `--debug` was given: errors then show where they came from.
DEBUG: ContextVar[bool] = ContextVar("debug", default=False)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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
        line.append(f" {printable(name)}")
    line.append(f": {_lines(error.cause)}")
    if error.remedy:
        line.append(f"\n       {_lines(error.remedy)}", style="dim")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(line)
    if DEBUG.get():
        from cmrseg.defects import trace

        console.print(Text(trace(error.__cause__ or error), style="dim"))


def _lines(text: str) -> str:
    """Text of one or more lines without anything that a terminal would obey."""
    return "\n".join(printable(line) for line in text.split("\n"))


@contextmanager
def errors_become_exit_codes() -> Iterator[None]:
    """Turn whatever is raised into a message and an exit code."""
    take_any_text()
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - the last door: a user gets a message, never a traceback
        from cmrseg.defects import explained

        told = explained(error)
        told.__cause__ = error if told is not error else error.__cause__
        show_error(told)
        raise typer.Exit(told.exit_code) from None


def guarded(command: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same command under `errors_become_exit_codes`."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with errors_become_exit_codes():
            return command(*args, **kwargs)

    return run


def take_any_text() -> None:
    """Let stdout and stderr print what their encoding does not hold as an escape, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON on stdout, at once."""
    sys.stdout.write(json_text(value, indent=None, ascii_only=True) + "\n")
    sys.stdout.flush()


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout for machines."""
    sys.stdout.write(json_text(value, ascii_only=True) + "\n")
