"""The one test of what is DICOM, for the door and for the scanner of folders; it needs no DICOM library."""

from __future__ import annotations

from pathlib import Path

#: So many bytes tell.
PREFIX_END = 132
#: Group 0002 or 0008 in little and in big endian: what a file without preamble begins with.
_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
#: No first element of a DICOM object is longer.
_MAX_LENGTH = 128


def looks_like_dicom(start: bytes) -> bool:
    """True when the first 132 bytes are those of a DICOM file, with or without the preamble.

    Without it the file must begin with an element of group 0002 or 0008 whose length is plausible.
    """
    if start[128:PREFIX_END] == b"DICM":
        return True
    if len(start) < 16 or start[:2] not in _GROUPS:
        return False
    explicit = has_value_representation(start)
    big = is_big_endian(start)
    if (big and not explicit) or start[2 if big else 3] != 0:
        return False
    length = int.from_bytes(start[6:8] if explicit else start[4:8], "big" if big else "little")
    return length <= _MAX_LENGTH


def has_value_representation(element: bytes) -> bool:
    """True when an element begins with its tag and two capital letters, as in explicit VR."""
    return element[4:6].isalpha() and element[4:6].isupper()


def is_big_endian(element: bytes) -> bool:
    """True when an element's tag is of group 0008 in big endian."""
    return element[:2] == b"\x00\x08"


def is_dicom(path: Path) -> bool:
    """True when a file begins like DICOM; False too when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return looks_like_dicom(stream.read(PREFIX_END))
    except OSError:
        return False
