"""Names of results: the shortest part of a study's path that tells it from the others of one call."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cmrseg.io.nifti import is_nifti, stem

#: Names that archives and discs give to every study, which say nothing alone: their parent's name goes in front.
_GENERIC = re.compile(
    r"dicom(dir|s|_?files)?|dcm|images?|imgs?|data|raw|mri?|cmr|nifti|nii|files?|exports?|scans?"
    r"|(pa|st|se|s|im|img|ser|series)[ _-]?\d{3,}",
    re.IGNORECASE,
)
#: Bytes of a name that file systems allow.
LONGEST_NAME = 255


def result_names(paths: Sequence[Path]) -> list[str]:
    """A name for the result of each study.

    The name of the study's folder, or of its file without the ending. Where that says nothing, such as ``DICOM`` or
    ``S0001``, or another study of the call has it too, the folders above go in front, joined by hyphens, as many as it
    takes. The same path given twice has one name.

    Args:
        paths: studies of one call.

    Returns:
        as many names, in that order, each at most `LONGEST_NAME` bytes; different for different paths unless the same
        words and hyphens fall together.
    """
    parts = [_parts(path) for path in paths]
    taken = [_telling(own) for own in parts]
    while True:
        alike: dict[str, set[int]] = defaultdict(set)
        for k, own in enumerate(parts):
            alike[_joined(own, taken[k]).casefold()].add(k)
        clashing = [
            k
            for group in alike.values()
            if len({parts[k] for k in group}) > 1
            for k in group
            if taken[k] < len(parts[k])
        ]
        if not clashing:
            return [fitted(_joined(own, taken[k])) for k, own in enumerate(parts)]
        for k in clashing:
            taken[k] += 1


def base_name(path: Path) -> str:
    """Name of a study's folder, or of its file without the ending; ``study`` for the root of a disk."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links keep the names that the user knows
    if not whole.is_file():
        return whole.name or "study"
    return stem(whole) if is_nifti(whole) else whole.stem


def fitted(name: str, ending: str = "") -> str:
    """A name with an ending, cut before it so that both are at most `LONGEST_NAME` bytes."""
    while len(os.fsencode(name + ending)) > LONGEST_NAME:
        name = name[:-1]
    return name + ending


def _parts(path: Path) -> tuple[str, ...]:
    """Names from below the root to the study."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links keep the names that the user knows
    return (*whole.parts[1:-1], base_name(path))


def _telling(parts: Sequence[str]) -> int:
    """How many names from the end it takes to say something."""
    for count, name in enumerate(reversed(parts), 1):
        if not _GENERIC.fullmatch(name):
            return count
    return min(2, len(parts))


def _joined(parts: Sequence[str], count: int) -> str:
    return "-".join(parts[-count:])
