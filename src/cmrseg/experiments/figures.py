"""Figures 3 to 6 of CardioSAM and what its tables look like, drawn from what was measured. Needs matplotlib.

They show patients: figures of data that may not be passed on stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.evaluate.cine import PHASES, STRUCTURES, labelled_phases
from cmrseg.evaluate.markdown import LABELS
from cmrseg.evaluate.subgroups import by_group
from cmrseg.experiments.views import SUBJECT, Trained
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.segment import bundle
from cmrseg.segment.engine import Pipeline, find_heart, segment
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import find_cases, load_case
from cmrseg.train.loop import share_of_peak
from cmrseg.train.predict import stage_of

#: Colours of structures, told apart by people who see no red or no green (Okabe and Ito).
#: The cavity lies over the muscle, with which it shares a contour.
COLOURS = {"lv_myocardium": "#009E73", "lv_cavity": "#D55E00", "rv_cavity": "#56B4E9"}
_FIELD_MM = 140.0
_MOST_GROUPS = 6
#: Fewer minutes or millions than this do not show on an axis.
_LEAST = 1e-3


@dataclass(frozen=True)
class _Slice:
    """The middle of one labelled frame of a patient."""

    case: Case
    image: Image
    truth: Truth
    phase: str
    frame: int
    z: int

    @property
    def picture(self) -> NDArray[np.float32]:
        slice_YX: NDArray[np.float32] = self.image.data[self.frame, self.z]
        return slice_YX

    @property
    def labels(self) -> NDArray[np.uint8]:
        labels_YX: NDArray[np.uint8] = self.truth.labels[labelled_phases(self.truth)[self.phase], self.z]
        return labels_YX

    @property
    def aspect(self) -> float:
        x_mm, y_mm, _ = self.image.geometry.spacing_xyz_mm
        return y_mm / x_mm

    def limits(self) -> tuple[float, float, float, float]:
        """Columns and rows that the field of a picture covers, round the heart of the truth."""
        x_mm, y_mm, _ = self.image.geometry.spacing_xyz_mm
        row, column = ndimage.center_of_mass(self.labels > 0)
        wide, high = _FIELD_MM / 2 / x_mm, _FIELD_MM / 2 / y_mm
        return column - wide, column + wide, row + high, row - high


def _slice(row: Trained, data: Path, case_id: str, phase: str = "ed") -> _Slice:
    """The slice of a patient in which the truth's heart is largest."""
    config = TrainConfig.load(row.run / "config.json").data
    case = next(case for case in find_cases(data, config) if case.case_id == case_id)
    study, truth = load_case(case, config)
    k = labelled_phases(truth)[phase]
    z = int((truth.labels[k] > 0).sum(axis=(1, 2)).argmax())
    return _Slice(case, study.images[0], truth, phase, truth.frames[k], z)


def _subject(rows: Mapping[str, Trained]) -> Trained:
    """CardioSAM, or the first row where it was not trained."""
    return rows.get(SUBJECT) or next(iter(rows.values()))


def _pipeline(run: Path) -> Pipeline:
    return Pipeline(bundle.load("cine").pipeline().locator, stage_of([run]), CINE, run.name)


def class_examples(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 3: one held-out patient of each diagnosis at end-diastole, with the contours of the truth."""
    row = _subject(rows)
    groups = dict(list(by_group(row.scores).items())[:_MOST_GROUPS])
    figure, axes = _grid(1, len(groups))
    for panel, (group, members) in zip(axes[0], groups.items(), strict=True):
        found = _slice(row, data, members[0].case_id)
        _picture(panel, found, group)
        _contours(panel, found.labels)
    return _with_legend(figure)


def training_curves(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 4: mean loss of each epoch, and the cosine that its learning rate follows after the warm-up."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    losses, rates = figure.subplots(1, 2)
    for name, row in rows.items():
        path = row.run / "log.jsonl"
        if not path.exists():
            continue
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        epochs = [line["epoch"] for line in lines]
        losses.plot(epochs, [line["loss"] for line in lines], marker=".", label=name)
        optim = TrainConfig.load(row.run / "config.json").optim
        shares = [share_of_peak(k, optim.epochs, 0) for k in range(optim.epochs + 1)]
        rates.plot(range(optim.epochs + 1), [optim.learning_rate * share for share in shares], label=name)
    losses.set(xlabel="epoch", ylabel="training loss (each its own)")
    rates.set(xlabel="epochs done", ylabel="learning rate")
    losses.legend()
    return figure


def mask_examples(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 5: best, median and worst held-out patient of CardioSAM at end-systole: image, truth, masks of rows."""
    row = _subject(rows)
    ranked = sorted(row.scores, key=lambda s: -(s.macro("dice") or 0.0))
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    networks = {name: r for name, r in rows.items() if (r.run / "config.json").exists()}
    figure, axes = _grid(len(chosen), 2 + len(networks))
    for line, (rank, score) in zip(axes, chosen.items(), strict=True):
        phase = PHASES[-1] if f"lv_cavity_{PHASES[-1]}" in score.structures else PHASES[0]
        found = _slice(row, data, score.case_id, phase)
        _picture(line[0], found, f"{rank}: {100 * (score.macro('dice') or 0.0):.1f} %")
        _picture(line[1], found, "truth")
        _contours(line[1], found.labels)
        for panel, (name, network) in zip(line[2:], networks.items(), strict=True):
            _picture(panel, found, name)
            _contours(panel, _masks(found, network.run))
    return _with_legend(figure)


def _masks(found: _Slice, run: Path) -> NDArray[np.uint8]:
    """What a run's network draws on the slice, in the whole beat as in analysis; nothing where it finds no heart."""
    try:
        labels: NDArray[np.uint8] = segment(found.image, _pipeline(run)).labels[found.frame, found.z]
    except InputRefused:
        return np.zeros_like(found.labels)
    return labels


def probability_maps(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 6: what CardioSAM gives each class in its window, for the median held-out patient at end-diastole."""
    row = _subject(rows)
    ranked = sorted(row.scores, key=lambda s: s.macro("dice") or 0.0)
    found = _slice(row, data, ranked[len(ranked) // 2].case_id)
    pipeline = _pipeline(row.run)
    figure, axes = _grid(1, 1 + len(CINE.foreground_names))
    window = pipeline.segmenter.spec.window(found.image.geometry, find_heart(found.image, pipeline.locator))
    slices_ZHW = window.extract(found.image.data[found.frame])
    classes_KHW = pipeline.segmenter.probabilities(slices_ZHW).mean(axis=0)[found.z]
    axes[0][0].imshow(slices_ZHW[found.z], cmap="gray")
    axes[0][0].set_title("window")
    for panel, name, map_HW in zip(axes[0][1:], CINE.foreground_names, classes_KHW[1:], strict=True):
        shown = panel.imshow(map_HW, cmap="viridis", vmin=0, vmax=1)
        panel.set_title(LABELS[name])
    figure.colorbar(shown, ax=list(axes[0]), label="probability", shrink=0.8)
    return figure


def structure_boxes(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Dice of held-out patients by structure and phase: median, quartiles, whiskers to 1.5 times their distance."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, len(PHASES) * len(STRUCTURES), sharey=True)
    for panel, key in zip(axes, [f"{s}_{p}" for s in STRUCTURES for p in PHASES], strict=True):
        values = [[s.dice[key] for s in row.scores if key in s.dice] for row in rows.values()]
        panel.boxplot(values, widths=0.6)
        structure, _, phase = key.rpartition("_")
        panel.set_title(f"{LABELS[structure]}, {phase.upper()}", fontsize=8)
        panel.set_xticks(range(1, len(rows) + 1), list(rows), rotation=60, ha="right", fontsize=7)
    axes[0].set_ylabel("Dice")
    return figure


def dice_over_cost(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Dice with its 95 % interval over the minutes a row was trained, and over its weights; oracles are marked."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for k, (name, row) in enumerate(rows.items()):
        found = row.result.measured
        dice = found["dice_mean"]
        reach = [[dice - found.get("dice_mean_low", dice)], [found.get("dice_mean_high", dice) - dice]]
        label = f"{name} (oracle)" if row.result.oracle and "oracle" not in name else name
        for panel, cost in zip(axes, (row.result.minutes, row.result.weights_m), strict=True):
            panel.errorbar([max(cost, _LEAST)], [dice], yerr=reach, fmt="o", color=f"C{k}", label=label)
    axes[0].set(xlabel="minutes of training", ylabel="mean Dice (95 % of patients' mean)")
    axes[1].set(xlabel="weights, millions", xscale="log")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    return figure


def _grid(rows: int, columns: int) -> tuple[Figure, Any]:
    """Panels without ticks [rows, columns]."""
    figure = Figure(figsize=(2.4 * columns, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.ravel():
        panel.set_axis_off()
    return figure, axes


def _picture(panel: Any, found: _Slice, title: str) -> None:
    low, high = np.percentile(found.picture, [1, 99])
    panel.imshow(found.picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=found.aspect)
    left, right, bottom, top = found.limits()
    panel.set(xlim=(left, right), ylim=(bottom, top))
    panel.set_title(title, fontsize=9)


def _contours(panel: Any, labels_YX: NDArray[np.uint8]) -> None:
    for name, colour in COLOURS.items():
        mask = labels_YX == CINE[name]
        if mask.any():
            panel.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)


def _with_legend(figure: Figure) -> Figure:
    from matplotlib.lines import Line2D

    lines: Sequence[Any] = [Line2D([], [], color=colour) for colour in COLOURS.values()]
    figure.legend(lines, [LABELS[name] for name in COLOURS], loc="outside lower center", ncols=len(COLOURS))
    return figure


#: Figures of this module, for `cmrseg.experiments.drawing`.
FIGURES = (class_examples, training_curves, mask_examples, probability_maps, structure_boxes, dice_over_cost)
