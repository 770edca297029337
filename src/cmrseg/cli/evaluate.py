"""`cmrseg evaluate`: masks against a truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmrseg.cli.common import EXIT_REFUSED, EXIT_REVIEW, print_json


def evaluate_command(
    masks: Annotated[list[Path], typer.Argument(metavar="MASKS...", help="Folders of masks, one per method.")],
    truth: Annotated[Path, typer.Option(help="Data set with the true masks: ACDC, M&Ms, or a folder of label files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the tables; an older one is replaced.")],
    layout: Annotated[str, typer.Option(help="acdc, mnms or folder; default: found out.")] = "",
    scheme: Annotated[
        str, typer.Option(help="Numbers of the methods' masks: cine (ACDC: 1 RV, 2 myocardium, 3 LV) or mnms.")
    ] = "cine",
    only: Annotated[list[str] | None, typer.Option(help="A patient to evaluate, once for each; default: all.")] = None,
    count_missing: Annotated[
        bool, typer.Option("--count-missing", help="Patients of the data set without any masks count as missed.")
    ] = False,
    trained_by: Annotated[
        list[str] | None,
        typer.Option(help="split.json, or a bundle, that says who trained a method, once for each."),
    ] = None,
    training_data: Annotated[
        Path | None, typer.Option(help="Data set that trained: its images are looked for among those evaluated.")
    ] = None,
    leave_out_absent: Annotated[
        bool, typer.Option("--leave-out-absent", help="A structure that neither mask has is no perfect score.")
    ] = False,
    penalty_mm: Annotated[
        float | None,
        typer.Option(min=0.0, help="Distance of a missed structure; default: the field of view's diagonal."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary and agreement as JSON on stdout.")] = False,
) -> None:
    """Compare masks of one or more methods with the truth, patient by patient, with intervals and tests.

    Exit codes: 0 done; 1 nobody could be compared, or somebody could not (the others were); 2 wrong usage; 3 done, but
    the numbers may not mean what they seem to, such as when patients trained the method.
    """
    from cmrseg.evaluate.metrics import EmptyMasks
    from cmrseg.evaluate.run import PAGE, EvaluateOptions, run_evaluation

    options = EvaluateOptions(
        layout=layout,
        scheme=scheme,
        only=tuple(only or ()),
        count_missing=count_missing,
        trained_by=tuple(trained_by or ()),
        training_data=training_data,
        policy=EmptyMasks("left_out" if leave_out_absent else "perfect", penalty_mm),
        seed=seed,
    )
    result = run_evaluation(masks, truth, output, options)
    if as_json:
        cautions = [{"code": c.code, "message": c.message} for c in result.cautions]
        print_json(
            {"folder": str(output), "cautions": cautions, **{k: result.rows[k] for k in ("summary", "agreement")}}
        )
    elif not quiet:
        typer.echo(result.first_page)
        typer.echo(f"\nSubgroups, kinds of error, tests and definitions: {output / PAGE}")
    if result.methods.left_out:
        for caution in result.cautions:
            if caution.code == "left_out":
                typer.echo(f"error: {caution.message}", err=True)
        raise typer.Exit(EXIT_REFUSED)
    if any(caution.asks_for_a_look for caution in result.cautions):
        raise typer.Exit(EXIT_REVIEW)
