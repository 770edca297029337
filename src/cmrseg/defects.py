"""What is said where something is raised that nobody foresaw: one study's defect must not take the others with it."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

import cmrseg
from cmrseg.errors import CmrsegError, Defect, OutOfMemory, OutputError
from cmrseg.extras import missing

_ROOT = Path(cmrseg.__file__).parent
#: What the system says of a disk that takes nothing more.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def explained(error: Exception) -> CmrsegError:
    """Any exception as one of the package's own errors, with cause and remedy.

    Args:
        error: whatever was raised.

    Returns:
        The error itself where it is one of the package's own; `MissingPackage`, `OutOfMemory` or `OutputError` where
        it says so; else `Defect`, which names the kind of error and the place in cmrseg, and never its text: that may
        hold a path or a name.
    """
    if isinstance(error, CmrsegError):
        return error
    if isinstance(error, ImportError) and (absent := missing(error)) is not None:
        return absent
    if isinstance(error, MemoryError) or "bad_alloc" in str(error):
        return OutOfMemory("The memory of this machine does not suffice.", "Close other programs, or use another one.")
    if isinstance(error, OSError) and error.errno in _DISK:
        return OutputError(f"The disk takes nothing more ({error.strerror}).", "Make room, or choose another folder.")
    return Defect(
        f"cmrseg failed in a way that it should not: {type(error).__name__} in {_place(error)}.",
        "This is a defect: please report it, with the lines that `cmrseg --debug COMMAND ...` prints.",
    )


def trace(error: BaseException) -> str:
    """Where an error came from, call by call, without its text and without the values of variables."""
    lines = [
        f"{_shown(Path(frame.filename))}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return "\n".join([*lines, type(error).__name__])


def _place(error: BaseException) -> str:
    """File and line of the innermost call that is cmrseg's own."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)]
    return f"{_shown(Path(own[-1].filename))}, line {own[-1].lineno}" if own else "another package"


def _shown(path: Path) -> str:
    """A path within the package, or the last two names of another's."""
    return path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else "/".join(path.parts[-2:])
