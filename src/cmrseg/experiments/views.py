"""Tables II to IV, VII and VIII of CardioSAM: the same patients of the same trainings, divided in other ways.

A table is a list of flat records, whose keys head its columns: one form for readers and for programs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore
from cmrseg.evaluate.markdown import number, table
from cmrseg.evaluate.metrics import POOLED_METRICS, overlap
from cmrseg.evaluate.statistics import bootstrap_interval
from cmrseg.evaluate.subgroups import SEVERITY_DEFINITION, by_group, by_severity
from cmrseg.experiments import paper
from cmrseg.experiments.cost import Cost, cost_of
from cmrseg.experiments.runner import RowResult, run_folder

Record = dict[str, str | int | float | None]
#: The network that the paper's tables speak of.
SUBJECT = "CardioSAM"


@dataclass(frozen=True)
class Trained:
    """A row that was run."""

    result: RowResult
    """Its line."""
    scores: Sequence[Any]
    """Its patients, of the first seed: of the type that `cmrseg.evaluate.evaluators` names for the kind of study."""
    run: Path
    """Its folder."""


@dataclass(frozen=True)
class View:
    """One table."""

    records: Sequence[Record]
    """Its lines, all with the same keys."""
    notes: Sequence[str]
    """What a reader must know."""

    def markdown(self) -> str:
        """Table and notes."""
        head = list(self.records[0]) if self.records else ["nothing was measured"]
        lines = [[_cell(record[key]) for key in head] for record in self.records]
        return "\n\n".join([table(head, lines), *self.notes])

    def csv_text(self) -> str:
        """The records; a cell is empty where there is no value."""
        file = io.StringIO()
        writer = csv.DictWriter(file, list(self.records[0]) if self.records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in self.records)
        return file.getvalue()


MakeView = Callable[[Mapping[str, Trained]], View]


def trained(results: Sequence[RowResult], out: Path, scores: Mapping[str, Sequence[Any]]) -> dict[str, Trained]:
    """Rows that were run, by name."""
    return {r.name: Trained(r, scores[r.name], run_folder(out, r.name)) for r in results if r.measured}


def _cell(value: str | float | None) -> str:
    return number(value, 2) if value is None or isinstance(value, float) else str(value)


def _measured(values: Sequence[float], factor: float = 100.0) -> Record:
    """Mean, interval and number of patients, in the unit of the table."""
    interval = bootstrap_interval(values)
    return {
        "we measured": factor * float(np.mean(values)) if values else None,
        "low": factor * interval.low if interval else None,
        "high": factor * interval.high if interval else None,
        "patients": len(values),
    }


def _values(scores: Sequence[CineScore], metric: str, structures: Sequence[str] = STRUCTURES) -> list[float]:
    keys = [f"{structure}_{phase}" for structure in structures for phase in PHASES]
    return [value for s in scores if (value := s.macro(metric, keys)) is not None]


def _said(row: str, value: float | None) -> float | None:
    """What the paper says of a row: it speaks of one network only."""
    return None if value is None or row != SUBJECT else float(value)


def table_2(rows: Mapping[str, Trained]) -> View:
    """Table II, memory, and what else a network costs; see `cmrseg.experiments.cost`."""
    records: list[Record] = []
    for name, row in rows.items():
        cost = cost_of(row.run)
        for what, unit, said, value in _costs(cost):
            first: Record = {"row": name, "cost": what, "unit": unit, "paper says": _said(name, said)}
            records.append(first | {"we measured": value})
    threads = sorted({cost_of(row.run).threads for row in rows.values()})
    sizes = sorted({cost_of(row.run).batch_size for row in rows.values()})
    notes = (
        f"Measured on a processor with {_listed(threads)} threads, float32 inference by torch, batches of "
        f"{_listed(sizes)} slices in training. Whatever else the machine does is in the times. Peaks are of resident "
        "memory, above the process before the network is made; its parts are counted, and the rest is what remains.",
        "The paper's GB are of a GPU with batches of 16 slices of 224 px, and it defines none of its parts.",
    )
    return View(records, notes)


def _costs(cost: Cost) -> list[tuple[str, str, float | None, float]]:
    """Name, unit, what the paper says, and what we measured."""
    memory = {
        "encoder: weights, with gradients and moments where trained": ("encoder", cost.encoder_gb),
        "the rest: weights, gradients, moments": ("decoder", cost.rest_gb),
        "a batch with its logits": ("buffers", cost.batch_gb),
        "what remains: activations, averaged weights, work space": ("features", cost.other_gb),
        "peak of training": ("training", cost.training_gb),
        "peak of inference": ("inference", cost.inference_gb),
    }
    return [
        *((name, "MB", 1e3 * paper.TABLE_2[key], 1e3 * value) for name, (key, value) in memory.items()),
        ("weights", "million", paper.TABLE_1[SUBJECT][-1], cost.weights_m),
        ("trained weights", "million", None, cost.trainable_m),
        ("one step of training", "s", None, cost.seconds_per_step),
        ("inference of a slice", "ms", None, 1e3 * cost.seconds_per_slice),
    ]


def _listed(values: Sequence[object]) -> str:
    return " or ".join(map(str, values))


def table_3(rows: Mapping[str, Trained]) -> View:
    """Table III: Dice of people as the paper cites it, of networks as others printed it, and ours."""
    ours = {name: _measured(_values(row.scores, "dice")) for name, row in rows.items()}
    nothing = dict.fromkeys(_measured([]))
    lines: list[tuple[str, float | None, float | None, Mapping[str, str | float | None], str]] = [
        *((name, paper.TABLE_3[name], None, nothing, "not measured: one reader a patient") for name in _PEOPLE),
        ("clinical threshold", paper.TABLE_3["clinical threshold"], None, nothing, "no source in the paper"),
        *((name, _table_1_dice(name), said, nothing, where) for name, (said, where) in paper.PUBLISHED.items()),
        *((name, _table_1_dice(name), None, found, rows[name].result.note) for name, found in ours.items()),
    ]
    records: list[Record] = [
        {"benchmark": name, "paper says": said, "others say": others, **found, "note": note}
        for name, said, others, found, note in lines
    ]
    note = (
        "Dice in percent: ours is the mean over held-out patients of structures and phases, in 3-D. How two people "
        "agree on other patients is no bar that a network clears on these: that comparison is not repeated here."
    )
    return View(records, (note,))


#: Benchmarks of Table III that are people.
_PEOPLE = ("two experts", "one expert twice")


def _table_1_dice(name: str) -> float | None:
    return paper.TABLE_1[name][0] if name in paper.TABLE_1 else None


#: Metrics of Table IV: the paper's name, ours, the heading, and the factor to its unit.
_TABLE_4 = (
    ("dice", "dice", "Dice, %", 100.0),
    ("iou", "iou", "IoU, %", 100.0),
    ("hd95_mm", "hd95_mm", "HD95, mm", 1.0),
    ("sensitivity", "sensitivity", "sensitivity, %", 100.0),
    ("recall", "sensitivity", "recall, %", 100.0),
    ("specificity", "specificity", "specificity, %", 100.0),
    ("precision", "precision", "precision, %", 100.0),
)


def table_4(rows: Mapping[str, Trained]) -> View:
    """Table IV: every metric with its 95 % interval over patients, and pooled over their voxels."""
    records: list[Record] = []
    for name, row in rows.items():
        pooled = overlap(np.sum([s.counts() for s in row.scores], axis=0))
        for key, metric, label, factor in _TABLE_4:
            whole = factor * float(pooled[metric]) if metric in POOLED_METRICS else None
            records.append(_table_4_line(name, key, label, _measured(_values(row.scores, metric), factor), whole))
        right, trivial = (
            _measured([getattr(s, k) for s in row.scores]) for k in ("label_accuracy", "trivial_accuracy")
        )
        records.append(_table_4_line(name, "accuracy", "accuracy, %", right, None))
        records.append(_table_4_line(name, "", "accuracy of all background, %", trivial, None))
    notes = (
        "Mean over patients of structures and phases with its 95 % bootstrap interval over patients; pooled: from the "
        "voxels of all of them, each structure and phase against the rest. Accuracy: voxels of labelled frames whose "
        "label is right.",
        "Sensitivity and recall are one quantity; the paper prints two values. Its Dice is the harmonic mean of its "
        "precision and recall, as pooled Dice is.",
    )
    return View(records, notes)


def _table_4_line(row: str, key: str, label: str, found: Record, pooled: float | None) -> Record:
    value, low, high = (_said(row, v) for v in paper.TABLE_4.get(key, (None, None, None)))
    said: Record = {"row": row, "metric": label, "paper says": value, "paper low": low, "paper high": high}
    return {**said, **found, "pooled": pooled}


def table_7(rows: Mapping[str, Trained]) -> View:
    """Table VII: Dice and IoU by diagnosis and by structure."""
    records: list[Record] = []
    for name, row in rows.items():
        for group, members in by_group(row.scores).items():
            n, *said = paper.TABLE_7_GROUPS.get(group, (None, None, None))
            records += _dice_and_iou(name, "diagnosis", group, n, said, members, STRUCTURES)
        for structure in STRUCTURES:
            label = structure.replace("_", " ")
            records += _dice_and_iou(name, "structure", label, None, paper.TABLE_7[structure], row.scores, (structure,))
    note = (
        "Percent; mean over patients, both phases, with 95 % bootstrap intervals over the patients of the group. "
        "ACDC has 30 patients of each diagnosis; the paper counts 30, 40, 40, 25 and 15."
    )
    return View(records, (note,))


def _dice_and_iou(
    row: str,
    division: str,
    group: str,
    paper_patients: int | None,
    said: Sequence[float | None],
    members: Sequence[CineScore],
    structures: Sequence[str],
) -> list[Record]:
    said_of_row = [_said(row, value) for value in said]
    return [
        {
            "row": row,
            "by": division,
            "group": group,
            "metric": label,
            "paper says": value,
            "paper's patients": paper_patients if row == SUBJECT else None,
        }
        | _measured(_values(members, metric, structures))
        for (label, metric), value in zip((("Dice", "dice"), ("IoU", "iou")), said_of_row, strict=True)
    ]


def table_8(rows: Mapping[str, Trained]) -> View:
    """Table VIII: by severity, whose definition is printed."""
    records: list[Record] = []
    for name, row in rows.items():
        for band, members in by_severity(row.scores).items():
            n, *said = paper.TABLE_8.get(band, (None, None, None, None))
            errors = [abs(s.lv_ef_error) for s in members if np.isfinite(s.lv_ef_error)]
            columns = (
                ("Dice, %", _measured(_values(members, "dice"))),
                ("LVEF error, points", _measured(errors, 1.0)),
                (
                    "volume error of the cavities, mL",
                    _measured(_values(members, "volume_abs_error_ml", ("lv_cavity", "rv_cavity")), 1.0),
                ),
            )
            for (label, found), value in zip(columns, said, strict=True):
                first: Record = {"row": name, "severity": band, "metric": label, "paper says": _said(name, value)}
                records.append(first | {"paper's patients": n if name == SUBJECT else None} | found)
    note = "The paper does not define its bands, so its figures may be of other patients; errors are absolute."
    return View(records, (SEVERITY_DEFINITION, note))
