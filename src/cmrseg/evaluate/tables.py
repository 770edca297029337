"""Tables of an evaluation as flat rows, one file each. Every one of them follows from the scores of single patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore, patient_row
from cmrseg.evaluate.clinical import agreement, quantities
from cmrseg.evaluate.comparison import compare_methods
from cmrseg.evaluate.masks import Evaluation
from cmrseg.evaluate.metrics import METRICS, POOLED_METRICS, overlap
from cmrseg.evaluate.statistics import Interval, bootstrap_interval
from cmrseg.evaluate.subgroups import by_group, by_severity, severity

Row = dict[str, Any]
Evaluations = Mapping[str, Evaluation]
#: Metrics that are told for subgroups, over both phases.
SUBGROUP_METRICS = ("dice", "iou", "hd95_mm", "assd_mm", "volume_abs_error_ml")
ALL = "all"


def patient_rows(evaluations: Evaluations) -> list[Row]:
    """One row per method and patient: severity, every metric, clinical numbers of method and truth, kinds of error."""
    rows = []
    for method, evaluation in evaluations.items():
        for score in evaluation.scores:
            tags = sorted({tag.name for tag in evaluation.tags[score.case_id]})
            clinical = quantities(score)
            rows.append(
                {
                    "method": method,
                    **patient_row(score),
                    "severity": severity(score.lv_ef_truth),
                    **{key: value for key, (value, _) in clinical.items()},
                    **{f"truth_{key}": value for key, (_, value) in clinical.items()},
                    "errors": " ".join(tags),
                }
            )
    return rows


def summary_rows(evaluations: Evaluations, *, seed: int = 0) -> list[Row]:
    """One row per method, metric, structure and phase, with ``all`` for the mean of a patient's structures and phases.

    ``mean``, ``sd``, ``median``, ``worst`` and the bootstrap interval ``low`` to ``high`` are over patients; ``pooled``
    is from voxels summed over patients, for metrics that can be. ``n`` is how many patients have a value; ``n_missed``
    and ``n_false`` count masks that are missing or superfluous as a whole.
    """
    return [
        {"method": method, "metric": metric, "structure": structure, "phase": phase, **row}
        for method, evaluation in evaluations.items()
        for metric in METRICS
        for structure, phase in structures_and_phases(evaluation.scores)
        if (row := _summary(evaluation.scores, metric, structure, phase, seed))
    ]


def structures_and_phases(scores: Sequence[CineScore]) -> list[tuple[str, str]]:
    """What was labelled, in the order of tables; ``("all", "all")`` last."""
    there = {key for score in scores for key in score.structures}
    return [(s, p) for s in STRUCTURES for p in PHASES if f"{s}_{p}" in there] + [(ALL, ALL)]


def _summary(scores: Sequence[CineScore], metric: str, structure: str, phase: str, seed: int) -> Row | None:
    keys = None if structure == ALL else [f"{structure}_{phase}"]
    values = [value for score in scores if (value := score.macro(metric, keys)) is not None]
    if not values:
        return None
    masks = [m for s in scores for key, m in s.structures.items() if keys is None or key in keys]
    pooled = (
        float(overlap(np.sum([s.counts(keys) for s in scores], axis=0))[metric]) if metric in POOLED_METRICS else None
    )
    return {
        **mean_row(values, seed=seed),
        "median": float(np.median(values)),
        "worst": _worst(metric, values),
        "pooled": pooled,
        "n_missed": sum(m.missed for m in masks),
        "n_false": sum(m.invented for m in masks),
    }


def _worst(metric: str, values: Sequence[float]) -> float:
    better = METRICS[metric].better
    return min(values) if better == "higher" else max(values, key=abs)


def mean_row(values: Sequence[float], *, seed: int = 0) -> Row:
    """``n``, ``mean``, ``sd``, bootstrap interval ``low`` to ``high`` and its method; None where n is too small.

    Args:
        values: one per patient, not empty.
        seed: of the bootstrap.
    """
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    interval = bootstrap_interval(values, seed=seed)
    return {"n": len(values), "mean": float(np.mean(values)), "sd": sd, **_limits("", interval)} | {
        "interval": interval.method if interval else None
    }


def agreement_rows(evaluations: Evaluations, *, seed: int = 0) -> list[Row]:
    """One row per method and clinical number: see `cmrseg.evaluate.clinical.Agreement`."""
    rows = []
    for method, evaluation in evaluations.items():
        for found in agreement(evaluation.scores, seed=seed):
            row = {k: v for k, v in asdict(found).items() if k not in ("bland_altman", "abs_error_interval")}
            row |= _limits("mean_abs_error_", found.abs_error_interval)
            if found.bland_altman:
                limits = found.bland_altman
                row |= {"sd_of_errors": limits.sd, "limit_low": limits.low, "limit_high": limits.high}
                row |= _limits("bias_", limits.bias_interval)
                row |= _limits("limit_low_", limits.low_interval) | _limits("limit_high_", limits.high_interval)
            rows.append({"method": method, **row})
    return rows


def comparison_rows(evaluations: Evaluations, *, seed: int = 0) -> list[Row]:
    """Every two methods: one row per test, p values adjusted by Holm over all of them; empty for one method."""
    scores = {name: evaluation.scores for name, evaluation in evaluations.items()}
    return [comparison.row() for comparison in compare_methods(scores, seed=seed)]


def subgroup_rows(evaluations: Evaluations, *, seed: int = 0) -> list[Row]:
    """One row per method, subgroup, metric and structure, over both phases, with bootstrap intervals.

    ``division`` is ``diagnosis`` or ``severity``; the errors of both ejection fractions stand under the metric
    ``ef_abs_error_points``.
    """
    rows = []
    for method, evaluation in evaluations.items():
        for division, groups in (
            ("diagnosis", by_group(evaluation.scores)),
            ("severity", by_severity(evaluation.scores)),
        ):
            for group, members in groups.items():
                first = {"method": method, "division": division, "group": group, "patients": len(members)}
                rows += [first | row for row in _subgroup(members, seed)]
    return rows


def _subgroup(members: Sequence[CineScore], seed: int) -> Iterable[Row]:
    for metric in SUBGROUP_METRICS:
        for structure in (*STRUCTURES, ALL):
            keys = None if structure == ALL else [f"{structure}_{phase}" for phase in PHASES]
            values = [value for score in members if (value := score.macro(metric, keys)) is not None]
            if values:
                yield {"metric": metric, "structure": structure, **mean_row(values, seed=seed)}
    for side in ("lv", "rv"):
        errors = [abs(error) for s in members if np.isfinite(error := getattr(s, f"{side}_ef_error"))]
        if errors:
            yield {"metric": "ef_abs_error_points", "structure": f"{side}_cavity", **mean_row(errors, seed=seed)}


def error_rows(evaluations: Evaluations) -> list[Row]:
    """One row per error that was found: method, patient, its name, structure, phase, how much."""
    return [
        {
            "method": method,
            "case_id": case_id,
            "error": tag.name,
            **{k: v for k, v in asdict(tag).items() if k != "name"},
        }
        for method, evaluation in evaluations.items()
        for case_id, tags in evaluation.tags.items()
        for tag in tags
    ]


def _limits(prefix: str, interval: Interval | None) -> Row:
    return {f"{prefix}low": interval.low if interval else None, f"{prefix}high": interval.high if interval else None}
