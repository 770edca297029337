"""`cmrseg inspect STUDY`: what is in a study, its slice x phase grid, and why each file is where it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmrseg.cli.common import EXIT_REFUSED, print_json
from cmrseg.numbering import COUNTED, place, ranges

if TYPE_CHECKING:
    from rich.table import Table

    from cmrseg.io.dicom.inspection import GridView, Inspection, Place
    from cmrseg.study import FileGroup

_MARK = {"info": "note", "review": "review", "reject": "reject"}


def inspect_command(
    study: Annotated[Path, typer.Argument(help="DICOM folder, data-set folder, or NIfTI file.")],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, every file with its place.")] = False,
) -> None:
    """Show what a study holds: its stacks, the slice x phase grid, and why each file is where it is.

    Files are numbered from 1 in the order of their sorted paths. The exit code is 1 when the study cannot be analysed.
    """
    from cmrseg.io.inspection import inspect

    inspection = inspect(study)
    if json:
        print_json(inspection.to_json())
    else:
        _show(inspection)
    if inspection.refusal is not None:
        raise typer.Exit(EXIT_REFUSED)


def _show(inspection: Inspection) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(
        f"{inspection.n_files} files, none of them DICOM"
        if inspection.n_not_dicom == inspection.n_files
        else f"{inspection.n_files} files: {inspection.n_not_dicom} not DICOM, {inspection.n_without_image} DICOM "
        f"without images, {len(inspection.unreadable)} unusable"
    )
    console.print(_stack_table(inspection))
    for grid in inspection.grids:
        console.print(_grid_table(grid))
    for group in inspection.files:
        console.print(Text(_account_line(group), style="" if group.fate == "used" else "dim"))
    for number, reason in inspection.unreadable:
        console.print(Text(f"file {number:04d} ({inspection.paths[number - 1]}): {reason}", style="red"))
    for finding in inspection.findings:
        shown = next((grid for grid in inspection.grids if grid.kind == finding.kind), None)
        stack = (len(shown.slices), shown.base_first) if shown else (0, None)
        where = place(finding.frame, finding.slice, *stack)
        console.print(Text(f"{_MARK[finding.severity]}: {finding.message} {where}".rstrip()))
    if inspection.refusal is not None:
        code, cause, remedy = inspection.refusal
        console.print(Text(f"cannot be analysed [{code}]: {cause}\n{remedy}", style="bold red"))


def _account_line(group: FileGroup) -> str:
    """What became of some files: how many, which, and why."""
    fate = f"used for {group.kind}" if group.kind else group.fate
    names = [name.removeprefix("file ") for name in group.files]
    which = ranges([int(name) for name in names]) if all(name.isdigit() for name in names) else ", ".join(names)
    images = f" with {group.n_images} image(s)" if group.n_images else ""
    return f"{len(names)} file(s){images} {fate}: {group.reason} [{which}]"


def _stack_table(inspection: Inspection) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="stacks of parallel slices")
    for column in ("series", "files", "slices\nx images", "rows x\ncolumns", "pixel\nmm", "apart\nmm", "taken\nas"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in inspection.stacks:
        pixel_mm = "-" if row.pixel_mm is None else " x ".join(f"{mm:.3g}" for mm in dict.fromkeys(row.pixel_mm))
        table.add_row(
            ranges(row.series_numbers) or "-",
            str(row.n_files),
            f"{row.n_slices} x {row.n_images}" if row.n_slices else "-",
            f"{row.matrix[1]} x {row.matrix[0]}",
            pixel_mm,
            "-" if row.distance_mm is None else f"{row.distance_mm:.2f}",
            row.taken_as or "-",
            row.reason,
            style=None if row.taken_as else "dim",
        )
    return table


def _grid_table(grid: GridView) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    state = "" if grid.complete else " (refused)"
    single = grid.phase_key is None and all(len(row.images) == 1 for row in grid.slices)
    key = grid.phase_key or ("-" if single else "nothing")
    table = Table(
        "slice",
        "place mm",
        "phases",
        key,
        "files in order of phase",
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{grid.kind}{state}",
    )
    for row in sorted(grid.slices, key=lambda row: row.number):
        table.add_row(
            str(row.number), f"{row.place_mm:.2f}", str(len(row.images)), _key_range(row.images), _files(row.images)
        )
    order = "" if single else f"; phases ordered by {key} within each slice"
    table.caption = f"Slices by position along the normal, {COUNTED[grid.base_first]}{order}."
    return table


def _key_range(images: tuple[Place, ...]) -> str:
    values = [image.key_value for image in images if image.key_value is not None]
    return f"{values[0]:g} to {values[-1]:g}" if values else "-"


def _files(images: tuple[Place, ...]) -> str:
    """File numbers in the order of the phases; frames of one multi-frame file as ``file:frames``."""
    files = [image.file for image in images]
    if len(files) > 1 and len(set(files)) == 1:
        return f"{files[0]:04d}:{ranges(tuple(image.frame for image in images))}"
    return ranges(tuple(files))
