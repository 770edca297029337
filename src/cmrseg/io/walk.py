"""Every file of a study's folder, once, whatever links lead to it."""

from __future__ import annotations

import os
from pathlib import Path

from cmrseg.errors import InputRefused

#: More than any study of the heart; a folder with more was given by mistake.
MAX_FILES = 200_000


def files_below(folder: Path) -> list[Path]:
    """Files at any depth below a folder, in the order of their paths; empty for an empty folder.

    Links to folders are followed, but not to a folder that holds this one, nor a second time to one that was walked.
    A file to which several paths lead is given once, by the first. A link that leads nowhere is given too: what it
    stood for is lost, and whoever opens it will say so. What is no regular file is left out.

    Raises:
        InputRefused: `too_large` beyond `MAX_FILES` files; `unreadable` for a folder that may not be read.
    """
    top = folder.resolve()
    above = {_identity(parent) for parent in top.parents}
    walked = {_identity(top)}
    found: dict[object, Path] = {}
    for here, subfolders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        subfolders[:] = sorted(name for name in subfolders if _new(Path(here, name), walked, above))
        for name in sorted(names):
            path = Path(here, name)
            if path.is_file():
                found.setdefault(_identity(path), path)
            elif path.is_symlink() and not path.exists():
                found[path] = path
        if len(found) > MAX_FILES:
            raise InputRefused(
                "too_large", f"The folder holds more than {MAX_FILES} files.", "Give the folder of one study."
            )
    return sorted(found.values(), key=lambda file: file.relative_to(folder).as_posix())


def _identity(path: Path) -> object:
    """What two paths to one file or folder share."""
    status = path.stat()
    # Some network file systems number no files.
    return (status.st_dev, status.st_ino) if status.st_ino else path.resolve()


def _new(folder: Path, walked: set[object], above: set[object]) -> bool:
    """True for a folder that was not walked yet and does not hold the study; it counts as walked from then on."""
    identity = _identity(folder)
    if identity in walked or identity in above:
        return False
    walked.add(identity)
    return True


def _refuse(error: OSError) -> None:
    raise InputRefused(
        "unreadable",
        f"A folder of the study may not be read ({type(error).__name__}).",
        "Ask for permission to read it, or give another folder.",
    ) from None
