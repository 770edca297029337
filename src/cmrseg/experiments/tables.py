"""What the paper says beside what we measured: Markdown for a reader, CSV for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from cmrseg.experiments.runner import RowResult

#: Heading, factor from our unit to the table's, and decimals.
COLUMNS: Mapping[str, tuple[str, float, int]] = {
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
}
#: Measured columns that a table shows although the paper's lacks them.
ALWAYS = ("dice_mean", "iou_mean", "hd95_mm_mean", "lv_ef_mae_points")
#: Columns that mean nothing without another.
BESIDE = {"label_trivial_accuracy_mean": "label_accuracy_mean"}


def measured_value(result: RowResult, key: str) -> float | None:
    """A column of a row in the table's unit; None where it was not measured."""
    if not result.measured:
        return None
    value = result.weights_m if key == "weights_m" else result.measured.get(key)
    return None if value is None else value * COLUMNS[key][1]


def markdown(title: str, results: Sequence[RowResult]) -> str:
    """One table: every column twice, as *paper / we measured*, and what it cost.

    Args:
        title: heading.
        results: rows; an empty table says that nothing was run.
    """
    if not results:
        return f"## {title}\n\nNothing was run.\n"
    keys = [k for k in COLUMNS if k in ALWAYS or any(BESIDE.get(k, k) in r.paper for r in results)]
    head = [
        "row",
        *(f"{COLUMNS[k][0]}: paper / we" for k in keys),
        "95 % interval of Dice",
        "epochs",
        "minutes",
        "note",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in results:
        cells = [f"{_said(r, k)} / {_measured(r, k)}" for k in keys]
        low, high = (r.measured.get(f"dice_mean_{side}") for side in ("low", "high"))
        interval = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
        cost = [str(r.epochs), f"{r.minutes:.1f}"] if r.measured else ["–", "–"]
        lines.append("| " + " | ".join([r.name, *cells, interval, *cost, r.note]) + " |")
    return f"## {title}\n\n" + "\n".join(lines) + f"\n\n{_counts(results)}\n"


def _counts(results: Sequence[RowResult]) -> str:
    """What all lines rest on."""
    run = [r for r in results if r.measured]
    if not run:
        return "Nothing was run."
    # rows that nobody trains have no patients that trained them
    trained = max(r.patients_trained_on for r in run)
    seeds = max(r.seeds for r in run)
    first = min(r.seed for r in run)
    trainings = (
        f"one training per row, seed {first}"
        if seeds == 1
        else f"mean ± SD of {seeds} trainings of each row with an SD, seeds {first} to {first + seeds - 1}, "
        "the interval of patients averaged over them"
    )
    return (
        f"{trained} patients trained, {run[0].patients_measured_on} were held out and measured; {trainings}. "
        "3-D Dice on the native grid; our networks see the heart where a locator found it."
    )


def _said(result: RowResult, key: str) -> str:
    value = result.paper.get(key)
    return "–" if value is None else f"{value:.{COLUMNS[key][2]}f}"


def _measured(result: RowResult, key: str) -> str:
    value = measured_value(result, key)
    if value is None:
        return "–"
    _, factor, decimals = COLUMNS[key]
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
