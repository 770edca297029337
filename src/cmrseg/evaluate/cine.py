"""How well a cine pipeline does on labelled patients, through the same `segment` that analysis uses."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.evaluate.metrics import EMPTY_MASKS, METRICS, POOLED_METRICS, EmptyMasks, MaskScore, overlap, score_mask
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import write_text
from cmrseg.labels import CINE
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Segmentation, Study

PHASES = ("ed", "es")
#: Smaller numbers than this, such as p values, are written with four digits instead of four decimals.
_SMALL = 1e-3
STRUCTURES = ("lv_cavity", "rv_cavity", "lv_myocardium")
Load = Callable[[Case], tuple[Study, Truth]]


@dataclass(frozen=True)
class CineScore:
    """One patient.

    Args:
        case_id: the patient.
        group: diagnostic group.
        structures: every metric per structure and phase, by ``"lv_cavity_ed"``; without ES where one frame is labelled.
        lv_ef_error: predicted minus true LVEF in percent points, at the frames the truth names. A ventricle that was
            missed at end-diastole counts as one of 0 %; NaN only where the truth itself has no LVEF.
        rv_ef_error: the same for the right ventricle.
        lv_ef_truth: LVEF of the truth in percent; NaN where it has none.
        rv_ef_truth: the same for the right ventricle.
        label_accuracy: share of voxels of all labelled frames whose label is right, 0..1.
        trivial_accuracy: the same for labels that say background everywhere.
        refused: the reason, when no heart was found; it is scored as masks that are empty.
    """

    case_id: str
    group: str
    structures: Mapping[str, MaskScore]
    lv_ef_error: float
    rv_ef_error: float
    lv_ef_truth: float = np.nan
    rv_ef_truth: float = np.nan
    label_accuracy: float = 0.0
    trivial_accuracy: float = 0.0
    refused: str = ""

    @property
    def dice(self) -> dict[str, float]:
        """3-D Dice per structure and phase; a correct absence that the policy leaves out is not there."""
        values = {key: score.values["dice"] for key, score in self.structures.items()}
        return {key: value for key, value in values.items() if value is not None}

    def macro(self, metric: str, keys: Sequence[str] | None = None) -> float | None:
        """Mean of a metric over structures and phases (over `keys`); None where none of them has a value."""
        chosen = [self.structures[k].values[metric] for k in keys or self.structures if k in self.structures]
        values = [value for value in chosen if value is not None]
        return float(np.mean(values)) if values else None

    def counts(self, keys: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Voxels TP, FP, FN, TN summed over structures and phases (over `keys`), int64[4]."""
        chosen = [self.structures[k].counts for k in keys or self.structures if k in self.structures]
        total: NDArray[np.int64] = np.array(chosen, np.int64).reshape(-1, 4).sum(axis=0)
        return total


def score_case(case: Case, load: Load, pipeline: Pipeline, policy: EmptyMasks = EMPTY_MASKS) -> CineScore:
    """Segment one patient and compare with its masks; a refused patient is scored as one with empty masks."""
    study, truth = load(case)
    try:
        return compare(case, segment(study.images[0], pipeline), truth, policy)
    except InputRefused as error:
        return score_missing(case, truth, error.code, policy)


def score_missing(case: Case, truth: Truth, reason: str, policy: EmptyMasks = EMPTY_MASKS) -> CineScore:
    """Score of a patient whom a method gave nothing for: every structure is missed."""
    empty = np.zeros_like(truth.labels)
    return replace(compare_frames(case, empty, truth, policy), refused=reason)


def compare(case: Case, result: Segmentation, truth: Truth, policy: EmptyMasks = EMPTY_MASKS) -> CineScore:
    """Compare the segmentation of a cine with a patient's masks, at the frames that the truth names."""
    return compare_frames(case, result.labels[list(truth.frames)], truth, policy)


def compare_frames(
    case: Case, found_KZYX: NDArray[np.uint8], truth: Truth, policy: EmptyMasks = EMPTY_MASKS
) -> CineScore:
    """Compare masks of the labelled frames with the truth.

    Args:
        case: the patient.
        found_KZYX: uint8 in numbers of `labels.CINE`, one stack for each of the truth's frames, in their order.
        truth: masks of the patient.
        policy: what empty masks give.
    """
    spacing_zyx_mm = truth.geometry.spacing_xyz_mm[::-1]
    phases = labelled_phases(truth)
    structures = {
        f"{name}_{phase}": score_mask(
            found_KZYX[k] == CINE[name], truth.labels[k] == CINE[name], spacing_zyx_mm, policy
        )
        for phase, k in phases.items()
        for name in STRUCTURES
    }
    fractions = {name: _ejection_fractions(structures, name) for name in ("lv_cavity", "rv_cavity")}
    frames = list(phases.values())
    return CineScore(
        case.case_id,
        case.group,
        structures,
        lv_ef_error=fractions["lv_cavity"][0] - fractions["lv_cavity"][1],
        rv_ef_error=fractions["rv_cavity"][0] - fractions["rv_cavity"][1],
        lv_ef_truth=fractions["lv_cavity"][1],
        rv_ef_truth=fractions["rv_cavity"][1],
        label_accuracy=float(np.mean(found_KZYX[frames] == truth.labels[frames])),
        trivial_accuracy=float(np.mean(truth.labels[frames] == 0)),
    )


def labelled_phases(truth: Truth) -> dict[str, int]:
    """Which of the labelled frames is end-diastole and which end-systole, by ``"ed"`` and ``"es"``.

    The largest LV cavity of the truth is end-diastole, the smallest end-systole: data sets store them in either order.
    Where they are equal the first is end-diastole and the last end-systole. A single frame counts as end-diastole.
    """
    sizes = (truth.labels == CINE["lv_cavity"]).sum(axis=(1, 2, 3))
    if len(sizes) == 1:
        return {"ed": 0}
    return {"ed": int(sizes.argmax()), "es": len(sizes) - 1 - int(sizes[::-1].argmin())}


def _ejection_fractions(structures: Mapping[str, MaskScore], name: str) -> tuple[float, float]:
    """EF of the prediction and of the truth in percent; NaN for both where the truth has none."""
    ed, es = structures[f"{name}_ed"], structures.get(f"{name}_es")
    if es is None or not ed.truth_volume_ml > 0:
        return np.nan, np.nan
    expected = 100.0 * (ed.truth_volume_ml - es.truth_volume_ml) / ed.truth_volume_ml
    # Of however small a prediction: `quantify` gives none under 10 mL, which here would drop a miss from the mean.
    return 100.0 * (ed.volume_ml - es.volume_ml) / ed.volume_ml if ed.volume_ml > 0 else 0.0, expected


def score(cases: Iterable[Case], load: Load, pipeline: Pipeline) -> list[CineScore]:
    """Score every case."""
    return [score_case(case, load, pipeline) for case in cases]


def summarise(scores: Sequence[CineScore]) -> dict[str, float]:
    """Means over patients, with SD of the per-patient mean Dice; refused patients count as missed and are counted.

    ``<metric>_mean`` is the mean over patients of the mean over structures and phases; ``<metric>_pooled`` comes from
    voxels summed over patients, structures and phases.
    """
    result: dict[str, float] = {"n": len(scores), "n_refused": sum(bool(s.refused) for s in scores)}
    for key in dict.fromkeys(key for s in scores for key in s.dice):
        result[f"dice_{key}"] = float(np.mean([s.dice[key] for s in scores if key in s.dice]))
    means = np.array([np.mean(list(s.dice.values())) for s in scores if s.dice])
    result |= {"dice_mean": float(means.mean()), "dice_sd": float(means.std(ddof=1)) if len(means) > 1 else 0.0}
    result["dice_worst"] = float(means.min())
    for side in ("lv", "rv"):
        errors = np.array([getattr(s, f"{side}_ef_error") for s in scores])
        errors = errors[np.isfinite(errors)]
        if errors.size:
            result[f"{side}_ef_mae_points"] = float(np.abs(errors).mean())
            result[f"{side}_ef_bias_points"] = float(errors.mean())
            result[f"{side}_ef_sd_points"] = float(errors.std(ddof=1)) if errors.size > 1 else 0.0
    for metric in METRICS:
        values = [value for s in scores if (value := s.macro(metric)) is not None]
        if values and metric != "dice":
            result[f"{metric}_mean"] = float(np.mean(values))
    pooled = overlap(np.sum([s.counts() for s in scores], axis=0))
    result |= {f"{metric}_pooled": float(pooled[metric]) for metric in POOLED_METRICS}
    every = [m for s in scores for m in s.structures.values()]
    return result | {"n_missed": sum(m.missed for m in every), "n_false": sum(m.invented for m in every)}


def patient_row(score: CineScore) -> dict[str, str | float | None]:
    """All that is known of one patient, flat; None where there is no value.

    Keys: ``case_id``, ``group``, ``refused``, EF in percent and its errors in points, ``<metric>_<structure>_<phase>``,
    ``<metric>_mean`` over structures and phases, ``<metric>_pooled`` over their voxels, ``n_missed``, ``n_false``.
    """
    fractions = {
        "lv_ef_truth_percent": score.lv_ef_truth,
        "lv_ef_error_points": score.lv_ef_error,
        "rv_ef_truth_percent": score.rv_ef_truth,
        "rv_ef_error_points": score.rv_ef_error,
    }
    pooled = overlap(score.counts())
    masks = score.structures.values()
    return {
        "case_id": score.case_id,
        "group": score.group,
        "refused": score.refused,
        **{key: value if np.isfinite(value) else None for key, value in fractions.items()},
        "label_accuracy": score.label_accuracy,
        "label_trivial_accuracy": score.trivial_accuracy,
        **{f"{m}_{key}": mask.values[m] for m in METRICS for key, mask in score.structures.items()},
        **{f"{m}_mean": score.macro(m) for m in METRICS},
        **{f"{m}_pooled": float(pooled[m]) for m in POOLED_METRICS},
        "n_missed": sum(mask.missed for mask in masks),
        "n_false": sum(mask.invented for mask in masks),
    }


def write_scores(scores: Sequence[CineScore], path: Path) -> None:
    """One row per patient, as CSV: Dice under the bare names of structure and phase, then all else of `patient_row`."""
    rows = []
    for s in scores:
        first = {
            "case_id": s.case_id,
            "group": s.group,
            **s.dice,
            "lv_ef_error_points": None,
            "rv_ef_error_points": None,
            "refused": s.refused,
        }
        rows.append(first | {k: v for k, v in patient_row(s).items() if k.removeprefix("dice_") not in s.dice})
    write_rows(rows, path)


def write_rows(rows: Sequence[Mapping[str, str | float | None]], path: Path) -> None:
    """Rows as CSV, columns in order of their first appearance; a cell is empty where a row has no value."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    write_text(path, table.getvalue())


def _cell(value: str | float | None) -> str | float | None:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if abs(value) < _SMALL else round(value, 4)
