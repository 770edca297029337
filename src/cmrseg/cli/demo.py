"""`cmrseg demo`: a synthetic study with known answers, analysed like any other, and compared with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmrseg.cli.common import EXIT_REVIEW

if TYPE_CHECKING:
    from cmrseg.study import Verdict

STUDY_NAME = "synthetic-heart"
#: How far the bundle may be from the truth of a heart that it was never shown.
LARGEST_EF_ERROR_POINTS = 3.0
LARGEST_VOLUME_ERROR_PERCENT = 10.0
COMPARED = {
    "lv_edv_ml": "LV end-diastolic volume, mL",
    "lv_esv_ml": "LV end-systolic volume, mL",
    "lv_ef_percent": "LV ejection fraction, %",
    "lv_mass_g": "LV mass, g",
    "rv_edv_ml": "RV end-diastolic volume, mL",
    "rv_esv_ml": "RV end-systolic volume, mL",
    "rv_ef_percent": "RV ejection fraction, %",
}


@dataclass(frozen=True)
class Comparison:
    """One number of the synthetic heart: what is true and what was measured.

    Args:
        key: as in measurements.json.
        true: what the heart was made with.
        measured: what the analysis found; None when it found nothing.
    """

    key: str
    true: float
    measured: float | None

    @property
    def difference(self) -> float | None:
        """Measured minus true: points for an ejection fraction, percent of the truth for anything else."""
        if self.measured is None:
            return None
        error = self.measured - self.true
        return error if self.key.endswith("_percent") else 100.0 * error / self.true

    @property
    def close(self) -> bool:
        """True within 3 points for an ejection fraction, within 10 % for a volume or mass."""
        limit = LARGEST_EF_ERROR_POINTS if self.key.endswith("_percent") else LARGEST_VOLUME_ERROR_PERCENT
        return self.difference is not None and abs(self.difference) <= limit


@dataclass(frozen=True)
class Demo:
    """What came of it: one comparison for each of `COMPARED`, and what quality control says."""

    comparisons: tuple[Comparison, ...]
    verdict: Verdict

    @property
    def close(self) -> bool:
        """True when every number is close to the truth."""
        return all(c.close for c in self.comparisons)


def demo_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; an older demo in it is replaced.")
    ] = Path("cmrseg-demo"),
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Make a synthetic study as DICOM, analyse it, compare with the truth, and say where the report is."""
    demo = run_demo(output, typer.echo)
    report = (output / "result" / STUDY_NAME / "report.html").resolve()
    _show(demo, report)
    if open_report:
        import webbrowser

        webbrowser.open(report.as_uri())
    if not demo.close:
        raise typer.Exit(EXIT_REVIEW)


def run_demo(output: Path, say: Callable[[str], None] = lambda text: None) -> Demo:
    """Write the study, its analysis and the comparison into a folder that appears whole or not at all.

    Args:
        output: gets ``synthetic-heart/`` (DICOM), ``result/synthetic-heart/`` (the analysis) and ``run.json`` (the
            comparison). Replaced if it is an older demo.
        say: is told each step before it begins.

    Raises:
        CmrsegError: as an `Analyser`; OutputError when `output` is something else than an older demo.
    """
    from cmrseg import __version__
    from cmrseg.io.files import MARKER, output_folder
    from cmrseg.phantom import make_phantom, write_dicom
    from cmrseg.pipeline.analyse import Analyser
    from cmrseg.pipeline.write import write
    from cmrseg.text import printable

    with output_folder(output, replace=True) as folder:
        say("Making a synthetic study as DICOM ...")
        phantom = make_phantom()
        study = folder / STUDY_NAME
        write_dicom(phantom, study)
        slices, phases = phantom.image.n_slices, phantom.image.n_frames
        say(f"Analysing it: {slices} slices of {phases} phases, which may take a minute ...")
        analysis = Analyser()(study)
        # while it is made, the folder has another name
        analysis = replace(analysis, run={**analysis.run, "study_path": printable(output / STUDY_NAME)})
        write(analysis, folder / "result")
        say("Comparing with the truth ...")
        measurements = analysis.parts[0].measurements
        comparisons = compare(phantom.truth.numbers(), {key: measurements[key] for key in COMPARED})
        record = {
            "command": "demo",
            "version": __version__,
            "truth": {c.key: c.true for c in comparisons},
            "measured": {c.key: c.measured for c in comparisons},
        }
        (folder / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return Demo(comparisons, analysis.verdict)


def compare(truth: Mapping[str, float], measured: Mapping[str, float | None]) -> tuple[Comparison, ...]:
    """One comparison for each of `COMPARED`; KeyError when either side lacks a key."""
    return tuple(Comparison(key, truth[key], measured[key]) for key in COMPARED)


def _show(demo: Demo, report: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("synthetic heart")
    for title in ("true", "measured", "difference"):
        table.add_column(title, justify="right")
    for c in demo.comparisons:
        unit = " points" if c.key.endswith("_percent") else " %"
        difference = "—" if c.difference is None else f"{c.difference:+.1f}{unit}"
        colour = "green" if c.close else "red"
        measured = "—" if c.measured is None else f"{c.measured:.1f}"
        table.add_row(COMPARED[c.key], f"{c.true:.1f}", measured, f"[{colour}]{difference}[/]")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if not demo.close:
        console.print(
            f"Some numbers are further from the truth than {LARGEST_EF_ERROR_POINTS:.0f} points (ejection fraction) or "
            f"{LARGEST_VOLUME_ERROR_PERCENT:.0f} % (volumes and mass)."
        )
    console.print(f"Quality control: {demo.verdict.status}")
    for finding in demo.verdict.reasons:
        console.print(f"  {finding.message}", markup=False)
    console.print(f"Report: {report}", markup=False)
