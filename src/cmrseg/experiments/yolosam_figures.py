"""Figures of the detector and SAM: curves over errors of boxes and weights of losses. Needs matplotlib.

No figure shows a patient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cmrseg.experiments.views import Trained
from cmrseg.experiments.yolosam import GRID_WEIGHTS, ORACLE, SIGMAS_PX
from cmrseg.experiments.yolosam_boxes import AMOUNTS, UNITS
from cmrseg.experiments.yolosam_views import box_error_table, noise_table

Rows = Mapping[str, Trained]
_MEASURES = {"dice_scar_with_scar": "Dice of scar", "perimeter_similarity": "perimeter similarity"}


def kl_curves(rows: Rows, _data: Path) -> Figure:
    """Dice and perimeter similarity over the weight of the divergence, automatic and ORACLE."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for panel, (measure, label) in zip(figure.subplots(1, 2), _MEASURES.items(), strict=True):
        for oracle in (False, True):
            points = sorted(
                (float(match[1]), row.result.measured.get(measure, np.nan))
                for name, row in rows.items()
                if (match := re.match(r"KL ([\d.]+)", name)) and row.result.oracle == oracle
            )
            panel.plot(*zip(*points, strict=True), marker="o", label=ORACLE if oracle else "automatic")
        panel.set(xlabel="weight of KL", ylabel=label, ylim=(0, 1))
    figure.axes[0].legend()
    return figure


def box_error_curves(rows: Rows, _data: Path) -> Figure:
    """Dice, perimeter similarity and loss over the errors of true boxes."""
    records = box_error_table(rows).records
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(AMOUNTS), sharey="row")
    for k, (kind, unit) in enumerate(UNITS.items()):
        own = [r for r in records if r["error of boxes"] == kind]
        amounts = [_number(r["amount"]) for r in own]
        for head, marker in (("ORACLE, Dice %", "o"), ("ORACLE, outline %", "s")):
            axes[0][k].plot(
                amounts, [_number(r[head]) for r in own], marker=marker, label=head.removeprefix("ORACLE, ")
            )
        axes[1][k].plot(amounts, [_number(r["loss"]) for r in own], marker="o", color="C2")
        axes[0][k].set_title(f"true boxes: {kind}")
        axes[0][k].set_ylim(0, 100)
        axes[1][k].set_xlabel(unit)
    axes[0][0].legend()
    axes[1][0].set_ylabel("loss of the masks")
    return figure


def sigma_kl_map(rows: Rows, _data: Path) -> Figure:
    """Dice and perimeter similarity over width of the soft labels and weight of the divergence."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for panel, (measure, label) in zip(figure.subplots(1, 2), _MEASURES.items(), strict=True):
        values = np.array(
            [
                [100 * rows[f"sigma {s} px, KL {w:g}"].result.measured.get(measure, np.nan) for w in GRID_WEIGHTS]
                for s in SIGMAS_PX
            ]
        )
        panel.imshow(values, cmap="viridis")
        for (line, column), value in np.ndenumerate(values):
            panel.text(column, line, f"{value:.1f}", ha="center", va="center", color="white")
        panel.set_xticks(range(len(GRID_WEIGHTS)), [f"{w:g}" for w in GRID_WEIGHTS])
        panel.set_yticks(range(len(SIGMAS_PX)), [str(s) for s in SIGMAS_PX])
        panel.set(xlabel="weight of KL", ylabel="sigma, px of 1.4 mm", title=f"{label}, %")
    return figure


def noise_bars(rows: Rows, _data: Path) -> Figure:
    """Gain in Dice by the divergence for each kind of wrong training labels, with its interval over patients."""
    records = noise_table(rows).records
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    panel = figure.subplots()
    gains, low, high = (np.array([_number(r[key]) for r in records]) for key in ("gain, points", "low", "high"))
    panel.bar(range(len(records)), gains, yerr=np.stack([gains - low, high - gains]).clip(0), capsize=4)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xticks(range(len(records)), [str(r["training labels"]) for r in records])
    panel.set(xlabel="training labels", ylabel="gain in Dice by KL, points")
    return figure


def _number(value: str | float | None) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


#: Figures of this module, for `cmrseg.experiments.drawing`.
FIGURES = (kl_curves, box_error_curves, sigma_kl_map, noise_bars)
