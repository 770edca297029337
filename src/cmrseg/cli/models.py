"""`cmrseg models`: list, show, verify and export bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmrseg.cli.common import guarded, print_json

if TYPE_CHECKING:
    from cmrseg.models.encoder_bundle import EncoderBundle
    from cmrseg.segment.bundle import Bundle
    from cmrseg.segment.prompt_bundle import PromptBundle

models_app = typer.Typer(help="List, show, verify and export bundles.", no_args_is_help=True)
NameOrPath = Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of a bundle that ships, or its folder.")]


@models_app.command("list")
@guarded
def list_command() -> None:
    """Name, kind, version and licence of every bundle that ships."""
    from cmrseg.models.encoder_bundle import read_encoder_bundle, shipped_encoders
    from cmrseg.segment.bundle import load, shipped_bundles
    from cmrseg.segment.prompt_bundle import load_prompt_bundle, shipped_prompt_bundles

    for name in shipped_bundles():
        bundle = load(name)
        typer.echo(f"{name}\t{bundle.kind}\t{bundle.version}\t{bundle.manifest['licence_id']}")
    for name in shipped_prompt_bundles():
        prompted = load_prompt_bundle(name)
        typer.echo(f"{name}\tprompts\t{prompted.version}\t{prompted.manifest['licence_id']}")
    for name, path in shipped_encoders().items():
        encoder = read_encoder_bundle(path)
        typer.echo(f"{name}\tencoder\t{encoder.version}\t{encoder.manifest['licence_id']}")


@models_app.command("show")
@guarded
def show_command(
    bundle: NameOrPath, as_json: Annotated[bool, typer.Option("--json", help="Print bundle.json.")] = False
) -> None:
    """Print a bundle's card, or its bundle.json."""
    found = _load(bundle)
    if as_json:
        print_json(dict(found.manifest))
    else:
        typer.echo((found.path / "CARD.md").read_text(encoding="utf-8"))


@models_app.command("verify")
@guarded
def verify_command(bundle: NameOrPath) -> None:
    """Check every byte of a bundle against its hashes and load its networks."""
    from cmrseg.segment.bundle import Bundle
    from cmrseg.segment.prompt_bundle import PromptBundle

    found = _load(bundle)
    if isinstance(found, Bundle):
        found.pipeline()
    elif isinstance(found, PromptBundle):
        found.network()
    typer.echo(f"{found.name} {found.version} is whole: {found.sha256}")


def _load(name_or_path: str) -> Bundle | EncoderBundle | PromptBundle:
    """A bundle of any sort, verified."""
    from cmrseg.models.encoder_bundle import encoder_path, is_encoder_bundle, read_encoder_bundle
    from cmrseg.segment.bundle import load
    from cmrseg.segment.prompt_bundle import is_prompt_bundle, load_prompt_bundle, prompt_bundle_path

    if is_prompt_bundle(prompt_bundle_path(name_or_path)):
        return load_prompt_bundle(name_or_path)
    encoder = encoder_path(name_or_path)
    return read_encoder_bundle(encoder) if is_encoder_bundle(encoder) else load(name_or_path)


@models_app.command("export")
@guarded
def export_command(
    output: Annotated[Path, typer.Argument(help="Folder of the bundle to make.")],
    segmenter: Annotated[list[Path], typer.Option(help="Run folder of an ensemble member; give it once per member.")],
    locator: Annotated[Path, typer.Option(help="Run folder of the locator.")],
    data: Annotated[
        Path, typer.Option(help="Folder of the labelled patients, to measure the bundle on those held out.")
    ],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1.0.0",
) -> None:
    """Make a bundle from training runs and measure it on the patients they held out."""
    from cmrseg.train.release import release

    release(output, segmenter, locator, data, version, typer.echo)


@models_app.command("export-prompt")
@guarded
def export_prompt_command(
    output: Annotated[Path, typer.Argument(help="Folder of the bundle to make.")],
    run: Annotated[Path, typer.Option(help="Run folder of `cmrseg train prompt`.")],
    data: Annotated[Path, typer.Option(help="Folder of the labelled cines that it was trained on.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1.0.0",
) -> None:
    """Make a bundle that takes prompts from a training run, and measure it on the patients that run held out."""
    from cmrseg.train.prompt_release import release_prompt

    release_prompt(output, run, data, version, typer.echo)
