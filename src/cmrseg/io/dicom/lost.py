"""Files that hold no image any more and may have been a slice of the stack that was taken.

A single lost image leaves a hole in the grid. A whole slice at an end of the stack does not, and the volumes would
come out smaller without a word; so files that are left out must be known to belong elsewhere. They are DICOM files that
cannot be parsed, and files that do not even begin like DICOM but lie where, and are called as, the images of the study.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.phases import EXPORT_AGAIN
from cmrseg.io.dicom.scan import Other, Scan
from cmrseg.io.dicom.stacks import Stack

#: SeriesInstanceUID in explicit and in implicit VR, little endian.
_SERIES_UID = re.compile(rb"\x20\x00\x0e\x00(?:UI..|..\x00\x00)([0-9.]{5,64})", re.DOTALL)
_HEADER_BYTES = 2**20
#: Suffixes that exports of DICOM images have.
_DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".dic", ".ima", ".mrdc", ".mr"))
#: What a transfer that was broken off appends to a name.
_UNFINISHED = re.compile(r"(\.(part|partial|crdownload|download|filepart|tmp|temp)|~)$")
#: Suffixes of what lies beside images on a medium or in a user's folder, and holds none.
_COMPANION_SUFFIXES = (
    ".txt .md .rtf .log .pdf .doc .docx .odt .xls .xlsx .csv .tsv .ppt .pptx .jpg .jpeg .png .gif .bmp "
    ".tif .tiff .svg .webp .ico .avi .mp4 .mpg .mov .wmv .xml .xsl .xsd .dtd .json .yaml .yml .toml .htm "
    ".html .css .js .exe .dll .so .bat .cmd .sh .com .msi .inf .ini .cfg .conf .sys .jar .class .py .lnk "
    ".url .app .plist .chm .hlp .ttf .wav .mp3 .db .sqlite .zip .gz .tar .7z .rar .iso .nii .npy .npz "
    ".mat .h5 .nrrd .mha .mhd .vtk .stl .sha1 .md5 .sha256"
)
_COMPANIONS = frozenset(_COMPANION_SUFFIXES.split())
_COMPANION_NAMES = frozenset(
    ["readme", "license", "copying", "version", "lockfile", "autorun", "index", "thumbs", "dicomdir", "changelog"]
)


@dataclass(frozen=True)
class Lost:
    """A file that may have been an image of a stack: its number in the study, and what it is now."""

    number: int
    what: str


def lost_files(scan: Scan, stack: Stack) -> tuple[Lost, ...]:
    """Files that hold no image and are not known to belong elsewhere, by their number.

    Args:
        scan: all files of the study.
        stack: what was taken.
    """
    own = {frame.header.series_uid for frame in stack.frames}
    elsewhere = {header.series_uid for header in scan.headers} - own
    found = [Lost(f.number, f.damage.reason) for f in scan.unreadable if not _belongs_elsewhere(f.path, own, elsewhere)]
    images = _Images(scan, stack)
    found += [Lost(f.number, f.what) for f in scan.others if images.may_have_held(f)]
    return tuple(sorted(found, key=lambda file: file.number))


def refuse_lost_slice(lost: Sequence[Lost], stack: Stack) -> None:
    """Refuse a stack of which lost files may hold a whole slice.

    Args:
        lost: what `lost_files` found.
        stack: what was taken; its grid has no hole.

    Raises:
        InputRefused: `unreadable`.
    """
    files_per_slice = min(len({frame.header.number for frame in found}) for found in stack.slices)
    if lost and len(lost) >= files_per_slice:
        raise InputRefused(
            "unreadable",
            f"{len(lost)} file(s) that cannot be read may hold a slice of the stack, the first is file "
            f"{lost[0].number:04d}: {lost[0].what}.",
            f"Copy the study again from its source and compare sizes. {EXPORT_AGAIN}",
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


class _Images:
    """How the images of a study are called and where they lie, to know one that was lost by its name and place."""

    def __init__(self, scan: Scan, stack: Stack) -> None:
        own = {frame.header.number for frame in stack.frames}
        self._one_series = len(stack.series) == 1
        self._patterns = {_pattern(header.path.name) for header in scan.headers}
        self._suffixes = {header.path.suffix.lower() for header in scan.headers if _letters(header.path.suffix)}
        self._sizes = {_size(header.path) for header in scan.headers if header.number in own} - {0}
        self._folders: dict[Path, list[tuple[int, str, bool]]] = defaultdict(list)
        for header in sorted(scan.headers, key=lambda h: h.number):
            self._folders[header.path.parent].append((header.number, header.series, header.number in own))

    def may_have_held(self, file: Other) -> bool:
        """True when a file that is not DICOM may have been an image of the stack."""
        name = _UNFINISHED.sub("", file.path.name.lower())
        suffix = Path(name).suffix
        if name.startswith(".") or suffix in _COMPANIONS or Path(name).stem in _COMPANION_NAMES:
            return False
        called_so = _pattern(name) in self._patterns or suffix in self._suffixes | _DICOM_SUFFIXES
        numbered = not _letters(suffix) and any(c.isdigit() for c in name) and file.path.parent in self._folders
        likely = called_so or file.n_bytes in self._sizes or (file.hollow and numbered and not self._suffixes)
        return likely and not self._among_others(file)

    def _among_others(self, file: Other) -> bool:
        """True when a file lies in a folder of other series, or between images of one of them."""
        listed = self._folders.get(file.path.parent, [])
        if not listed:
            return False
        if not any(own for _, _, own in listed):
            return True
        switches = sum(a[1] != b[1] for a, b in pairwise(listed))
        if switches >= 2 * len({series for _, series, _ in listed}):
            return False
        before = [entry for entry in listed if entry[0] < file.number][-1:]
        after = [entry for entry in listed if entry[0] > file.number][:1]
        if not before or not after or before[0][2] or after[0][2]:
            return False
        # Between two other series there is room for a slice only where every slice is a series.
        return self._one_series or before[0][1] == after[0][1]


def _pattern(name: str) -> str:
    """A file name without its numbers: ``im#`` for ``IM00012`` and ``IM00012 (1)``, ``#`` for an identifier."""
    plain = re.sub(r"\s*\(\d+\)", "", name.lower())
    plain = re.sub(r"(?<![0-9a-z])[0-9a-f]{12,}(?![0-9a-z])", "#", plain)
    return re.sub(r"[\d.]*\d", "#", plain)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _letters(suffix: str) -> bool:
    return any(c.isalpha() for c in suffix)
