"""Values out of DICOM elements that may hold anything: a number that can be used, or None.

Whatever a parser raises on hostile bytes is one of `PARSER_ERRORS`; every call into pydicom is made inside a guard
for exactly these.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterable
from datetime import date
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag

#: Everything pydicom and the libraries below it were seen to raise on damaged files (recursion is a RuntimeError,
#: a bad number or character a ValueError, a huge exponent an ArithmeticError).
PARSER_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

#: Philips' private phase number, in the block its scanners use, and the element that names the block's owner.
PHILIPS_PHASE = Tag(0x2001, 0x1008)
PHILIPS_CREATOR = Tag(0x2001, 0x0010)
#: GE's private number of what an image shows: magnitude, phase, real or imaginary part.
GE_IMAGE_KIND = Tag(0x0043, 0x102F)


def value(dataset: Dataset, tag: BaseTag) -> Any:
    """Value of an element as pydicom converts it; None when it is absent, empty, or cannot be converted."""
    try:
        found = dataset[tag].value if tag in dataset else None
        return None if found is None or found == "" or found == b"" else found
    except PARSER_ERRORS:
        return None


def written(dataset: Dataset, tag: BaseTag) -> str:
    """An element as it is written, also where it is not what its type asks for; the first of several values."""
    try:
        found = dataset.get_item(tag) if tag in dataset else None
        return text(found.value if found is not None else None).split("\\")[0].strip()
    except PARSER_ERRORS:
        return ""


def text(found: Any) -> str:
    """A value as stripped text, the parts of a multi-value joined by a backslash; empty for None."""
    if found is None:
        return ""
    if isinstance(found, bytes):
        found = found.decode("latin-1")
    try:
        joined = found if isinstance(found, str) or not isinstance(found, Iterable) else "\\".join(map(str, found))
        return str(joined).replace("\0", " ").strip()
    except PARSER_ERRORS:
        return ""


def number(found: Any) -> float | None:
    """A value as a finite float; the first of a multi-value; None for anything else."""
    try:
        if isinstance(found, bytes):
            found = found.decode("ascii").strip("\0 ")
        elif not isinstance(found, str) and isinstance(found, Iterable):
            found = next(iter(found), None)
        result = float(found)
    except PARSER_ERRORS:
        return None
    return result if math.isfinite(result) else None


def whole(found: Any) -> int | None:
    """A value as an integer; None when it is not a whole number."""
    result = number(found)
    return int(result) if result is not None and result == int(result) else None


def numbers(found: Any, count: int) -> tuple[float, ...] | None:
    """A multi-value as exactly `count` finite floats, or None."""
    if found is None or isinstance(found, (str, bytes)):
        return None
    try:
        parts = [number(part) for part in found]
    except PARSER_ERRORS:
        return None
    if len(parts) != count or any(part is None for part in parts):
        return None
    return tuple(part for part in parts if part is not None)


def all_numbers(found: Any) -> tuple[float, ...]:
    """A value or multi-value as finite floats, up to the first part that is none; empty for None."""
    parts = found if isinstance(found, Iterable) and not isinstance(found, (str, bytes)) else [found]
    result: list[float] = []
    for part in parts:
        value_of_part = number(part)
        if value_of_part is None:
            break
        result.append(value_of_part)
    return tuple(result)


def seconds(found: Any) -> float | None:
    """A time of day (TM) or a moment (DT) as seconds; a moment counts from its own date. None when not valid."""
    plain = text(found).replace(":", "")
    match = re.fullmatch(r"(\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d*)?)?(?:[+-]\d{4})?", plain)
    if match is None:
        return None
    day, hours, minutes, rest = match.groups()
    if int(hours) > 23 or int(minutes) > 59:
        return None
    result = int(hours) * 3600.0 + int(minutes) * 60.0 + float(rest or 0)
    when = calendar_day(day) if day else None
    return result + (when.toordinal() * 86400.0 if when else 0.0)


def calendar_day(found: Any) -> date | None:
    """A date (DA); None when it is not a day of the calendar, as in ``20120000``."""
    plain = re.sub(r"[.\-]", "", text(found))
    if re.fullmatch(r"\d{8}", plain) is None:
        return None
    try:
        return date(int(plain[:4]), int(plain[4:6]), int(plain[6:]))
    except ValueError:
        return None
