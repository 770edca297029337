"""Options that say what the files do not say of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cmrseg.pipeline.many import Task
    from cmrseg.study import Patient

Sex = Annotated[str | None, typer.Option(help="Sex of the patient, F or M, in the place of what the files say.")]
Age = Annotated[float | None, typer.Option(help="Age of the patient in years, likewise.")]
Height = Annotated[float | None, typer.Option(help="Height of the patient in cm, likewise.")]
Weight = Annotated[float | None, typer.Option(help="Weight of the patient in kg, likewise.")]
Patients = Annotated[
    Path | None,
    typer.Option(help="CSV with study or path, and sex, age_years, height_cm, weight_kg: for many studies."),
]


def tasks_with_patients(studies: Sequence[Path], given: Patient, table: Path | None) -> list[Task]:
    """The studies with what is known of their patients; says on stderr what of a table is not used."""
    from dataclasses import replace

    from cmrseg.errors import UsageError
    from cmrseg.patients import entries, read_patients
    from cmrseg.pipeline.many import tasks_of
    from cmrseg.study import Finding

    tasks = tasks_of(studies)
    options = entries(given)
    if options and len(tasks) > 1:
        raise UsageError(
            "--sex, --age, --height and --weight are of one patient.", "Give a table of them by --patients."
        )
    if table is not None:
        found, unused = read_patients(table).of([t.path for t in tasks], [t.name for t in tasks])
        if unused:
            shown = ", ".join(unused[:5]) + (f" and {len(unused) - 5} more" if len(unused) > 5 else "")
            typer.echo(f"note: {len(unused)} of {table.name} are of no study of this call: {shown}", err=True)
        absent = Finding("patient_not_in_table", "info", "The table of patients has no row for this study.")
        tasks = [
            replace(task, patient=patient, findings=() if patient else (absent,))
            for task, patient in zip(tasks, found, strict=True)
        ]
    if options:
        from cmrseg.study import Patient

        tasks = [replace(task, patient=replace(task.patient or Patient(), **options)) for task in tasks]
    return tasks
