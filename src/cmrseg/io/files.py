"""Hashes of what was read, and output folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmrseg.errors import InputRefused, OutputError

#: A file of this name marks a folder as one that cmrseg wrote and may therefore replace.
MARKER = "run.json"
#: Left-overs of killed runs are removed when they are older than this.
STALE_SECONDS = 24 * 3600.0

_LEFT_OVER = re.compile(r"\..+\.(?:partial|replaced)-[0-9a-f]{16}")


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


@contextmanager
def output_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to write into that becomes `target` only when the block ends well.

    The block writes into a hidden folder beside the target; at its end every file is flushed to disk and the folder
    is renamed. When the block raises, for whatever reason, nothing is left and an existing target is untouched.

    Args:
        target: the folder to make; its parents are made too. An empty folder there counts as none.
        replace: put the new folder in the place of an existing one, if that holds a `MARKER`, which shows that
            cmrseg wrote it. Anything else that exists is never replaced.

    Yields:
        The folder to write into.

    Raises:
        OutputError: the target exists and may not be replaced, or writing failed (disk full, no permission).
    """
    refuse_existing(target, replace=replace)
    partial = target.with_name(f".{target.name}.partial-{secrets.token_hex(8)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        partial.mkdir()
        try:
            yield partial
            _flush(partial)
            refuse_existing(target, replace=replace)
            _move_into_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"The results could not be written to {target} ({error.strerror or type(error).__name__}).",
            "Check free space and permissions, or choose another output folder.",
        ) from error


def refuse_existing(target: Path, *, replace: bool = False) -> None:
    """Raise OutputError where a folder could not be put, which is better known before hours of work than after.

    Args:
        target: folder to be made; an empty one may be there.
        replace: one that cmrseg wrote may be there too.
    """
    if not os.path.lexists(target):
        return
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return
        if replace and (target / MARKER).is_file():
            return
        if replace:
            raise OutputError(
                f"{target} exists and was not written by cmrseg, so it is not replaced.",
                "Choose another output folder.",
            )
    raise OutputError(f"{target} already exists.", "Choose another output folder, or ask for it to be replaced.")


def _move_into_place(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.replaced-{secrets.token_hex(8)}")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Ask the system to put every file and folder name on the disk, so that a power cut leaves no torn file."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and os.name == "nt":
            continue
        handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left beside the target more than a day ago."""
    now = time.time()
    for path in parent.iterdir():
        if _LEFT_OVER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            try:
                age = now - path.stat().st_mtime
            except FileNotFoundError:
                continue
            if age > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
