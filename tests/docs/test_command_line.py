"""The reference of the command line names every command, argument and option, with its default."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from docpages import ROOT, table_rows

from cmrseg.cli import common
from cmrseg.cli.main import app

PAGE = ROOT / "docs" / "reference" / "command-line.md"


def _commands(command: Any, name: str) -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {name: command}
    return {n: c for key, sub in command.commands.items() for n, c in _commands(sub, f"{name} {key}").items()}


COMMANDS = _commands(typer.main.get_command(app), "cmrseg")


def _row(parameter: Any) -> tuple[str, str]:
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else (parameter.metavar or parameter.name.upper())
    if parameter.required:
        return name, "required"
    return name, "" if parameter.default in (None, "", False) else str(parameter.default)


def test_every_command_has_its_heading_and_no_other() -> None:
    headings = [line[3:] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("## cmrseg")]
    assert sorted(headings) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_is_listed_with_its_default(name: str) -> None:
    rows = table_rows(PAGE, name)
    assert [(row[0], row[1]) for row in rows] == [_row(p) for p in COMMANDS[name].params]
    assert all(row[2] for row in rows)


def test_exit_codes_are_those_of_the_code() -> None:
    codes = {value for key, value in vars(common).items() if key.startswith("EXIT_")}
    assert [int(row[0]) for row in table_rows(PAGE, "Exit codes")] == sorted(codes)
