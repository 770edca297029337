"""`cmrseg measure`: the same numbers from masks somebody drew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmrseg.cli.analyse import NoStudyDate, show_result
from cmrseg.cli.common import EXIT_REVIEW, print_json
from cmrseg.cli.patient import Age, Height, Patients, Sex, Weight, tasks_with_patients


def measure_command(
    study: Annotated[Path, typer.Argument(help="DICOM folder, data-set folder, or NIfTI file.")],
    masks: Annotated[Path, typer.Argument(help="NIfTI file of the masks, on the grid of the study's image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets the study's folder.")],
    scheme: Annotated[
        str,
        typer.Option(help="Numbers of the masks: cine (ACDC: 1 RV, 2 myocardium, 3 LV), mnms, lge, lge_rv or myops."),
    ] = "cine",
    scar_method: Annotated[
        str | None, typer.Option(help="Find the scar anew in drawn LGE myocardium: fwhm, 2sd to 6sd, otsu, gmm, …")
    ] = None,
    remote: Annotated[Path | None, typer.Option(help="NIfTI file of remote myocardium, for --scar-method.")] = None,
    sex: Sex = None,
    age: Age = None,
    height: Height = None,
    weight: Weight = None,
    patients: Patients = None,
    no_study_date: NoStudyDate = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as JSON on stdout.")] = False,
) -> None:
    """Measure, check and report masks that a person or another program drew; no network is used."""
    from rich.console import Console

    from cmrseg.patients import patient_of
    from cmrseg.pipeline.drawn_masks import measure_masks
    from cmrseg.pipeline.write import free_folder, write
    from cmrseg.report.tables import measurements_json

    (task,) = tasks_with_patients([study], patient_of(sex, age, height, weight), patients)
    free_folder(output, task.name)
    analysis = measure_masks(
        study,
        masks,
        scheme,
        scar_method=scar_method,
        remote_path=remote,
        patient=task.patient,
        findings=task.findings,
        study_date=not no_study_date,
    )
    folder = write(analysis, output)
    show_result(analysis, folder, Console(quiet=quiet or as_json, highlight=False))
    if as_json:
        print_json({"study": analysis.study.name, "folder": str(folder), **measurements_json(analysis)})
    if analysis.verdict.status != "pass":
        raise typer.Exit(EXIT_REVIEW)
