"""What nobody foresaw is told in one line, with its place and without its text."""

from __future__ import annotations

import errno

import pytest

from cmrseg.defects import explained, trace
from cmrseg.errors import CmrsegError, Defect, InputRefused, MissingPackage, OutOfMemory, OutputError
from cmrseg.geometry import Geometry

SECRET = "Doe^Jane"


def caught(error: Exception) -> Exception:
    with pytest.raises(type(error)) as info:
        raise error
    return info.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputRefused("no_cine", "x"), InputRefused),
        (ModuleNotFoundError(SECRET, name="torch"), MissingPackage),
        (MemoryError(SECRET), OutOfMemory),
        (RuntimeError(f"std::bad_alloc {SECRET}"), OutOfMemory),
        (OSError(errno.ENOSPC, "No space left on device", SECRET), OutputError),
        (OSError(errno.EIO, "Input/output error", SECRET), Defect),
        (ValueError(SECRET), Defect),
        (UnicodeEncodeError("ascii", SECRET, 0, 1, SECRET), Defect),
        (RecursionError(SECRET), Defect),
    ],
)
def test_every_exception_has_cause_and_remedy_and_no_text_of_its_own(error: Exception, kind: type[CmrsegError]) -> None:
    told = explained(caught(error))
    assert type(told) is kind
    assert told.cause
    assert SECRET not in str(told)
    assert SECRET not in trace(caught(error))


def test_a_defect_names_the_place_in_cmrseg() -> None:
    with pytest.raises((TypeError, ValueError)) as info:
        Geometry.from_spacing("no numbers", (1, 1, 1))  # type: ignore[arg-type]
    assert "geometry.py, line " in explained(info.value).cause
    assert "geometry.py:" in trace(info.value)
