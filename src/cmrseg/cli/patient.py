"""Options that say what the files do not say of the patient."""

from __future__ import annotations

from typing import Annotated

import typer

Sex = Annotated[str | None, typer.Option(help="Sex of the patient, F or M, in the place of what the files say.")]
Age = Annotated[float | None, typer.Option(help="Age of the patient in years, likewise.")]
Height = Annotated[float | None, typer.Option(help="Height of the patient in cm, likewise.")]
Weight = Annotated[float | None, typer.Option(help="Weight of the patient in kg, likewise.")]
