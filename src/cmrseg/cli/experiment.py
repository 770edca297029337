"""`cmrseg experiment`: one table of a paper, re-run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def experiment_command(
    name: Annotated[str, typer.Argument(help="Which; `list` names them all.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the experiment; one that was cut off goes on.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of labelled patients; phantoms without it, at the tiny scale.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Layout of --data; default: acdc for cine, myops for LGE.")] = "",
    cine: Annotated[
        str, typer.Option(help="Folder of labelled cine patients, to generate LGE from that trains ScarNet's rows too.")
    ] = "",
    scale: Annotated[str, typer.Option(help="tiny: minutes, a test; cpu: two cores; full: GPUs.")] = "tiny",
    minutes: Annotated[float | None, typer.Option(help="Training time of each row; else the scale's.")] = None,
    encoder: Annotated[
        str, typer.Option(help="Weights of the SAM encoders: a checkpoint, a bundle, or the name of one.")
    ] = "",
    start_from: Annotated[
        str, typer.Option(help="Folder of a trained run: rows of its network begin with its weights.")
    ] = "",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of every training, or the first of several.")] = 0,
    seeds: Annotated[int, typer.Option(help="Trainings of each row: the table then has mean and SD.")] = 1,
    nnunet: Annotated[bool, typer.Option("--nnunet", help="Train nnU-Net's row of Table I too.")] = False,
    sam2: Annotated[
        str, typer.Option(help="Folder of a SAM-2 checkpoint, for the oracle row of Table I; not run without.")
    ] = "",
) -> None:
    """Re-run a table of a paper: what the paper says beside what is measured."""
    from cmrseg.errors import UsageError
    from cmrseg.experiments import acute_features
    from cmrseg.experiments.run import EXPERIMENTS, ExperimentOptions, run_experiment, table_path
    from cmrseg.io.files import MARKER, refuse_unwritable

    if name == "list":
        for key, experiment in EXPERIMENTS.items():
            typer.echo(f"{key}  {experiment.title}")
        typer.echo(f"{acute_features.NAME}  {acute_features.TITLE}")
        return
    if output is None:
        raise UsageError("There is no folder for the experiment.", "Give --output FOLDER.")
    refuse_unwritable(output / MARKER)
    if name == acute_features.NAME:
        if data is not None:
            raise UsageError(f"{name} generates its patients.", "Give --cine to make them of, and no --data.")
        acute_features.run_acute_features(Path(cine) if cine else None, output, scale, seed, typer.echo)
        typer.echo((output / "table.md").read_text(encoding="utf-8"))
        return
    options = ExperimentOptions(scale, minutes, encoder, threads, seed, seeds, nnunet, sam2, cine, layout, start_from)
    run_experiment(name, data, output, options, lambda line: typer.echo(line))
    typer.echo(table_path(name, output).read_text(encoding="utf-8"))
