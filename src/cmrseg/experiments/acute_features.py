"""Acute or chronic: how well features of scar tell them apart, on generated cohorts.

The paper says that solidity and circularity separate acute from chronic infarcts (Moafi et al., arXiv 2506.21151), on
patients who are not public. Here infarcts are generated: an acute one is large, goes through the wall, fades at its
border, and mostly has a dark core. What is measured is how much of what the generator put in comes out again through
masks, features and a classifier; of patients it says nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from cmrseg.errors import UsageError
from cmrseg.evaluate.statistics import Interval, bootstrap_interval
from cmrseg.experiments.cohorts import make_cohorts
from cmrseg.features import features_of
from cmrseg.io.datasets import cohorts
from cmrseg.quantify.scar import find_scar
from cmrseg.study import Image, Segmentation

NAME = "yolosam-acute-features"
TITLE = "Acute or chronic by features of scar, on generated cohorts"
#: Pairs of one cohort of acute and one of chronic infarcts, each cohort with a scanner of its own.
PAIRS = {"tiny": 5, "cpu": 10, "full": 10}
FOLDS = 5
#: Weight of the squared coefficients of standardised features.
PENALTY = 1.0
SHAPE = ("scar_solidity", "scar_circularity")
SETS: Mapping[str, tuple[str, ...]] = {
    "solidity and circularity": SHAPE,
    "shape": (*SHAPE, "scar_eccentricity", "scar_components", "scar_perimeter_per_area_per_mm", "scar_largest_percent"),
    "size": ("scar_percent", "scar_transmurality_mean_percent", "scar_transmurality_max_percent", "scar_slices"),
    "brightness": (
        "scar_intensity_mean_sd",
        "scar_intensity_spread_sd",
        "scar_intensity_skewness",
        "scar_intensity_entropy_bits",
        "scar_dark_percent",
    ),
}
ALL: tuple[str, ...] = tuple(dict.fromkeys(key for keys in SETS.values() for key in keys))
#: Masks that features are read from.
MASKS = ("drawn", "gmm")

Floats = NDArray[np.float64]
Report = Callable[[str], None]


@dataclass(frozen=True)
class ScarPatient:
    """Features of one generated patient."""

    case_id: str
    """Folder."""
    pair: str
    """Number of the cohort in its pair's name."""
    acute: bool
    """What the generator made."""
    masks: str
    """One of `MASKS`: as generated, or found by that method in the muscle as generated."""
    features: Mapping[str, float | None]
    """Of the stack."""


@dataclass(frozen=True)
class FeatureResult:
    """One line of the table."""

    masks: str
    """See `ScarPatient.masks`."""
    features: str
    """Name of the set."""
    held_out: str
    """What one fold leaves out: ``patients``, a fifth of them; or ``cohorts``, a pair of an acute and a chronic one."""
    patients: int
    """Patients with scar."""
    acute: int
    """Those of them who are acute."""
    auc: float
    """Area under the receiver operating characteristic of scores of patients who did not train."""
    auc_low: float
    """95 % interval, bootstrap over patients."""
    auc_high: float
    """The same."""


def run_acute_features(cine: Path | None, out: Path, scale: str, seed: int, report: Report) -> list[FeatureResult]:
    """Generate cohorts, measure their features, classify them by cross-validation, and write table.md and tables.

    Args:
        cine: labelled cines that LGE is generated from, each once; None for synthetic hearts.
        out: folder of the experiment; cohorts that are there stay.
        scale: ``tiny``, ``cpu`` or ``full``.
        seed: of the folds.
        report: takes lines of progress.

    Raises:
        UsageError: no such scale.
    """
    if scale not in PAIRS:
        raise UsageError(f"There is no scale {scale!r}.", f"Scales: {', '.join(PAIRS)}.")
    names = [f"{state}-{k + 1}" for k in range(PAIRS[scale]) for state in ("chronic", "acute")]
    root = make_cohorts(out / "cohorts", names, cine)
    patients = [patient for case in cohorts.cases(root) for patient in _measured(case.path, case.group)]
    report(f"{len(patients) // len(MASKS)} patients generated")
    results = [result for masks in MASKS for result in classify(masks, patients, seed)]
    _write(patients, results, out)
    return results


def _measured(folder: Path, group: str) -> list[ScarPatient]:
    image, truth = cohorts.read(folder).images[0], cohorts.truth(folder)
    drawn = Segmentation(truth.labels, truth.scheme, image.geometry)
    state, _, pair = group.partition("-")
    found = {"drawn": drawn, "gmm": _found(image, drawn)}
    return [
        ScarPatient(f"{group}-{folder.name}", pair, state == "acute", masks, features_of(found[masks], image))
        for masks in MASKS
    ]


def _found(image: Image, drawn: Segmentation) -> Segmentation:
    return find_scar(image, drawn, "gmm")


def classify(masks: str, patients: Sequence[ScarPatient], seed: int) -> list[FeatureResult]:
    """A line for every set of features and way of leaving out, of the patients whose scar has a shape.

    Raises:
        UsageError: fewer than two acute or two chronic patients.
    """
    chosen = [p for p in patients if p.masks == masks and p.features["scar_solidity"] is not None]
    acute = np.array([p.acute for p in chosen], bool)
    if min(acute.sum(), (~acute).sum()) < 2:
        raise UsageError("Too few patients have scar to be told apart.", "Run it at a larger scale.")
    pairs = np.unique([p.pair for p in chosen], return_inverse=True)[1]
    ways = {"patients": dealt(acute, FOLDS, seed), "cohorts": pairs.astype(np.int64)}
    results = []
    for name, keys in {**SETS, "all": ALL}.items():
        values = np.array([[np.nan if p.features[k] is None else p.features[k] for k in keys] for p in chosen], float)
        for held_out, folds in ways.items():
            scores = out_of_fold(values, acute, folds)
            area, interval = auc(scores, acute), auc_interval(scores, acute, seed)
            results.append(
                FeatureResult(masks, name, held_out, len(chosen), int(acute.sum()), area, interval.low, interval.high)
            )
    return results


def dealt(acute: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of every patient, acute and chronic ones dealt out in turn."""
    random, result = np.random.default_rng(seed), np.zeros(len(acute), np.int64)
    for state in (False, True):
        members = random.permutation(np.flatnonzero(acute == state))
        result[members] = np.arange(len(members)) % folds
    return result


def out_of_fold(values_NF: Floats, acute: NDArray[np.bool_], folds: NDArray[np.int64]) -> Floats:
    """Log odds of being acute, each patient's from a classifier that was fitted without their fold.

    Args:
        values_NF: features; NaN where not known, which becomes the training patients' median.
        acute: what is to be told.
        folds: number of each patient's fold.
    """
    scores = np.zeros(len(acute))
    for fold in np.unique(folds):
        training, left_out = folds != fold, folds == fold
        middle = np.nan_to_num(np.nanmedian(values_NF[training], axis=0))
        filled = np.where(np.isnan(values_NF), middle, values_NF)
        mean, sd = filled[training].mean(axis=0), filled[training].std(axis=0)
        standard = (filled - mean) / np.where(sd > 0, sd, 1.0)
        weights = fit_logistic(standard[training], acute[training])
        scores[left_out] = standard[left_out] @ weights[1:] + weights[0]
    return scores


def fit_logistic(values_NF: Floats, acute: NDArray[np.bool_]) -> Floats:
    """Logistic regression: bias, then coefficients, whose squares cost `PENALTY` / 2 each."""
    inputs = np.column_stack([np.ones(len(values_NF)), values_NF])
    signs = np.where(acute, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = signs * (inputs @ weights)
        slopes = PENALTY * np.concatenate([[0.0], weights[1:]])
        value = float(np.logaddexp(0, -margin).sum() + 0.5 * (slopes @ weights))
        return value, -inputs.T @ (signs * expit(-margin)) + slopes

    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B")
    result: Floats = np.asarray(found.x, np.float64)
    return result


def auc(scores: Floats, acute: NDArray[np.bool_]) -> float:
    """Chance that an acute patient has a higher score than a chronic one, ties counting half (Mann and Whitney)."""
    return float(_auc_of(np.column_stack([scores, acute])[None], axis=1)[0])


def auc_interval(scores: Floats, acute: NDArray[np.bool_], seed: int) -> Interval:
    """95 % interval, bootstrap over patients; the classifiers are not fitted again, so that it is rather too narrow."""
    interval = bootstrap_interval(np.column_stack([scores, acute]), _auc_of, method="percentile", seed=seed)
    if interval is None:
        raise UsageError("One patient has no interval.", "Run it at a larger scale.")
    return interval


def _auc_of(rows_BN2: Floats, axis: int) -> Floats:
    """AUC of each of B samples; a sample of one kind alone tells nothing: 0.5."""
    del axis
    ranks = rankdata(rows_BN2[..., 0], axis=1)
    acute = rows_BN2[..., 1] > 0.5
    n, m = acute.sum(axis=1), (~acute).sum(axis=1)
    u = (ranks * acute).sum(axis=1) - n * (n + 1) / 2
    result: Floats = np.where((n > 0) & (m > 0), u / np.maximum(n * m, 1), 0.5)
    return result


def _write(patients: Sequence[ScarPatient], results: Sequence[FeatureResult], out: Path) -> None:
    with (out / "features.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        keys = [*patients[0].features]
        writer.writerow(["id", "pair", "acute", "masks", *keys])
        writer.writerows(
            [p.case_id, p.pair, int(p.acute), p.masks, *(p.features[key] for key in keys)] for p in patients
        )
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [f.name for f in fields(FeatureResult)])
        rows.writeheader()
        rows.writerows(asdict(result) for result in results)
    (out / "table.md").write_text(table_text(results), encoding="utf-8")


def table_text(results: Sequence[FeatureResult]) -> str:
    """The table as Markdown, with what it can and cannot say."""
    lines = "\n".join(
        f"| {r.masks} | {r.features} | {r.held_out} | {r.auc:.3f} | {r.auc_low:.3f} to {r.auc_high:.3f} | "
        f"{r.patients} | {r.acute} |"
        for r in results
    )
    return f"""\
# {TITLE}

Infarcts are generated: acute ones larger, through the wall, with a border that fades, three of four with a dark core.
The area under the curve tells how much of that is found again; of patients it says nothing. Patients without scar are
left out.

| masks | features | held out | AUC | 95 % interval | patients | acute |
|---|---|---|---|---|---|---|
{lines}

Masks: as generated (MyoPS's numbers, no-reflow being scar), or scar found by `gmm` in the muscle as generated. Ridge
logistic regression; every patient scored by a classifier fitted without their fold: one of {FOLDS} parts of the
patients, or a pair of an acute and a chronic cohort. Each cohort has a scanner of its own, by which a classifier may
know patients of cohorts that it trained on: the lines with cohorts held out are those to believe. A classifier that
learnt nothing scores below 0.5 more often than above, because folds are left out in turn.
"""
