"""Text that came from outside, so that it can be printed and written whatever it holds.

Names of files are bytes that need not be text: Python carries such bytes as lone surrogates, which no encoding holds.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")
#: Control characters, and marks that turn the direction of writing: they could make a terminal show something else.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def encodable(text: str) -> str:
    """The same text with lone surrogates as escapes: byte FC that is no UTF-8 becomes ``\\xfc``."""
    return _SURROGATES.sub(_escaped, text)


def printable(name: str | PurePath) -> str:
    """A name or path as one line of plain text: `encodable`, and control characters as escapes too."""
    return _CONTROLS.sub(_escaped, encodable(str(name)))


def json_text(value: Any, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    """A value as JSON that every reader takes: `encodable` text, no NaN.

    Args:
        value: what JSON can hold.
        indent: spaces of each level; None for a single line.
        ascii_only: letters outside ASCII as escapes, for output of unknown encoding.
    """
    return json.dumps(_clean(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list | tuple) else value


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that could not be decoded
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
