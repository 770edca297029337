"""Files that cannot be read and may have been a slice of the stack that was taken.

A single lost image leaves a hole in the grid. A whole slice at an end of the stack does not, and the volumes would
come out smaller without a word; so files that are left out must be known to belong elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.phases import EXPORT_AGAIN
from cmrseg.io.dicom.scan import Scan
from cmrseg.io.dicom.stacks import Stack

#: SeriesInstanceUID in explicit and in implicit VR, little endian.
_SERIES_UID = re.compile(rb"\x20\x00\x0e\x00(?:UI..|..\x00\x00)([0-9.]{5,64})", re.DOTALL)
_HEADER_BYTES = 2**20


def refuse_lost_slice(scan: Scan, stack: Stack) -> None:
    """Refuse a stack of which unreadable files may hold a whole slice.

    Args:
        scan: all files of the study.
        stack: what was taken; its grid has no hole.

    Raises:
        InputRefused: `unreadable`.
    """
    own = {frame.header.series_uid for frame in stack.frames}
    elsewhere = {header.series_uid for header in scan.headers} - own
    suspects = [file for file in scan.unreadable if not _belongs_elsewhere(file.path, own, elsewhere)]
    files_per_slice = min(len({frame.header.number for frame in found}) for found in stack.slices)
    if suspects and len(suspects) >= files_per_slice:
        raise InputRefused(
            "unreadable",
            f"{len(suspects)} file(s) that cannot be read may hold a slice of the stack, the first is file "
            f"{suspects[0].number:04d}: {suspects[0].damage.reason}.",
            EXPORT_AGAIN,
        )


def _belongs_elsewhere(path: Path, own: set[str], elsewhere: set[str]) -> bool:
    """True when the file's bytes name a series that cannot be part of the stack."""
    try:
        with path.open("rb") as source:
            match = _SERIES_UID.search(source.read(_HEADER_BYTES))
    except OSError:
        return False
    if match is None:
        return False
    named = match[1].decode("ascii")
    # A stack of one series has no other; one with a series per slice may miss a series.
    return named in elsewhere or (len(own) == 1 and named not in own)
