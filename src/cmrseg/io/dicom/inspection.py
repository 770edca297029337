"""What a study holds and why each file is where it is, without refusing anything that can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmrseg.errors import InputRefused
from cmrseg.io.dicom.account import account, reason_against
from cmrseg.io.dicom.parse import quiet_parser
from cmrseg.io.dicom.phases import phase_key
from cmrseg.io.dicom.reader import study_name
from cmrseg.io.dicom.records import Frame
from cmrseg.io.dicom.stacks import Stack
from cmrseg.io.dicom.survey import (
    Choice,
    Survey,
    choose,
    refuse_hopeless,
    refuse_nothing_found,
    stack_refused,
    survey,
    unreadable_table,
)
from cmrseg.numbering import slice_number
from cmrseg.study import FileGroup, Finding, Kind


@dataclass(frozen=True)
class StackRow:
    """One stack, or one series without a place, as a line of the table.

    Args:
        series_numbers: of the series it is made of; empty when the files carry none.
        n_files: files that hold it.
        n_slices, n_images: parallel slices, and images that most of them have; 0 for images without a place.
        matrix: columns x rows.
        pixel_mm: distance of rows and of columns.
        distance_mm: median distance of neighbouring slices; None for one slice.
        axis_degrees: angle between the slices' normal and the usual long axis of the heart.
        hints: what the descriptions hint at.
        taken_as: ``cine``, ``lge``, or None.
        reason: why, or why not.
    """

    series_numbers: tuple[int, ...]
    n_files: int
    n_slices: int
    n_images: int
    matrix: tuple[int, int]
    pixel_mm: tuple[float, float] | None
    distance_mm: float | None
    axis_degrees: float | None
    hints: tuple[str, ...]
    taken_as: Kind | None
    reason: str


@dataclass(frozen=True)
class Place:
    """Where one image of the shown stack lies.

    Args:
        file: number of the file in the sorted list of the study's files, from 1.
        frame: of that file, from 0.
        phase: rank in its slice, from 0.
        key_value: value of the phase key; None without a key.
    """

    file: int
    frame: int
    phase: int
    key_value: float | None


@dataclass(frozen=True)
class SliceRow:
    """One slice of the shown stack: its number as people count, its place along the normal, its images by phase."""

    number: int
    place_mm: float
    images: tuple[Place, ...]


@dataclass(frozen=True)
class GridView:
    """The slice x phase grid of the stack that was taken, or would have been if it were complete.

    Args:
        kind: what it is taken for.
        phase_key: element that orders the phases; None for one phase, or when none orders them.
        complete: False when it was refused.
        base_first: True when the first slice lies at the base, where they are counted from; None when not known.
        slices: in the order of the normal.
    """

    kind: Kind
    phase_key: str | None
    complete: bool
    base_first: bool | None
    slices: tuple[SliceRow, ...]


@dataclass(frozen=True)
class Inspection:
    """The content of a study.

    Args:
        name: of the folder.
        n_files, n_not_dicom, n_without_image: all files; those that are not DICOM; DICOM objects without images.
        unreadable: number of each file that cannot be used, and why.
        stacks: one row per stack or unplaced series, largest first.
        grids: of the stacks that were taken, or should have been.
        findings: what was noticed and accepted.
        refusal: code, cause and remedy with which `read_dicom` refuses the study; None when it reads it.
        files: what became of every file.
        paths: of every file from the study's folder, in the order of the numbers; empty for a study that is not DICOM.
    """

    name: str
    n_files: int
    n_not_dicom: int
    n_without_image: int
    unreadable: tuple[tuple[int, str], ...]
    stacks: tuple[StackRow, ...]
    grids: tuple[GridView, ...]
    findings: tuple[Finding, ...]
    refusal: tuple[str, str, str] | None
    files: tuple[FileGroup, ...] = ()
    paths: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists, for `json.dumps`."""
        return asdict(self)


def inspect_dicom(folder: Path, kind: Kind | None = None) -> Inspection:
    """Show what a DICOM study holds; pixels are read only to tell copies from rivals.

    Args:
        folder: as for `read_dicom`.
        kind: as for `read_dicom`.

    Raises:
        InputRefused: `not_found` or `too_large` when the folder itself cannot be walked.
    """
    folder = Path(folder)
    root = folder if folder.is_dir() else folder.parent
    with quiet_parser():
        view = survey(folder, kind)
        choices, left_out, refusal = _choices(view)
        return Inspection(
            name=study_name(folder),
            n_files=len(view.scan.files),
            n_not_dicom=len(view.scan.others),
            n_without_image=len(view.scan.no_image),
            unreadable=tuple((number, damage.reason) for number, damage in unreadable_table(view)),
            stacks=tuple(_rows(view, choices)),
            grids=tuple(_grids(view, choices)),
            findings=tuple(dict.fromkeys([*view.findings, *(f for c in choices for f in c.findings), *left_out])),
            refusal=refusal,
            files=account(view, choices),
            paths=tuple(file.relative_to(root).as_posix() for file in view.scan.files),
        )


def _choices(view: Survey) -> tuple[list[Choice], list[Finding], tuple[str, str, str] | None]:
    """The stacks that are taken, why another is refused beside them, and the refusal that `read_dicom` would give."""
    choices: list[Choice] = []
    try:
        refuse_hopeless(view)
        for selection in view.selections:
            try:
                choice = choose(view, selection)
            except InputRefused as error:
                # A cine stands even when the LGE beside it is refused.
                if not choices:
                    raise
                return choices, [stack_refused(selection.kind, error)], None
            if choice is not None:
                choices.append(choice)
        if not choices:
            raise refuse_nothing_found(view)
    except InputRefused as error:
        return [], [], (error.code, error.cause, error.remedy)
    return choices, [], None


def _rows(view: Survey, choices: Sequence[Choice]) -> list[StackRow]:
    rows = [_stack_row(view, stack, choices) for stack in view.stacks]
    for unplaced in view.unplaced:
        header = unplaced.frames[0].header
        rows.append(
            StackRow(
                series_numbers=_series_numbers(unplaced.frames),
                n_files=_n_files(unplaced.frames),
                n_slices=0,
                n_images=0,
                matrix=(header.columns, header.rows),
                pixel_mm=None,
                distance_mm=None,
                axis_degrees=None,
                hints=(),
                taken_as=None,
                reason=unplaced.damage.reason,
            )
        )
    return rows


def _stack_row(view: Survey, stack: Stack, choices: Sequence[Choice]) -> StackRow:
    choice = next((c for c in choices if c.judgement.stack is stack), None)
    frame = stack.frames[0]
    row_mm, column_mm = frame.spacing_rc or (0.0, 0.0)
    return StackRow(
        series_numbers=_series_numbers(stack.frames),
        n_files=_n_files(stack.frames),
        n_slices=len(stack.slices),
        n_images=stack.n_images,
        matrix=(frame.header.columns, frame.header.rows),
        pixel_mm=(row_mm, column_mm),
        distance_mm=round(stack.distance_mm, 3) if len(stack.slices) > 1 else None,
        axis_degrees=round(stack.axis_angle_degrees, 1),
        hints=tuple(sorted(stack.hints)),
        taken_as=choice.kind if choice else None,
        reason=choice.judgement.reason if choice else reason_against(view, stack, choices),
    )


def _grids(view: Survey, choices: Sequence[Choice]) -> list[GridView]:
    views = [
        _grid_view(choice.kind, choice.grid.phase_key, choice.grid.cells, choice.judgement.read, complete=True)
        for choice in choices
    ]
    done = {choice.kind for choice in choices}
    for selection in view.selections:
        if selection.kind not in done and selection.candidates:
            stack = selection.candidates[0].read
            key = phase_key(stack.slices)
            slices = [sorted(found, key=lambda f: _key_value(f, key) or 0.0) for found in stack.slices]
            views.append(_grid_view(selection.kind, key, slices, stack, complete=False))
    return views


def _grid_view(
    kind: Kind, key: str | None, slices: Sequence[Sequence[Frame]], stack: Stack, *, complete: bool
) -> GridView:
    return GridView(
        kind,
        key,
        complete,
        stack.base_first,
        tuple(
            SliceRow(
                slice_number(z, len(slices), stack.base_first),
                round(float(stack.projection(found[0])), 3),
                tuple(
                    Place(frame.header.number, frame.index, phase, _key_value(frame, key))
                    for phase, frame in enumerate(found)
                ),
            )
            for z, found in enumerate(slices)
        ),
    )


def _key_value(frame: Frame, key: str | None) -> float | None:
    return frame.phase.get(key) if key else None


def _series_numbers(frames: Sequence[Frame]) -> tuple[int, ...]:
    return tuple(sorted({f.header.series_number for f in frames if f.header.series_number is not None}))


def _n_files(frames: Sequence[Frame]) -> int:
    return len({frame.header.number for frame in frames})
