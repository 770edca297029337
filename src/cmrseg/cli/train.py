"""`cmrseg train`: one network on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: The preset of networks that take prompts, which have settings of their own.
PROMPT = "prompt"


def train_command(
    preset: Annotated[str, typer.Argument(help="What to train: cine-locator, cine, lge, scar or prompt.")],
    data: Annotated[Path, typer.Argument(help="Folder of the labelled patients.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; resumed if it exists.")],
    locator: Annotated[
        Path | None,
        typer.Option(help="Run folder of a locator to validate a segmenter with; the one that ships by default."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Network of the registry, by name, and :cpu for its small size; else the preset's."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training slices.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, sampling and augmentation.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same weights, bit for bit, every time on one machine.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of the run, e.g. optim.learning_rate=0.001.")
    ] = None,
) -> None:
    """Train a network. A killed run goes on where it stopped, at the cost of at most one epoch."""
    from dataclasses import replace

    from cmrseg.errors import UsageError
    from cmrseg.io.files import MARKER, refuse_unwritable
    from cmrseg.train.config import PRESETS
    from cmrseg.train.run import run_training

    refuse_unwritable(output / MARKER)
    if preset == PROMPT:
        if locator is not None or network is not None or deterministic:
            raise UsageError(
                "A network that takes prompts is trained without --locator, --network and --deterministic.",
                "Leave them out.",
            )
        _train_prompted(data, output, epochs, seed, threads, settings or [])
        return
    if preset not in PRESETS:
        raise UsageError(f"There is no preset {preset!r}.", f"Presets: {', '.join((*PRESETS, PROMPT))}.")
    config = replace(PRESETS[preset], seed=seed, threads=threads, deterministic=deterministic)
    if epochs is not None:
        config = replace(config, optim=replace(config.optim, epochs=epochs))
    of_network = [s for s in settings or [] if s.startswith("model.")]
    config = config.changed([s for s in settings or [] if s not in of_network])
    if network is not None:
        name, _, size = network.partition(":")
        config = config.with_network(name, size or "full")
    config = config.changed(of_network)
    run_training(config, data, output, locator, lambda line: typer.echo(line))


def _train_prompted(data: Path, output: Path, epochs: int | None, seed: int, threads: int, settings: list[str]) -> None:
    from dataclasses import replace

    from cmrseg.train.prompt_config import PromptTrainConfig
    from cmrseg.train.prompt_training import run_prompt_training

    config = replace(PromptTrainConfig(), seed=seed, threads=threads)
    if epochs is not None:
        config = replace(config, optim=replace(config.optim, epochs=epochs))
    run_prompt_training(config.changed(settings), data, output, lambda line: typer.echo(line))
