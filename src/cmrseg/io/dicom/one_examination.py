"""One report is of one examination: of several in a folder, the one that alone holds what can be analysed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.examinations import day_of, examinations
from cmrseg.io.dicom.records import Header
from cmrseg.io.dicom.select import Selection
from cmrseg.study import Finding


def one_examination(selections: Sequence[Selection], root: Path) -> tuple[tuple[Selection, ...], tuple[Finding, ...]]:
    """What each kind could be, from one examination only: the one that alone holds every kind.

    Args:
        selections: of all examinations.
        root: of the study; folders are named by their path from there.

    Returns:
        The selections of that examination, and a finding that names the others by their day.

    Raises:
        InputRefused: `mixed_studies` when several hold what could be analysed and none of them alone holds every kind.
    """
    candidates = [(s.kind, judgement.stack) for s in selections for judgement in s.candidates]
    visits = examinations({f.header.number: f.header for _, stack in candidates for f in stack.frames}.values())
    if len(visits) < 2:
        return tuple(selections), ()
    of_file = {header.number: n for n, visit in enumerate(visits) for header in visit}
    kinds = [
        {kind for kind, stack in candidates if of_file[stack.frames[0].header.number] == n} for n in range(len(visits))
    ]
    whole = [n for n, held in enumerate(kinds) if held == set().union(*kinds)]
    if len(whole) != 1:
        days = " and ".join(day_of(visit) for visit in visits)
        raise InputRefused(
            "mixed_studies",
            f"The study holds {len(visits)} examinations, of {days}; their images do not belong in one report.",
            f"Give one examination at a time: {'; '.join(_place(visit, visits, root) for visit in visits)}.",
        )
    taken = whole[0]
    left = ", ".join(f"{day_of(visit)} ({_place(visit, visits, root)})" for n, visit in enumerate(visits) if n != taken)
    finding = Finding(
        "other_examination",
        "review",
        f"The study also holds images of another examination, {left}, which were not used. All numbers are of the "
        f"examination of {day_of(visits[taken])}.",
    )
    return tuple(_only(selection, of_file, taken, visits) for selection in selections), (finding,)


def _only(
    selection: Selection, of_file: Mapping[int, int], taken: int, visits: Sequence[Sequence[Header]]
) -> Selection:
    """The candidates of one examination; those of others are passed over for that reason."""
    kept, others = [], list(selection.others)
    for judgement in selection.candidates:
        visit = of_file[judgement.stack.frames[0].header.number]
        if visit == taken:
            kept.append(judgement)
        else:
            others.append(replace(judgement, points=None, reason=f"of the examination of {day_of(visits[visit])}"))
    return Selection(selection.kind, tuple(kept), tuple(others))


def _place(visit: Sequence[Header], visits: Sequence[Sequence[Header]], root: Path) -> str:
    """Where the files of an examination lie: their folder where it is theirs alone, else their numbers."""
    folders = [Path(os.path.commonpath([header.path.parent for header in one])) for one in visits]
    own = folders[[one is visit for one in visits].index(True)]
    numbers = [header.number for header in visit]
    inside = [folder for folder in folders if folder == own or own in folder.parents]
    where = f"folder {own.relative_to(root).as_posix()}" if len(inside) == 1 and own != root else ""
    spread = f"files {min(numbers):04d} to {max(numbers):04d}"
    return where or f"{spread}, as `cmrseg inspect` counts them"
