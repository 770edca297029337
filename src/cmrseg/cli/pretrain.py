"""`cmrseg pretrain`: an image encoder from images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pretrain_command(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Folders of studies; labels are not used.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; resumed if it exists.")],
    exclude: Annotated[
        Path | None, typer.Option(help="split.json whose validation and test patients must not be seen.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="Size of the encoder: small, tiny, vit_b, vit_l or vit_h.")] = "small",
    epochs: Annotated[int | None, typer.Option(help="Passes over the slices.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, masks, order and augmentation.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    licence: Annotated[
        Path | None, typer.Option(help="Text for the LICENSE of the encoder: the terms of the images.")
    ] = None,
    licence_id: Annotated[str, typer.Option(help="SPDX identifier of that licence.")] = "LicenseRef-unstated",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of the run, e.g. optim.learning_rate=0.0005.")
    ] = None,
) -> None:
    """Pre-train an image encoder. A killed run goes on where it stopped, at the cost of at most one epoch."""
    from dataclasses import replace

    from cmrseg.errors import UsageError
    from cmrseg.io.files import MARKER, refuse_unwritable
    from cmrseg.train.pretrain import PretrainConfig, Terms, run_pretraining

    refuse_unwritable(output / MARKER)
    config = PretrainConfig.of(encoder, settings or [])
    config = replace(config, seed=seed, threads=threads)
    if epochs is not None:
        config = replace(config, optim=replace(config.optim, epochs=epochs))
    terms = Terms(licence_id=licence_id)
    if licence is not None:
        try:
            terms = replace(terms, text=licence.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{licence.name} cannot be read.", "Give a text file.") from error
    run_pretraining(config, data, output, exclude, terms, lambda line: typer.echo(line))
