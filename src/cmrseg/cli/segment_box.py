"""`cmrseg segment-box`: the mask of what a person points at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from cmrseg.cli.common import EXIT_REVIEW, print_json


def segment_box_command(
    image: Annotated[Path, typer.Argument(help="DICOM folder, data-set folder, or NIfTI file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MASK", help="NIfTI file of the mask to write.")],
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="z,x0,y0,x1,y1", help="Box round a structure: slice, columns and rows, from 0."),
    ] = None,
    click: Annotated[
        list[str] | None, typer.Option(metavar="z,x,y[,+|-]", help="Click inside (+, or nothing) or outside (-).")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="cine or lge, where a study holds both.")] = None,
    frame: Annotated[int, typer.Option(help="Phase of a cine, from 0.")] = 0,
    bundle: Annotated[
        str, typer.Option(help="Bundle that takes prompts: name of one that ships, or folder.")
    ] = "prompt",
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps what was encoded of the image, for further clicks.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all usable cores by default.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON on stdout.")] = False,
) -> None:
    """Segment what boxes and clicks point at: one mask on the image's own grid. Semi-automatic, and marked as such."""
    from rich.console import Console
    from rich.markup import escape

    from cmrseg.errors import UsageError
    from cmrseg.numbering import place
    from cmrseg.pipeline.prompted import parse_box, parse_click, segment_to_file
    from cmrseg.study import Kind, Verdict

    if kind is not None and kind not in get_args(Kind):
        raise UsageError(f"There is no kind {kind!r}.", f"Kinds: {', '.join(get_args(Kind))}.")
    result, record = segment_to_file(
        image,
        output,
        [parse_box(text) for text in box or []],
        [parse_click(text) for text in click or []],
        kind=cast("Kind | None", kind),
        frame=frame,
        bundle=bundle,
        cache=cache,
        threads=threads,
    )
    console = Console(quiet=quiet or as_json, highlight=False)
    console.print(f"{record['volume_ml']:.2f} mL (semi-automatic) in {output}", markup=False)
    reasons = Verdict.of(result.findings).reasons
    for finding in reasons:
        told = escape(f"{finding.code}, {place(finding.frame, finding.slice, 0, None)}: {finding.message}")
        console.print(f"[yellow]{finding.severity}[/yellow] {told}")
    if as_json:
        print_json(record)
    if reasons:
        raise typer.Exit(EXIT_REVIEW)
