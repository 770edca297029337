"""The `cmrseg` command. Each sub-command is one thin file beside this one and imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from cmrseg import __version__
from cmrseg.cli.analyse import analyse_command
from cmrseg.cli.common import DEBUG, guarded, take_any_text
from cmrseg.cli.demo import demo_command
from cmrseg.cli.doctor import doctor_command
from cmrseg.cli.evaluate import evaluate_command
from cmrseg.cli.experiment import experiment_command
from cmrseg.cli.features import features_command
from cmrseg.cli.inspect import inspect_command
from cmrseg.cli.measure import measure_command
from cmrseg.cli.models import models_app
from cmrseg.cli.phantom import phantom_command
from cmrseg.cli.pretrain import pretrain_command
from cmrseg.cli.segment_box import segment_box_command
from cmrseg.cli.train import train_command
from cmrseg.cli.tune import tune_command

app = typer.Typer(
    name="cmrseg",
    help="From a cardiac MR study to numbers a cardiologist reads. Research use; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"cmrseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program an error came from.")] = False,
) -> None:
    """From a cardiac MR study to numbers a cardiologist reads. Research use; not a medical device."""
    DEBUG.set(debug)


app.command("demo")(guarded(demo_command))
app.command("analyse")(guarded(analyse_command))
app.command("inspect")(guarded(inspect_command))
app.command("measure")(guarded(measure_command))
app.command("features")(guarded(features_command))
app.command("segment-box")(guarded(segment_box_command))
app.command("train")(guarded(train_command))
app.command("pretrain")(guarded(pretrain_command))
app.command("tune")(guarded(tune_command))
app.command("evaluate")(guarded(evaluate_command))
app.command("experiment")(guarded(experiment_command))
app.add_typer(models_app, name="models")
app.command("phantom")(guarded(phantom_command))
app.command("doctor")(guarded(doctor_command))


def run() -> None:
    """Entry point of the installed command."""
    take_any_text()
    app()
