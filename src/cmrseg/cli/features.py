"""`cmrseg features`: shape and brightness of every patient as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmrseg.cli.common import EXIT_REFUSED, show_error


def features_command(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Results of cmrseg, patients with masks, or folders of either."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .csv, or .parquet with pyarrow.")],
    studies: Annotated[
        Path | None, typer.Option(help="Folder of the studies that results are of, by name: for brightness.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """One row per patient: volumes, shape and brightness of scar, each defined in the documentation."""
    from cmrseg.errors import InputRefused
    from cmrseg.features.sources import feature_folders, read_feature_case
    from cmrseg.features.table import check_table, row_of, write_table

    check_table(output)
    rows, refused = [], 0
    for folder in feature_folders(inputs):
        try:
            rows.append(row_of(read_feature_case(folder, studies)))
        except InputRefused as error:
            show_error(error, folder.name)
            refused += 1
    write_table(rows, output)
    if not quiet:
        typer.echo(f"{len(rows)} patients in {output}{f', {refused} refused' if refused else ''}")
    if refused:
        raise typer.Exit(EXIT_REFUSED)
