"""Hashes of what was read, and output folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cmrseg.errors import InputRefused


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        InputRefused: code `unreadable`, when the file cannot be read to its end.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputRefused(
            "unreadable", f"A file could not be read ({type(error).__name__}).", "Check the disk and permissions."
        ) from error
