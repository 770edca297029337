"""How well a cine pipeline does on labelled patients, through the same `segment` that analysis uses."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrseg.errors import InputRefused
from cmrseg.evaluate.metrics import dice
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Segmentation, Study

PHASES = ("ed", "es")
STRUCTURES = ("lv_cavity", "rv_cavity", "lv_myocardium")
Load = Callable[[Case], tuple[Study, Truth]]


@dataclass(frozen=True)
class CineScore:
    """One patient.

    Args:
        case_id: the patient.
        group: diagnostic group.
        dice: 3-D Dice per structure and phase, by ``"lv_cavity_ed"``.
        lv_ef_error: predicted minus true LVEF in percent points, at the frames the truth names.
        rv_ef_error: the same for the right ventricle.
        refused: the reason, when no heart was found; every Dice is 0 then.
    """

    case_id: str
    group: str
    dice: dict[str, float]
    lv_ef_error: float
    rv_ef_error: float
    refused: str = ""


def score_case(case: Case, load: Load, pipeline: Pipeline) -> CineScore:
    """Segment one patient and compare with its masks; a refused patient scores 0."""
    study, truth = load(case)
    try:
        return compare(case, segment(study.images[0], pipeline), truth)
    except InputRefused as error:
        keys = [f"{s}_{p}" for p in PHASES for s in STRUCTURES]
        return CineScore(case.case_id, case.group, dict.fromkeys(keys, 0.0), np.nan, np.nan, error.code)


def compare(case: Case, result: Segmentation, truth: Truth) -> CineScore:
    """Compare a segmentation with the masks of a patient's first (ED) and last (ES) labelled frame."""
    pairs = [(result.labels[truth.frames[k]], truth.labels[k]) for k in (0, -1)]
    scores = {
        f"{name}_{phase}": dice(found == CINE[name], expected == CINE[name])
        for phase, (found, expected) in zip(PHASES, pairs, strict=True)
        for name in STRUCTURES
    }
    errors = {}
    for name in ("lv_cavity", "rv_cavity"):
        found_sizes, expected_sizes = ([int((m[k] == CINE[name]).sum()) for m in pairs] for k in (0, 1))
        errors[name] = _ejection_fraction(found_sizes) - _ejection_fraction(expected_sizes)
    return CineScore(case.case_id, case.group, scores, errors["lv_cavity"], errors["rv_cavity"])


def _ejection_fraction(sizes: Sequence[int]) -> float:
    # Of however small a prediction: `quantify` gives none under 10 mL, which here would drop a miss from the mean.
    return 100.0 * (sizes[0] - sizes[1]) / sizes[0] if sizes[0] else np.nan


def score(cases: Iterable[Case], load: Load, pipeline: Pipeline) -> list[CineScore]:
    """Score every case."""
    return [score_case(case, load, pipeline) for case in cases]


def summarise(scores: Sequence[CineScore]) -> dict[str, float]:
    """Means over patients, with SD of the per-patient mean Dice; refused patients count with Dice 0 and are counted."""
    result: dict[str, float] = {"n": len(scores), "n_refused": sum(bool(s.refused) for s in scores)}
    for key in scores[0].dice:
        result[f"dice_{key}"] = float(np.mean([s.dice[key] for s in scores]))
    means = np.array([np.mean(list(s.dice.values())) for s in scores])
    result |= {"dice_mean": float(means.mean()), "dice_sd": float(means.std(ddof=1)) if len(means) > 1 else 0.0}
    result["dice_worst"] = float(means.min())
    for side in ("lv", "rv"):
        errors = np.array([getattr(s, f"{side}_ef_error") for s in scores])
        errors = errors[np.isfinite(errors)]
        if errors.size:
            result[f"{side}_ef_mae_points"] = float(np.abs(errors).mean())
            result[f"{side}_ef_bias_points"] = float(errors.mean())
            result[f"{side}_ef_sd_points"] = float(errors.std(ddof=1)) if errors.size > 1 else 0.0
    return result


def write_scores(scores: Sequence[CineScore], path: Path) -> None:
    """One row per patient, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case_id", "group", *scores[0].dice, "lv_ef_error_points", "rv_ef_error_points", "refused"])
        for s in scores:
            row = [f"{v:.4f}" for v in s.dice.values()] + [f"{s.lv_ef_error:.2f}", f"{s.rv_ef_error:.2f}", s.refused]
            writer.writerow([s.case_id, s.group, *row])
