"""Names that are no text, and text that a terminal would obey."""

from __future__ import annotations

import json

import pytest

from cmrseg.text import encodable, json_text, printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Müller", "Müller"),
        ("M\udcfcller", r"M\xfcller"),
        ("half \ud800 pair", r"half \ud800 pair"),
        ("two\nlines\t\x1b[31m", r"two\x0alines\x09\x1b[31m"),
        ("gp\u202exslx", r"gp\u202exslx"),
        ("心臓", "心臓"),
    ],
)
def test_a_name_is_shown_on_one_line_of_text(name: str, shown: str) -> None:
    assert printable(name) == shown
    encodable(name).encode("utf-8")


def test_json_holds_names_that_are_no_text() -> None:
    value = {"M\udcfc": ["\udcff", ("a", 1.5, None)], "n": {"x": "ä\n"}}
    for ascii_only in (False, True):
        text = json_text(value, ascii_only=ascii_only)
        assert json.loads(text.encode("utf-8")) == {r"M\xfc": [r"\xff", ["a", 1.5, None]], "n": {"x": "ä\n"}}
    json_text(value, ascii_only=True).encode("ascii")
    assert "\n" not in json_text(value, indent=None)
