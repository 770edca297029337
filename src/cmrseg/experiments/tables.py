"""What the paper says beside what we measured: Markdown for a reader, CSV for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cmrseg.experiments.runner import RowResult


@dataclass(frozen=True)
class Columns:
    """What the tables of one kind of study show."""

    formats: Mapping[str, tuple[str, float, int]]
    """Heading, factor from our unit to the table's, and decimals, by the names of `RowResult.measured`."""
    always: tuple[str, ...]
    """Measured columns that a table shows although the paper's lacks them."""
    beside: Mapping[str, str]
    """Columns that mean nothing without another."""
    interval: str
    """Of what the table shows the interval: ``<name>_low`` and ``<name>_high`` in `RowResult.measured`."""
    interval_heading: str
    """How it is headed."""
    patients: bool = False
    """Whether each row says how many patients trained it, since they differ."""

    def value(self, result: RowResult, key: str) -> float | None:
        """A column of a row in the table's unit; None where it was not measured."""
        if not result.measured:
            return None
        value = result.weights_m if key == "weights_m" else result.measured.get(key)
        return None if value is None else value * self.formats[key][1]


CINE = Columns(
    formats={
        "dice_mean": ("Dice %", 100, 1),
        "iou_mean": ("IoU %", 100, 1),
        "hd95_mm_mean": ("HD95 mm", 1, 1),
        "label_accuracy_mean": ("accuracy %", 100, 2),
        "label_trivial_accuracy_mean": ("accuracy of all background %", 100, 2),
        "precision_mean": ("precision %", 100, 1),
        "sensitivity_mean": ("sensitivity %", 100, 1),
        "specificity_mean": ("specificity %", 100, 2),
        "lv_ef_mae_points": ("LVEF error, points", 1, 1),
        "weights_m": ("weights, M", 1, 1),
    },
    always=("dice_mean", "iou_mean", "hd95_mm_mean", "lv_ef_mae_points"),
    beside={"label_trivial_accuracy_mean": "label_accuracy_mean"},
    interval="dice_mean",
    interval_heading="95 % interval of Dice",
)
LGE = Columns(
    formats={
        "scar_mass_ccc": ("scar, CCC", 1, 3),
        "scar_mass_bias_g": ("bias of scar, g", 1, 1),
        "scar_mass_mae_g": ("error of scar, g", 1, 1),
        "dice_scar_with_scar": ("Dice of scar %", 100, 1),
        "dice_scar_median": ("median Dice of scar %", 100, 1),
        "dice_myocardium_median": ("median Dice of myocardium %", 100, 1),
        "n_false_alarms": ("scar claimed without any", 1, 0),
        "weights_m": ("weights, M", 1, 1),
    },
    always=(
        "scar_mass_ccc",
        "scar_mass_bias_g",
        "scar_mass_mae_g",
        "dice_scar_with_scar",
        "dice_scar_median",
        "dice_myocardium_median",
        "n_false_alarms",
        "weights_m",
    ),
    beside={},
    interval="dice_scar",
    interval_heading="95 % interval of Dice of scar",
    patients=True,
)

SCAR = Columns(
    formats={
        "dice_scar_with_scar": ("Dice of scar %", 100, 1),
        "perimeter_similarity": ("perimeter similarity %", 100, 1),
        "scar_mass_ccc": ("scar, CCC", 1, 3),
        "scar_mass_bias_g": ("bias of scar, g", 1, 1),
        "scar_mass_mae_g": ("error of scar, g", 1, 1),
        "n_false_alarms": ("scar claimed without any", 1, 0),
        "weights_m": ("weights, M", 1, 1),
    },
    always=(
        "dice_scar_with_scar",
        "perimeter_similarity",
        "scar_mass_ccc",
        "scar_mass_bias_g",
        "scar_mass_mae_g",
        "n_false_alarms",
        "weights_m",
    ),
    beside={},
    interval="dice_scar",
    interval_heading="95 % interval of Dice of scar",
    patients=True,
)


def markdown(title: str, results: Sequence[RowResult], columns: Columns = CINE) -> str:
    """One table: every column twice, as *paper / we measured*, and what it cost.

    Args:
        title: heading.
        results: rows; an empty table says that nothing was run.
        columns: what it shows.
    """
    if not results:
        return f"## {title}\n\nNothing was run.\n"
    said = {key for r in results for key in r.paper}
    keys = [k for k in columns.formats if k in columns.always or columns.beside.get(k, k) in said]
    head = [
        "row",
        *(f"{columns.formats[k][0]}: paper / we" for k in keys),
        columns.interval_heading,
        *(["patients"] if columns.patients else []),
        "epochs",
        "minutes",
        "note",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in results:
        cells = [f"{_said(r, k, columns)} / {_measured(r, k, columns)}" for k in keys]
        low, high = (r.measured.get(f"{columns.interval}_{side}") for side in ("low", "high"))
        interval = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
        cost = [*([str(r.patients_trained_on)] if columns.patients else []), str(r.epochs), f"{r.minutes:.1f}"]
        cost = cost if r.measured else ["–"] * len(cost)
        lines.append("| " + " | ".join([r.name, *cells, interval, *cost, r.note]) + " |")
    return f"## {title}\n\n" + "\n".join(lines) + f"\n\n{_counts(results)}\n"


def _counts(results: Sequence[RowResult]) -> str:
    """What all lines rest on."""
    run = [r for r in results if r.measured]
    if not run:
        return "Nothing was run."
    # rows that nobody trains have no patients that trained them
    trained = _span(r.patients_trained_on for r in run if r.patients_trained_on)
    held_out = _span(r.patients_measured_on for r in run)
    seeds = max(r.seeds for r in run)
    first = min(r.seed for r in run)
    trainings = (
        f"one training per row, seed {first}"
        if seeds == 1
        else f"mean ± SD of {seeds} trainings of each row with an SD, seeds {first} to {first + seeds - 1}, "
        "the interval of patients averaged over them"
    )
    return (
        f"{trained} patients trained, {held_out} were held out and measured; {trainings}. "
        "3-D Dice on the native grid; our networks see the heart where a locator found it."
    )


def _span(numbers: Iterable[int]) -> str:
    """The number that all rows share, or from the least to the greatest; 0 without any."""
    found = sorted(set(numbers)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _said(result: RowResult, key: str, columns: Columns) -> str:
    value = result.paper.get(key)
    return "–" if value is None else f"{value:.{columns.formats[key][2]}f}"


def _measured(result: RowResult, key: str, columns: Columns) -> str:
    value = columns.value(result, key)
    if value is None:
        return "–"
    _, factor, decimals = columns.formats[key]
    spread = f" ± {result.sd[key] * factor:.{decimals}f}" if key in result.sd else ""
    return f"{value:.{decimals}f}{spread}"


def csv_text(results: Sequence[RowResult]) -> str:
    """The same with every measured number, one line per row; the paper's figures under ``paper_<name>``.

    Cells of a row that was not run are empty.
    """
    measured = list(dict.fromkeys(k for r in results for k in r.measured))
    said = list(dict.fromkeys(k for r in results for k in r.paper))
    spread = list(dict.fromkeys(k for r in results for k in r.sd))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    plain = [
        "name",
        "weights_m",
        "trainable_m",
        "epochs",
        "minutes",
        "seed",
        "seeds",
        "patients_trained_on",
        "patients_measured_on",
    ]
    writer.writerow([*plain, *measured, *(f"sd_{k}" for k in spread), *(f"paper_{k}" for k in said), "note"])
    for r in results:
        values: list[object] = [
            r.name,
            f"{r.weights_m:.3f}",
            f"{r.trainable_m:.3f}",
            r.epochs,
            f"{r.minutes:.1f}",
            r.seed,
            r.seeds,
            r.patients_trained_on,
            r.patients_measured_on,
        ]
        values[1:] = values[1:] if r.measured else [""] * len(values[1:])
        values += [f"{r.measured[k]:.5g}" if k in r.measured else "" for k in measured]
        values += [f"{r.sd[k]:.5g}" if k in r.sd else "" for k in spread]
        values += [r.paper.get(k, "") for k in said]
        writer.writerow([*values, r.note])
    return file.getvalue()
