"""Hashes of what was read, and output folders and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
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
from cmrseg.text import encodable, printable

#: A file of this name marks a folder as one that cmrseg wrote and may therefore replace.
MARKER = "run.json"
#: Left-overs of killed runs are removed when they are older than this.
STALE_SECONDS = 24 * 3600.0

_LEFT_OVER = re.compile(r"\..+\.(?:partial|replaced)-[0-9a-f]{16}(?:\.[^.]+)?")
#: Bytes of one name, where the system does not tell.
_LONGEST_NAME = 255


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
    refuse_unwritable(target)
    partial = _beside(target, "partial")
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
        raise _not_written(target, error) from error


@contextmanager
def output_file(target: Path) -> Iterator[Path]:
    """A file to write that becomes `target` only when the block ends well; an older one is then replaced.

    The block writes a hidden file beside the target, of the same ending. When the block raises, for whatever reason,
    nothing is left and an existing target is untouched.

    Args:
        target: the file to make; its parents are made too.

    Yields:
        The file to write.

    Raises:
        OutputError: writing failed (disk full, no permission, a folder is in the way).
    """
    partial = _beside(target, "partial", target.suffix)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _sync(partial)
            partial.replace(target)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
    except OSError as error:
        raise _not_written(target, error) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all; raises OutputError when that fails.

    What UTF-8 does not hold, such as bytes of a folder's name that are no text, is written as an escape.
    """
    with output_file(path) as partial:
        partial.write_text(encodable(text), encoding="utf-8", newline="\n")


def refuse_unwritable(target: Path, longest: str = "", *, file: bool = False) -> None:
    """Raise OutputError where a file or folder could not be made, which is better known before the work than after.

    Makes a folder with a file in it beside what is there of the target's parents, and removes both.

    Args:
        target: the file or folder to be made; its parents may be missing, and are not made.
        longest: longest path that will be written below it.
        file: it is a file, so that a folder in its place is refused too.
    """
    if file and target.is_dir():
        raise OutputError(f"{printable(target)} is a folder.", "Give the name of a file to write.")
    parent = target.parent
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    if os.path.lexists(parent) and not parent.is_dir():
        raise OutputError(
            f"{printable(parent)} is no folder, so nothing can be written below it.", "Choose another output folder."
        )
    _refuse_long(target / longest, parent)
    probe = _beside(parent / "x", "partial")
    try:
        probe.mkdir()
        try:
            (probe / MARKER).write_bytes(b"0")
        finally:
            shutil.rmtree(probe, ignore_errors=True)
    except OSError as error:
        raise _not_written(target, error) from error


def _refuse_long(path: Path, existing: Path) -> None:
    """Refuse names and paths longer than the file system takes."""
    limits = {"PC_NAME_MAX": _LONGEST_NAME, "PC_PATH_MAX": None}
    for name in limits:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            limits[name] = os.pathconf(existing, name)
    longest_name, longest_path = limits.values()
    if any(longest_name is not None and len(os.fsencode(part)) > longest_name for part in path.parts):
        raise OutputError(
            f"A name in the path of the results is longer than the {longest_name} bytes that the disk allows.",
            "Give the study's folder a shorter name, or choose another output folder.",
        )
    if longest_path is not None and len(os.fsencode(path.absolute())) >= longest_path:
        raise OutputError(
            f"The path of the results is longer than the {longest_path} bytes that the system allows.",
            "Choose an output folder with a shorter path.",
        )


def _beside(target: Path, state: str, suffix: str = "") -> Path:
    """A hidden name beside a target; not made from the target's own, which may be as long as names can be."""
    return target.with_name(f".cmrseg.{state}-{secrets.token_hex(8)}{suffix}")


def _not_written(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{printable(target)} could not be written ({error.strerror or type(error).__name__}).",
        "Check free space and permissions, or choose another output folder.",
    )


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
                f"{printable(target)} exists and was not written by cmrseg, so it is not replaced.",
                "Choose another output folder.",
            )
    raise OutputError(
        f"{printable(target)} already exists.", "Choose another output folder, or ask for it to be replaced."
    )


def _move_into_place(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.rename(target)
        return
    old = _beside(target, "replaced")
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
        if not (path.is_dir() and os.name == "nt"):
            _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left beside the target more than a day ago."""
    now = time.time()
    for path in parent.iterdir():
        if _LEFT_OVER.fullmatch(path.name) and not path.is_symlink():
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime <= STALE_SECONDS:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
