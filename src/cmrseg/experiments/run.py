"""`cmrseg experiment NAME`: the experiments by name, and what runs one from data to table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.experiments import cardiosam
from cmrseg.experiments.runner import Row, RowResult, run_rows
from cmrseg.experiments.scale import Scale, scale_of
from cmrseg.experiments.tables import csv_text, markdown
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient

Rows = Callable[[Scale, str], list[Row]]


@dataclass(frozen=True)
class Experiment:
    """One table of a paper."""

    title: str
    """Heading of its table."""
    rows: Rows
    """What it trains, from a scale and the encoder's weights."""
    equal_minutes: bool
    """Every row trains for the same time, as whole networks should be compared; else for the same epochs, as parts."""


EXPERIMENTS: Mapping[str, Experiment] = {
    "cardiosam-table1": Experiment("CardioSAM, Table I: networks", cardiosam.table1, True),
    "cardiosam-table5": Experiment("CardioSAM, Table V: parts of the network", cardiosam.table5, False),
    "cardiosam-table6": Experiment("CardioSAM, Table VI: losses", cardiosam.table6, False),
    "cardiosam-cost": Experiment("Frozen, tuned or from scratch, at equal minutes", cardiosam.frozen_or_tuned, True),
}


@dataclass(frozen=True)
class ExperimentOptions:
    """What a user may choose."""

    scale: str = "cpu"
    """``tiny``, ``cpu`` or ``full``."""
    minutes: float | None = None
    """Training time of each row; None for the scale's where rows train for equal minutes."""
    encoder_weights: str = ""
    """Weights of the rows' SAM encoder; empty for random ones."""
    threads: int = 2
    """CPU threads."""
    seed: int = 0
    """Seed of every training."""


def run_experiment(
    name: str, data: Path | None, out: Path, options: ExperimentOptions, report: Callable[[str], None]
) -> list[RowResult]:
    """Train and measure every row of an experiment that has no result yet, and write its table.

    Args:
        name: one of `EXPERIMENTS`.
        data: root of the ACDC patients; None at the tiny scale makes phantoms.
        out: folder for runs, ``table.md`` and ``table.csv``; an experiment that was cut off goes on.
        options: scale and cost.
        report: takes lines of progress.

    Raises:
        UsageError: no such experiment or scale, or no data at a scale that needs them.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"There is no experiment {name!r}.", f"Experiments: {', '.join(EXPERIMENTS)}.")
    scale = scale_of(options.scale)
    if data is None and scale.name != "tiny":
        raise UsageError(f"The scale {scale.name!r} needs patients.", "Give --data with the ACDC training folder.")
    out.mkdir(parents=True, exist_ok=True)
    root = _phantoms(out / "phantoms") if data is None else data
    base = replace(scale.base, threads=options.threads, seed=options.seed)
    rows = EXPERIMENTS[name].rows(replace(scale, base=base), options.encoder_weights)
    minutes = scale.minutes if EXPERIMENTS[name].equal_minutes else 0.0
    if options.minutes is not None:
        minutes = options.minutes
    results = run_rows(rows, root, out, minutes, report)
    title = EXPERIMENTS[name].title + (" (phantoms: a test of the software)" if data is None else "")
    (out / "table.md").write_text(markdown(title, results))
    (out / "table.csv").write_text(csv_text(results))
    return results


def _phantoms(root: Path) -> Path:
    """Three synthetic patients in ACDC's layout."""
    for k in range(3):
        folder = root / f"patient{k + 1:03d}"
        if not folder.exists():
            write_acdc_patient(make_phantom(replace(tiny(), seed=k)), folder)
    return root
