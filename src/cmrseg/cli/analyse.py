"""`cmrseg analyse`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmrseg.cli.common import EXIT_REFUSED, EXIT_REVIEW, print_json, show_error

if TYPE_CHECKING:
    from cmrseg.analysis import Analyser
    from cmrseg.study import Analysis

#: What the terminal shows of a study; the files hold everything.
KEY_NUMBERS = (
    *("lv_edv_ml", "lv_esv_ml", "lv_ef_percent", "lv_mass_g", "rv_edv_ml", "rv_esv_ml", "rv_ef_percent"),
    *("scar_mass_g", "scar_percent", "no_reflow_mass_g", "lge_lv_mass_g", "scar_transmurality_mean_percent"),
)


def analyse_command(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="DICOM folder, data-set folder, or NIfTI.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets one folder per study.")],
    kind: Annotated[str | None, typer.Option(help="cine or lge: overrides what was detected.")] = None,
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle; default: the one that ships.")] = "",
    runtime: Annotated[str, typer.Option(help="onnx, or openvino where it is installed.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Use the quantised networks of bundles that hold one: faster.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all usable cores.")] = None,
    no_clean_up: Annotated[bool, typer.Option("--no-clean-up", help="Keep islands and holes.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as JSON on stdout.")] = False,
) -> None:
    """Find the short-axis cine, segment it, measure it, check it, and write report, masks and numbers.

    Exit codes: 0 done; 1 a study could not be analysed (the others were); 2 wrong usage; 3 a study asks for review.
    """
    from cmrseg.analysis import AnalyseOptions, Analyser
    from cmrseg.errors import UsageError

    if kind not in (None, "cine", "lge"):
        raise UsageError(f"There is no kind {kind!r}.", "Kinds: cine, lge.")
    options = AnalyseOptions(
        kind=kind,  # type: ignore[arg-type]  # checked above
        bundle=bundle,
        runtime=runtime,  # type: ignore[arg-type]  # checked where it is loaded
        threads=threads,
        int8=int8,
        clean_up=not no_clean_up,
    )
    analyser = Analyser(options)
    results = [_one(analyser, study, output, quiet=quiet or as_json) for study in studies]
    if as_json:
        print_json([r for r in results if r])
    if any(r is None for r in results):
        raise typer.Exit(EXIT_REFUSED)
    if any(r["verdict"] != "pass" for r in results if r):
        raise typer.Exit(EXIT_REVIEW)


def _one(analyser: Analyser, path: Path, output: Path, *, quiet: bool) -> dict[str, Any] | None:
    """Analyse and write one study; None when it was refused, after saying why."""
    from rich.console import Console
    from rich.markup import escape

    from cmrseg.analysis import write
    from cmrseg.errors import CmrsegError
    from cmrseg.report.tables import measurements_json

    console = Console(quiet=quiet, highlight=False)
    try:
        with console.status(f"analysing {escape(path.name)}"):
            analysis = analyser(path)
            folder = write(analysis, output)
    except CmrsegError as error:
        show_error(error, path.name)
        return None
    show_result(analysis, folder, console)
    return {"study": analysis.study.name, "folder": str(folder), **measurements_json(analysis)}


def show_result(analysis: Analysis, folder: Path, console: Any) -> None:
    """Print the key numbers of a study, the verdict with its reasons, and where the report is."""
    from rich.markup import escape
    from rich.table import Table

    colour = {"pass": "green", "review": "yellow", "reject": "red"}[analysis.verdict.status]
    console.print(f"[bold]{escape(analysis.study.name)}[/bold]  [{colour}]{analysis.verdict.status}[/{colour}]")
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for part in analysis.parts:
        shown = {m.key: m for m in part.measurements.values if m.key in KEY_NUMBERS}
        for measurement in shown.values():
            value = "–" if measurement.value is None else f"{measurement.value:.1f} {measurement.unit}"
            table.add_row(f"  {measurement.label}", value)
    console.print(table)
    for finding in analysis.verdict.reasons:
        console.print(f"  [{colour}]{finding.severity}[/{colour}] {escape(finding.message)}", soft_wrap=True)
    console.print(f"  report: {folder / 'report.html'}", soft_wrap=True, markup=False)
