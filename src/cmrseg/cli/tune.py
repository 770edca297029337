"""`cmrseg tune`: a search for the settings of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune_command(
    preset: Annotated[str, typer.Argument(help="Whose settings to search: a preset of cmrseg train, as cine.")],
    data: Annotated[Path, typer.Argument(help="Folder of the labelled patients.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study; resumed if it exists.")],
    locator: Annotated[Path | None, typer.Option(help="Run folder of the locator, to validate a segmenter.")] = None,
    search: Annotated[str, typer.Option(help="swarm, swarm-local, random or tpe.")] = "swarm",
    trials: Annotated[int, typer.Option(help="Trainings in all.")] = 60,
    particles: Annotated[int, typer.Option(help="Size of a swarm.")] = 12,
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 10,
    jobs: Annotated[int, typer.Option(help="Trainings at a time, each in a process of its own.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads of each training.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the search, and of every training.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="A setting to search, once for each; all that are tunable without it.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Run the trainings on Ray: the address of a cluster, or local.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of the training that is to stay as given.")
    ] = None,
) -> None:
    """Search the settings of a training. A killed study goes on where it stopped, with the same trials."""
    from dataclasses import replace

    from cmrseg.errors import UsageError
    from cmrseg.io.files import MARKER, refuse_unwritable
    from cmrseg.train.config import PRESETS
    from cmrseg.train.tune.executor import InProcess, LocalProcesses
    from cmrseg.train.tune.ray_executor import RayTasks
    from cmrseg.train.tune.run import TunePlan, run_tuning

    refuse_unwritable(output / MARKER)
    if preset not in PRESETS:
        raise UsageError(f"There is no preset {preset!r}.", f"Presets: {', '.join(PRESETS)}.")
    config = replace(PRESETS[preset], seed=seed, threads=threads).changed(settings or [])
    plan = TunePlan(
        search=search,
        trials=trials,
        particles=particles,
        batch=1 if search.startswith("swarm") else jobs,
        epochs=epochs,
        seed=seed,
        only=tuple(only or ()),
        fixed=tuple(setting.partition("=")[0] for setting in settings or ()),
    )
    if ray is not None:
        executor: RayTasks | LocalProcesses | InProcess = RayTasks(jobs, threads, ray)
    else:
        executor = LocalProcesses(jobs) if jobs > 1 else InProcess()
    with executor:
        best = run_tuning(config, plan, data, output, locator, executor, lambda line: typer.echo(line))
    typer.echo(f"best: trial {best.number}, {best.value:.4f}; its settings are in best.json")
