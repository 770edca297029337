"""Volumes, ejection fractions and mass of a method beside those of the truth: bias, limits, correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmrseg.evaluate.cine import CineScore
from cmrseg.evaluate.statistics import (
    BlandAltman,
    Interval,
    bland_altman,
    bootstrap_interval,
    concordance,
    intraclass,
    pearson,
)
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML

#: Label and unit by key; the keys are those of measurements.json. All at the frames that the truth names.
QUANTITIES: Mapping[str, tuple[str, str]] = {
    "lv_edv_ml": ("LV EDV", "mL"),
    "lv_esv_ml": ("LV ESV", "mL"),
    "lv_sv_ml": ("LV SV", "mL"),
    "lv_ef_percent": ("LV EF", "points"),
    "lv_mass_g": ("LV mass, ED", "g"),
    "rv_edv_ml": ("RV EDV", "mL"),
    "rv_esv_ml": ("RV ESV", "mL"),
    "rv_sv_ml": ("RV SV", "mL"),
    "rv_ef_percent": ("RV EF", "points"),
}


@dataclass(frozen=True)
class Agreement:
    """One quantity of a method beside the truth.

    Args:
        key: of `QUANTITIES`.
        n: patients whose truth has it.
        truth_mean: mean of the truth.
        truth_sd: SD of the truth; 0 for one patient.
        mean_error: of method minus truth: the bias.
        mean_abs_error: the same without its sign.
        abs_error_interval: bootstrap interval of the mean absolute error; None for one patient.
        largest: the error that is farthest from 0.
        largest_case_id: whose it is.
        bland_altman: bias and limits of agreement; None for one patient.
        concordance: Lin's coefficient.
        intraclass: ICC(2,1), absolute agreement.
        pearson: correlation, blind to bias.
    """

    key: str
    n: int
    truth_mean: float
    truth_sd: float
    mean_error: float
    mean_abs_error: float
    abs_error_interval: Interval | None
    largest: float
    largest_case_id: str
    bland_altman: BlandAltman | None
    concordance: float | None
    intraclass: float | None
    pearson: float | None


def quantities(score: CineScore) -> dict[str, tuple[float, float]]:
    """Method and truth of every one of `QUANTITIES` that the truth has, for one patient.

    A ventricle that was missed has the volume 0; at end-diastole, also an ejection fraction of 0 %.
    """
    values: dict[str, tuple[float, float]] = {}
    for side in ("lv", "rv"):
        ed, es = score.structures[f"{side}_cavity_ed"], score.structures.get(f"{side}_cavity_es")
        values[f"{side}_edv_ml"] = ed.volume_ml, ed.truth_volume_ml
        if es is None:
            continue
        values[f"{side}_esv_ml"] = es.volume_ml, es.truth_volume_ml
        values[f"{side}_sv_ml"] = ed.volume_ml - es.volume_ml, ed.truth_volume_ml - es.truth_volume_ml
        truth, error = getattr(score, f"{side}_ef_truth"), getattr(score, f"{side}_ef_error")
        if np.isfinite([truth, error]).all():
            values[f"{side}_ef_percent"] = truth + error, truth
    muscle = score.structures["lv_myocardium_ed"]
    values["lv_mass_g"] = muscle.volume_ml * MYOCARDIUM_DENSITY_G_ML, muscle.truth_volume_ml * MYOCARDIUM_DENSITY_G_ML
    return {key: values[key] for key in QUANTITIES if key in values}


def agreement(scores: Sequence[CineScore], *, seed: int = 0) -> list[Agreement]:
    """How the clinical numbers of a method agree with those of the truth.

    Args:
        scores: one per patient.
        seed: of the bootstrap.

    Returns:
        One row for each of `QUANTITIES` that any patient's truth has; empty without patients.
    """
    per_patient = [(score.case_id, quantities(score)) for score in scores]
    rows = []
    for key in QUANTITIES:
        pairs = [(case_id, *values[key]) for case_id, values in per_patient if key in values]
        if pairs:
            rows.append(_agreement(key, [p[0] for p in pairs], [p[1] for p in pairs], [p[2] for p in pairs], seed))
    return rows


def _agreement(
    key: str, case_ids: Sequence[str], method: Sequence[float], truth: Sequence[float], seed: int
) -> Agreement:
    expected = np.asarray(truth)
    errors = np.asarray(method) - expected
    worst = int(np.abs(errors).argmax())
    return Agreement(
        key,
        n=len(errors),
        truth_mean=float(expected.mean()),
        truth_sd=float(expected.std(ddof=1)) if len(expected) > 1 else 0.0,
        mean_error=float(errors.mean()),
        mean_abs_error=float(np.abs(errors).mean()),
        abs_error_interval=bootstrap_interval(np.abs(errors), seed=seed),
        largest=float(errors[worst]),
        largest_case_id=case_ids[worst],
        bland_altman=bland_altman(method, truth),
        concordance=concordance(method, truth),
        intraclass=intraclass(np.column_stack([method, truth])),
        pearson=pearson(method, truth),
    )
