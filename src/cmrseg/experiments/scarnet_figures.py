"""Figures of ScarNet: class maps, training size, examples, boxes, agreement, noise. Needs matplotlib.

Pictures show patients of the data set: where its terms forbid handing them on, they stay where they were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.evaluate.lge import STRUCTURES, LgeScore
from cmrseg.evaluate.statistics import bland_altman, concordance, regression
from cmrseg.experiments import noise
from cmrseg.experiments.paper_scarnet import TRAINING_SIZES
from cmrseg.experiments.views import Trained
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LabelScheme
from cmrseg.segment.engine import find_heart, segment
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import find_cases, load_case
from cmrseg.train.predict import load_run
from cmrseg.train.run import pipeline_of_run

#: Colours that people tell apart who see no red or no green (Okabe and Ito): the outer border of the muscle, scar.
COLOURS = {"myocardium": "#009E73", "scar": "#E69F00"}
NAMES = {"myocardium": "myocardium", "scar": "scar with no-reflow"}
_FIELD_MM = 130.0
_MOST_NETWORKS = 4


@dataclass(frozen=True)
class _Patient:
    """A held-out patient and the slice with most of its scar."""

    image: Image
    truth: Truth
    z: int

    @classmethod
    def of(cls, row: Trained, data: Path, case_id: str) -> _Patient:
        """Read it as the row's training did."""
        config = TrainConfig.load(row.run / "config.json").data
        case = next(case for case in find_cases(data, config) if case.case_id == case_id)
        study, truth = load_case(case, config)
        scar, muscle = (_mask(truth.labels[0], truth.scheme, name).sum(axis=(1, 2)) for name in ("scar", "myocardium"))
        return cls(study.images[0], truth, int((scar if scar.any() else muscle).argmax()))

    def show(self, panel: Any, title: str, image: Image | None = None) -> None:
        """The slice, cut to the heart, of the patient's own image or of another one on its grid."""
        picture = (image or self.image).data[0, self.z]
        low, high = np.percentile(self.image.data[0, self.z], [1, 99])
        x_mm, y_mm, _ = self.image.geometry.spacing_xyz_mm
        row, column = ndimage.center_of_mass(self.truth.labels[0].any(axis=0))
        wide, high_mm = _FIELD_MM / 2 / x_mm, _FIELD_MM / 2 / y_mm
        panel.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=y_mm / x_mm)
        panel.set(xlim=(column - wide, column + wide), ylim=(row + high_mm, row - high_mm))
        panel.set_title(title, fontsize=9)

    def outline(self, panel: Any, labels_ZYX: NDArray[np.uint8], scheme: LabelScheme) -> None:
        """Borders of muscle and scar."""
        for name, colour in COLOURS.items():
            mask = _mask(labels_ZYX[self.z], scheme, name)
            if mask.any():
                panel.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)

    def outline_truth(self, panel: Any) -> None:
        """The same of the truth."""
        self.outline(panel, self.truth.labels[0], self.truth.scheme)

    def outline_row(self, panel: Any, row: Trained, image: Image | None = None) -> None:
        """The same of what a row's network draws; nothing where it finds no heart."""
        pipeline = pipeline_of_run(row.run)
        try:
            found = segment(image or self.image, pipeline)
        except InputRefused:
            return
        self.outline(panel, found.labels[0], found.scheme)


def _mask(labels: NDArray[np.uint8], scheme: LabelScheme, name: str) -> NDArray[np.bool_]:
    return scheme.mask(labels, *(p for p in STRUCTURES[name] if p in scheme.numbers))


def class_maps(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 3: logits and probabilities of every class that ScarNet gives the median patient's slice."""
    row = _subject(rows)
    patient = _Patient.of(row, data, _ranked(row)["median"].case_id)
    model = load_run(row.run)[1]
    pipeline = pipeline_of_run(row.run)
    spec = pipeline.segmenter.spec
    window = spec.window(patient.image.geometry, find_heart(patient.image, pipeline.locator))
    slices_ZHW = window.extract(patient.image.data[0])
    inputs = torch.from_numpy(spec.with_context(spec.normalise(slices_ZHW)))[patient.z : patient.z + 1]
    with torch.inference_mode():
        logits_KHW = model(inputs)[0]
    classes = ("background", *pipeline.scheme.foreground_names)
    figure = Figure(figsize=(2.3 * (1 + len(classes)), 5), layout="constrained")
    axes = figure.subplots(2, 1 + len(classes))
    for panel in axes.ravel():
        panel.set_axis_off()
    axes[0][0].imshow(slices_ZHW[patient.z], cmap="gray")
    axes[0][0].set_title("window", fontsize=9)
    for line, maps, label in ((0, logits_KHW, "logit"), (1, logits_KHW.softmax(0), "probability")):
        limits = {"vmin": 0, "vmax": 1} if label == "probability" else {"vmin": -8, "vmax": 8, "cmap": "coolwarm"}
        for panel, name, map_HW in zip(axes[line][1:], classes, maps.numpy(), strict=True):
            shown = panel.imshow(map_HW, **limits)
            panel.set_title(name.replace("_", " "), fontsize=9)
        figure.colorbar(shown, ax=list(axes[line]), label=label, shrink=0.8)
    return figure


def size_curves(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 4: mean Dice over the number of training patients, and how it is distributed over all sizes."""
    networks: dict[str, list[Trained]] = {}
    for name, row in rows.items():
        if "generated" not in name:
            networks.setdefault(name.split(",")[0], []).append(row)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row", width_ratios=(2, 1))
    for (curve, violins), structure in zip(axes, ("myocardium", "scar"), strict=True):
        sizes = sorted({row.result.patients_trained_on for trained in networks.values() for row in trained})
        for k, (name, trained) in enumerate(networks.items()):
            ordered = sorted(trained, key=lambda row: row.result.patients_trained_on)
            dice = [_dice(row.scores, structure) for row in ordered]
            own = [row.result.patients_trained_on for row in ordered]
            curve.plot(own, [np.mean(d) if d else np.nan for d in dice], marker="o", color=f"C{k}", label=name)
            pooled = [value for d in dice for value in d]
            if pooled:
                body = violins.violinplot([pooled], [k], showmedians=True)
                body["bodies"][0].set_facecolor(f"C{k}")
        curve.set(xlabel="patients that trained", ylabel=f"Dice of {structure}", xscale="log", ylim=(0, 1))
        curve.set_xticks(sizes, [str(n) for n in sizes])
        curve.minorticks_off()
        violins.set_xticks(range(len(networks)), list(networks))
    axes[0][0].legend()
    axes[0][0].set_title(f"same test patients for every size (the paper's grow with it, up to {TRAINING_SIZES[-1]})")
    return figure


def mask_examples(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 5: best, median and worst held-out patient of ScarNet: image, truth, masks of the networks."""
    row = _subject(rows)
    networks = _networks(rows)
    ranked = _ranked(row)
    figure = Figure(figsize=(2.4 * (2 + len(networks)), 2.6 * len(ranked)), layout="constrained")
    axes = figure.subplots(len(ranked), 2 + len(networks), squeeze=False)
    for line, (rank, score) in zip(axes, ranked.items(), strict=True):
        patient = _Patient.of(row, data, score.case_id)
        patient.show(line[0], f"{rank}: scar {100 * (score.dice('scar') or 0.0):.0f} %")
        patient.show(line[1], "truth")
        patient.outline_truth(line[1])
        for panel, (name, network) in zip(line[2:], networks.items(), strict=True):
            patient.show(panel, name)
            patient.outline_row(panel, network)
    return _with_legend(figure, axes)


def dice_boxes(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 6: Dice of myocardium and scar, and the scar's share of the muscle beside the true one."""
    figure = Figure(figsize=(4 + 0.9 * len(rows), 4.5), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, structure in zip(panels, ("myocardium", "scar"), strict=False):
        panel.boxplot([_dice(row.scores, structure) for row in rows.values()], widths=0.6)
        panel.set_title(f"Dice of {structure}", fontsize=9)
        panel.set_ylim(0, 1.02)
    shares = {"truth": [s.scar_percent_truth for s in _subject(rows).scores]}
    shares |= {name: [s.scar_percent for s in row.scores] for name, row in rows.items()}
    panels[2].boxplot(list(shares.values()), widths=0.6)
    panels[2].set_title("scar, % of myocardium", fontsize=9)
    for panel, names in zip(panels, (rows, rows, shares), strict=True):
        panel.set_xticks(range(1, len(names) + 1), list(names), rotation=60, ha="right", fontsize=7)
    return figure


def agreement_plots(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 7: for every network Bland and Altman's plot of scar mass, and found over true mass with its line."""
    networks = _networks(rows)
    figure = Figure(figsize=(8, 3.2 * len(networks)), layout="constrained")
    axes = figure.subplots(len(networks), 2, squeeze=False)
    for (left, right), (name, row) in zip(axes, networks.items(), strict=True):
        found = np.array([s.scar_mass_g for s in row.scores])
        true = np.array([s.scar_mass_truth_g for s in row.scores])
        left.scatter((found + true) / 2, found - true, s=14)
        limits = bland_altman(found, true)
        if limits is not None:
            left.axhline(limits.bias, color="black")
            for value in (limits.low, limits.high):
                left.axhline(value, color="black", linestyle=":")
        left.set(xlabel="mean of both, g", ylabel="found minus true, g", title=name)
        right.scatter(true, found, s=14)
        end = float(max(found.max(), true.max(), 1.0))
        right.plot([0, end], [0, end], color="grey", linestyle=":")
        line, ccc = regression(true, found), concordance(true, found)
        if line is not None and ccc is not None:
            right.plot([0, end], [line.intercept, line.intercept + line.slope * end], color="C1")
            right.set_title(f"y = {line.slope:.2f} x + {line.intercept:.1f}, CCC {ccc:.2f}")
        right.set(xlabel="true scar, g", ylabel="found scar, g")
    return figure


def noise_panel(rows: Mapping[str, Trained], data: Path) -> Figure:
    """Figure 8: the median patient with and without the first draw of noise, their difference, masks on both."""
    row = _subject(rows)
    case_id = _ranked(row)["median"].case_id
    patient = _Patient.of(row, data, case_id)
    number = [s.case_id for s in row.scores].index(case_id)
    with_noise = noise.noisy(patient.image, (noise.SEED, 1, number))
    networks = _networks(rows)
    columns = max(4, 1 + len(networks))
    figure = Figure(figsize=(2.4 * columns, 7.8), layout="constrained")
    axes = figure.subplots(3, columns)
    patient.show(axes[0][0], "image")
    patient.show(axes[0][1], "truth")
    patient.outline_truth(axes[0][1])
    patient.show(axes[0][2], f"noise of {noise.SIGMA}", with_noise)
    difference = with_noise.data[0, patient.z] - patient.image.data[0, patient.z]
    reach = float(np.abs(difference).max()) or 1.0
    shown = axes[0][3].imshow(difference, cmap="coolwarm", vmin=-reach, vmax=reach, aspect=axes[0][0].get_aspect())
    axes[0][3].set(xlim=axes[0][0].get_xlim(), ylim=axes[0][0].get_ylim())
    axes[0][3].set_title("difference", fontsize=9)
    figure.colorbar(shown, ax=axes[0][3], shrink=0.7)
    for line, image, label in ((axes[1], patient.image, "without"), (axes[2], with_noise, "with noise")):
        for panel, (name, network) in zip(line, networks.items(), strict=False):
            patient.show(panel, f"{name}, {label}", image)
            patient.outline_row(panel, network, image)
    return _with_legend(figure, axes)


def _subject(rows: Mapping[str, Trained]) -> Trained:
    """ScarNet, or the first row where it was not trained."""
    return rows.get("ScarNet") or next(iter(rows.values()))


def _networks(rows: Mapping[str, Trained]) -> dict[str, Trained]:
    """Rows with a network of ours."""
    trained = {name: row for name, row in rows.items() if (row.run / "config.json").exists()}
    return dict(list(trained.items())[:_MOST_NETWORKS])


def _ranked(row: Trained) -> dict[str, LgeScore]:
    """Best, median and worst patient by Dice of scar, of those who have some; of all where nobody has."""
    scores = [s for s in row.scores if s.scar_mass_truth_g > 0] or list(row.scores)
    ordered = sorted(scores, key=lambda s: -(s.dice("scar") or 0.0))
    return {"best": ordered[0], "median": ordered[len(ordered) // 2], "worst": ordered[-1]}


def _dice(scores: Sequence[LgeScore], structure: str) -> list[float]:
    """Of patients in whom the truth has the structure."""
    chosen = [s for s in scores if structure != "scar" or s.scar_mass_truth_g > 0]
    return [value for s in chosen if (value := s.dice(structure)) is not None]


def _with_legend(figure: Figure, axes: Any) -> Figure:
    from matplotlib.lines import Line2D

    for panel in np.asarray(axes).ravel():
        panel.set_axis_off()
    lines: Sequence[Any] = [Line2D([], [], color=colour) for colour in COLOURS.values()]
    figure.legend(lines, [NAMES[name] for name in COLOURS], loc="outside lower center", ncols=len(COLOURS))
    return figure


#: Figures of this module, for `cmrseg.experiments.drawing`.
FIGURES = (class_maps, size_curves, mask_examples, dice_boxes, agreement_plots, noise_panel)
