"""`cmrseg analyse`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmrseg.cli.common import EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_REVIEW, print_json_line, show_error
from cmrseg.cli.patient import Age, Height, Patients, Sex, Weight, tasks_with_patients

if TYPE_CHECKING:
    from cmrseg.pipeline.analyse import AnalyseOptions
    from cmrseg.pipeline.cohort_table import CohortTable
    from cmrseg.pipeline.many import Outcome, Task
    from cmrseg.study import Analysis

#: What the terminal shows of a study; the files hold everything.
KEY_NUMBERS = (
    *("lv_edv_ml", "lv_esv_ml", "lv_ef_percent", "lv_mass_g", "rv_edv_ml", "rv_esv_ml", "rv_ef_percent"),
    *("scar_mass_g", "scar_percent", "no_reflow_mass_g", "lge_lv_mass_g", "scar_transmurality_mean_percent"),
)
_COLOURS = {"pass": "green", "review": "yellow", "reject": "red"}
_WHOSE = {"lv": "left ventricle", "rv": "right ventricle", "lge": "scar"}
NoStudyDate = Annotated[
    bool, typer.Option("--no-study-date", help="Leave the date of the study out of report and run.json.")
]


def analyse_command(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="DICOM folder, data-set folder, or NIfTI.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets one folder per study.")],
    kind: Annotated[str | None, typer.Option(help="cine or lge: overrides what was detected.")] = None,
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle; default: the one that ships.")] = "",
    runtime: Annotated[str, typer.Option(help="onnx, or openvino where it is installed.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Use the quantised networks of bundles that hold one: faster.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all usable cores.")] = None,
    no_clean_up: Annotated[bool, typer.Option("--no-clean-up", help="Keep islands and holes.")] = False,
    sex: Sex = None,
    age: Age = None,
    height: Height = None,
    weight: Weight = None,
    patients: Patients = None,
    no_study_date: NoStudyDate = False,
    skip_done: Annotated[
        bool, typer.Option("--skip-done", help="Leave out studies whose result is there, made in the same way.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per study on stdout, as it finishes.")
    ] = False,
) -> None:
    """Find the short-axis cine, segment it, measure it, check it, and write report, masks and numbers.

    Exit codes: 0 done; 1 a study could not be analysed (the others were); 2 wrong usage; 3 a study asks for review;
    130 interrupted.
    """
    from cmrseg.errors import UsageError
    from cmrseg.io.files import MARKER, refuse_unwritable
    from cmrseg.patients import patient_of
    from cmrseg.pipeline.analyse import AnalyseOptions

    if kind not in (None, "cine", "lge"):
        raise UsageError(f"There is no kind {kind!r}.", "Kinds: cine, lge.")
    tasks = tasks_with_patients(studies, patient_of(sex, age, height, weight), patients)
    refuse_unwritable(output / MARKER)
    options = AnalyseOptions(
        kind=kind,  # type: ignore[arg-type]  # checked above
        bundle=bundle,
        runtime=runtime,  # type: ignore[arg-type]  # checked where it is loaded
        threads=threads,
        int8=int8,
        clean_up=not no_clean_up,
        study_date=not no_study_date,
    )
    worst = _run(options, tasks, output, skip_done=skip_done, quiet=quiet, as_json=as_json)
    if worst:
        raise typer.Exit(worst)


def _run(
    options: AnalyseOptions, tasks: Sequence[Task], output: Path, *, skip_done: bool, quiet: bool, as_json: bool
) -> int:
    """Analyse and print; returns the exit code."""
    from rich.console import Console
    from rich.markup import escape

    from cmrseg.pipeline.analyse import Analyser
    from cmrseg.pipeline.cohort_table import NAME, CohortTable
    from cmrseg.pipeline.many import Pace, analyse_many
    from cmrseg.text import printable

    analyser = Analyser(options)
    console = Console(quiet=quiet or as_json, highlight=False)
    live = Console(stderr=True, quiet=quiet or not Console(stderr=True).is_terminal, highlight=False)
    table = CohortTable(output) if len(tasks) > 1 or (output / NAME).exists() else None
    pace = Pace(len(tasks))
    finished = 0
    worst: set[int] = set()

    def begins(task: Task) -> None:
        status.update(f"{pace}: {escape(printable(task.name))}" if len(tasks) > 1 else escape(printable(task.name)))

    try:
        with live.status("loading") as status:
            for outcome in analyse_many(analyser, tasks, output, skip_done=skip_done, begins=begins):
                finished += outcome.folder is not None
                pace.end(outcome)
                worst |= {_print(outcome, console, as_json=as_json), _add(table, outcome)}
                if len(tasks) > 1:
                    console.print(f"[dim]{pace}[/dim]", soft_wrap=True)
                # it holds every pixel of its study, which the next one needs the room of
                del outcome
    except KeyboardInterrupt:
        _interrupted(finished, pace.ended, tasks)
        return EXIT_INTERRUPTED
    if table is not None:
        table.rebuild()
        _write(table)
    return EXIT_REFUSED if EXIT_REFUSED in worst else EXIT_REVIEW if EXIT_REVIEW in worst else 0


def _print(outcome: Outcome, console: Any, *, as_json: bool) -> int:
    """Print what became of a study; returns the exit code that it asks for."""
    from rich.markup import escape

    from cmrseg.pipeline.many import NUMBERS, read_json
    from cmrseg.report.tables import measurements_json
    from cmrseg.text import printable

    told: dict[str, Any] = {"study": outcome.name, "path": str(outcome.path), "status": outcome.status}
    if outcome.error is not None:
        show_error(outcome.error, str(outcome.path))
        if as_json:
            error = outcome.error
            code = getattr(error, "code", type(error).__name__)
            print_json_line({**told, "error": {"code": code, "cause": error.cause, "remedy": error.remedy}})
        return EXIT_REFUSED
    if outcome.analysis is not None:
        numbers = measurements_json(outcome.analysis)
        show_result(outcome.analysis, outcome.folder or Path(), console)
    else:
        numbers = read_json((outcome.folder or Path()) / NUMBERS) or {}
        console.print(
            f"[bold]{escape(printable(outcome.name))}[/bold]  done before: {escape(printable(outcome.folder or ''))}",
            soft_wrap=True,
        )
    if as_json:
        print_json_line({**told, "folder": str(outcome.folder), **numbers})
    return 0 if numbers.get("verdict") == "pass" else EXIT_REVIEW


def _add(table: CohortTable | None, outcome: Outcome) -> int:
    """Put an outcome into the table; a table that cannot be written does not stop the studies."""
    if table is None:
        return 0
    table.add(outcome)
    return _write(table)


def _write(table: CohortTable) -> int:
    from cmrseg.errors import OutputError

    try:
        table.write()
    except OutputError as error:
        show_error(error)
        return EXIT_REFUSED
    return 0


def _interrupted(finished: int, ended: int, tasks: Sequence[Task]) -> None:
    """Say how many studies are finished, of those that ended, and which are left."""
    from cmrseg.text import printable

    left = [printable(task.path) for task in tasks[ended:]]
    typer.echo(
        f"interrupted: {finished} of {len(tasks)} studies are finished and whole, "
        f"{ended - finished} could not be analysed, {len(left)} are not done:",
        err=True,
    )
    for path in left:
        typer.echo(f"  {path}", err=True)
    typer.echo("The same command with --skip-done goes on.", err=True)


def show_result(analysis: Analysis, folder: Path, console: Any) -> None:
    """Print the key numbers of a study, the verdict with its reasons and their places, and where the report is."""
    from rich.markup import escape
    from rich.table import Table

    from cmrseg.report.tables import verdicts
    from cmrseg.text import printable

    status = analysis.verdict.status
    console.print(f"[bold]{escape(printable(analysis.study.name))}[/bold]  [{_COLOURS[status]}]{status}[/]")
    each = {whose: verdict for whose, verdict in verdicts(analysis).items() if verdict}
    if len(set(each.values())) > 1:
        shown_each = (f"{_WHOSE[whose]} [{_COLOURS[verdict]}]{verdict}[/]" for whose, verdict in each.items())
        console.print(f"  {', '.join(shown_each)}")
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for part in analysis.parts:
        shown = {m.key: m for m in part.measurements.values if m.key in KEY_NUMBERS}
        for measurement in shown.values():
            value = "–" if measurement.value is None else f"{measurement.value:.1f} {measurement.unit}"
            table.add_row(f"  {measurement.label}", value)
    console.print(table)
    for severity, told in _reasons(analysis):
        colour = "red" if severity == "reject" else "yellow"
        console.print(f"  [{colour}]{severity}[/] {escape(told)}", soft_wrap=True)
    console.print(f"  report: {printable(folder / 'report.html')}", soft_wrap=True, markup=False)


def _reasons(analysis: Analysis) -> list[tuple[str, str]]:
    """Severity and sentence of each reason of the verdict, once, with every place that it is about before it."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in analysis.verdict.reasons:
        known = places.setdefault((finding.severity, finding.message), [])
        where = analysis.where(finding)
        if where and where not in known:
            known.append(where)
    return [
        (severity, f"{'; '.join(where)}: {message}" if where else message)
        for (severity, message), where in places.items()
    ]
