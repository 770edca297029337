"""Tables behind ScarNet's: agreement with the truth, detection, distributions, groups, and Dice under noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cmrseg.evaluate.distributions import ALPHA, compare_groups, normality
from cmrseg.evaluate.lge import LgeScore
from cmrseg.evaluate.markdown import p_value
from cmrseg.evaluate.statistics import (
    bland_altman,
    bootstrap_interval,
    coefficient_of_variation,
    concordance,
    concordance_interval,
    paired_test,
    pearson,
    regression,
)
from cmrseg.experiments import noise
from cmrseg.experiments.paper_scarnet import MANUAL_SCAR_PERCENT, SAID
from cmrseg.experiments.views import Record, Trained, View

Rows = Mapping[str, Trained]
REFERENCE = "ScarNet"
#: What is compared with the truth: unit, and both values of a patient.
QUANTITIES: Mapping[str, tuple[str, Callable[[LgeScore], tuple[float, float]]]] = {
    "scar mass": ("g", lambda s: (s.scar_mass_g, s.scar_mass_truth_g)),
    "scar, share of muscle": ("%", lambda s: (s.scar_percent, s.scar_percent_truth)),
}
_SHARE = "scar, share of muscle"


def _compared(rows: Rows) -> list[tuple[str, str, str, list[float], list[float]]]:
    """Row, quantity, unit, what was found and what is true in each patient."""
    return [
        (name, quantity, unit, *_columns([pair(s) for s in row.scores]))
        for quantity, (unit, pair) in QUANTITIES.items()
        for name, row in rows.items()
    ]


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def median_table(rows: Rows) -> View:
    """Median and quartiles of Dice, and of the scar's share of the muscle beside that of the truth."""
    records: list[Record] = []
    for quantity in ("Dice of scar", "Dice of myocardium", _SHARE):
        for name, row in rows.items():
            factor = 1.0 if quantity == _SHARE else 100.0
            values = [factor * v for v in _variables(row.scores)[quantity]]
            records.append(_quartiles(name, quantity, values, _said_quartiles(name, quantity)))
    true = [s.scar_percent_truth for row in list(rows.values())[:1] for s in row.scores]
    records.append(_quartiles("truth", _SHARE, true, MANUAL_SCAR_PERCENT))
    note = "In percent. Dice of scar is of patients who have some; ScarNet's code counts slices without any as 1."
    return View(records, (note,))


def _said_quartiles(name: str, quantity: str) -> tuple[float, float, float] | None:
    said = SAID.get(name)
    if said is None:
        return None
    return {"Dice of scar": said.scar_dice, "Dice of myocardium": said.myocardium_dice}.get(quantity, said.scar_percent)


def _quartiles(name: str, quantity: str, values: Sequence[float], said: tuple[float, float, float] | None) -> Record:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist() if values else (None, None, None)
    return {
        "row": name,
        "quantity": quantity,
        "paper: median": said[0] if said else None,
        "paper: quartiles": f"{said[1]} to {said[2]}" if said else "–",
        "median": median,
        "lower quartile": low,
        "upper quartile": high,
        "patients": len(values),
    }


def bland_altman_table(rows: Rows) -> View:
    """Bias, limits of agreement with intervals, and coefficient of variation, of mass and of the share of muscle."""
    records: list[Record] = []
    for name, quantity, unit, found, true in _compared(rows):
        limits, cov = bland_altman(found, true), coefficient_of_variation(found, true)
        said = SAID.get(name) if quantity == _SHARE else None
        records.append(
            {
                "row": name,
                "quantity": quantity,
                "unit": "points" if unit == "%" else unit,
                "paper: bias": said.bias if said else None,
                "bias": limits.bias if limits else None,
                "bias low": limits.bias_interval.low if limits else None,
                "bias high": limits.bias_interval.high if limits else None,
                "paper: limits": f"{said.limits[0]} to {said.limits[1]}" if said else "–",
                "lower limit": limits.low if limits else None,
                "lower limit low": limits.low_interval.low if limits else None,
                "lower limit high": limits.low_interval.high if limits else None,
                "upper limit": limits.high if limits else None,
                "upper limit low": limits.high_interval.low if limits else None,
                "upper limit high": limits.high_interval.high if limits else None,
                "paper: CoV %": said.cov if said else None,
                "CoV %": None if cov is None else 100 * cov,
                "patients": len(found),
            }
        )
    notes = (
        "Found minus true; limits are bias ± 1.96 SD, each with its 95 % interval. CoV: SD of the differences over the "
        "mean of both, by which the paper's own figures follow from its limits.",
        "The paper's figure 7 is of the share of the muscle, in a cohort with less scar; the text calls the same "
        "comparison one of Dice scores.",
    )
    return View(records, notes)


def concordance_table(rows: Rows) -> View:
    """Lin's coefficient with its interval, Pearson's, and the line from true to found values."""
    records: list[Record] = []
    for name, quantity, unit, found, true in _compared(rows):
        interval, line = concordance_interval(found, true), regression(true, found)
        said = SAID.get(name) if quantity == _SHARE else None
        records.append(
            {
                "row": name,
                "quantity": quantity,
                "paper: CCC": said.volume_ccc if said else None,
                "CCC": concordance(found, true),
                "CCC low": interval.low if interval else None,
                "CCC high": interval.high if interval else None,
                "r": pearson(found, true),
                "paper: R2": said.line[2] if said else None,
                "R2": line.r_squared if line else None,
                "paper: slope": said.line[0] if said else None,
                "slope": line.slope if line else None,
                "paper: intercept": said.line[1] if said else None,
                "intercept": line.intercept if line else None,
                "unit": unit,
                "patients": len(found),
            }
        )
    notes = (
        "Lin's coefficient with a bootstrap interval over patients; the line predicts what was found from what is "
        "true, and the paper's intercept is a share of the muscle.",
        "The journal's abstract has a coefficient of the scar's boundaries too, without saying what was correlated: "
        + ", ".join(f"{name} {said.boundary_ccc}" for name, said in SAID.items())
        + ".",
    )
    return View(records, notes)


def detection_table(rows: Rows) -> View:
    """Sensitivity and specificity by slices, and by voxels; the paper does not say of what its own are."""
    records: list[Record] = []
    for name, row in rows.items():
        tp, fp, fn, tn = np.sum([s.slices for s in row.scores], axis=0).tolist()
        with_scar = [s.structures["scar"].values["sensitivity"] for s in row.scores if s.scar_mass_truth_g > 0]
        found = [v for v in with_scar if v is not None]
        spared = [v for s in row.scores if (v := s.structures["scar"].values["specificity"]) is not None]
        said = SAID.get(name)
        records.append(
            {
                "row": name,
                "paper: sensitivity %": said.sensitivity if said else None,
                "slices: sensitivity %": 100 * tp / (tp + fn) if tp + fn else None,
                "slices with scar": tp + fn,
                "paper: specificity %": said.specificity if said else None,
                "slices: specificity %": 100 * tn / (tn + fp) if tn + fp else None,
                "slices without": tn + fp,
                "voxels: sensitivity %": 100 * float(np.mean(found)) if found else None,
                "voxels: specificity %": 100 * float(np.mean(spared)) if spared else None,
            }
        )
    notes = (
        "A slice counts as one with scar from the first voxel on. Over voxels, mean of patients, sensitivity of "
        "those with scar; specificity there is near 100 whatever is drawn, since nearly all of a picture is not scar.",
    )
    return View(records, notes)


def _variables(scores: Sequence[LgeScore]) -> dict[str, list[float]]:
    """What the paper tests for its distribution."""
    return {
        "Dice of scar": [d for s in scores if s.scar_mass_truth_g > 0 and (d := s.dice("scar")) is not None],
        "Dice of myocardium": [d for s in scores if (d := s.dice("myocardium")) is not None],
        "scar mass": [s.scar_mass_g for s in scores],
        _SHARE: [s.scar_percent for s in scores],
        "error of scar mass": [s.scar_mass_g - s.scar_mass_truth_g for s in scores],
    }


def _networks(rows: Rows) -> dict[str, Trained]:
    """Rows with weights of their own: thresholds have none."""
    return {name: row for name, row in rows.items() if row.result.weights_m > 0}


def normality_table(rows: Rows) -> View:
    """All three tests of every variable of the networks; a variable counts as normal if none speaks against it."""
    records: list[Record] = []
    for name, row in _networks(rows).items():
        for variable, values in _variables(row.scores).items():
            found = normality(values)
            records.append(
                {
                    "row": name,
                    "variable": variable,
                    "paper says": "not normal" if name in SAID and variable != "error of scar mass" else "–",
                    "Kolmogorov-Smirnov, p": p_value(found.kolmogorov_smirnov_p) if found else "–",
                    "Anderson-Darling, p": p_value(found.anderson_darling_p) if found else "–",
                    "Shapiro-Wilk, p": p_value(found.shapiro_wilk_p) if found else "–",
                    "all three passed": ("yes" if found.normal else "no") if found else "not tested",
                    "patients": len(values),
                }
            )
    note = (
        f"Against a normal distribution of the values' own mean and SD, at {ALPHA}. Few patients speak against "
        "nothing: to pass shows little here."
    )
    return View(records, (note,))


def group_table(rows: Rows) -> View:
    """The networks as groups, and each pair of them after Bonferroni's correction."""
    chosen = _networks(rows)
    records: list[Record] = []
    for variable in _variables([]):
        found = compare_groups({name: _variables(row.scores)[variable] for name, row in chosen.items()})
        if found is None:
            continue
        test = "ANOVA" if found.test == "anova" else "Kruskal-Wallis"
        records.append(_group(variable, "all networks", test, found.statistic, found.p, None))
        pairwise = "Welch's t" if found.test == "anova" else "Dunn"
        for (a, b), p in found.pairs.items():
            said = "<0.001" if REFERENCE in (a, b) and {a, b} <= set(SAID) and "Dice" in variable else None
            records.append(_group(variable, f"{a} / {b}", pairwise, None, p, said))
    notes = (
        "As the paper has it: groups taken for independent, pairs after Bonferroni. They are the same patients, so the "
        "paired tests above are the better ones.",
    )
    return View(records, notes)


def _group(variable: str, groups: str, test: str, statistic: float | None, p: float, said: str | None) -> Record:
    return {
        "variable": variable,
        "groups": groups,
        "test": test,
        "statistic": statistic,
        "paper: p": said or "–",
        "p": p_value(p),
    }


def noise_table(rows: Rows) -> View:
    """Dice with noise added to the image, beside Dice without."""
    records: list[Record] = []
    for name, row in rows.items():
        draws = noise.load(row.run)
        for structure in noise.STRUCTURES:
            found = noise.summary(draws, structure)
            if found is None:
                continue
            said = SAID[name].noise[structure] if name in SAID else (None, None, None)
            change = bootstrap_interval(found.changes)
            records.append(
                {
                    "row": name,
                    "structure": structure,
                    "Dice % without noise": 100 * found.clean,
                    "paper: mean": said[0],
                    "mean": 100 * found.mean,
                    "paper: SD": said[1],
                    "SD of patients": 100 * found.sd_patients,
                    "SD of draws": 100 * found.sd_draws,
                    "paper: CoV %": said[2],
                    "CoV of patients %": 100 * found.sd_patients / found.mean if found.mean else None,
                    "CoV of draws %": 100 * found.sd_draws / found.mean if found.mean else None,
                    "change, points": 100 * float(np.mean(found.changes)),
                    "low": 100 * change.low if change else None,
                    "high": 100 * change.high if change else None,
                    "draws": found.draws,
                    "patients": len(found.changes),
                }
            )
    notes = (
        f"Gaussian noise of SD {noise.SIGMA} of the stack's range of brightness, the same for every row; the heart is "
        "found anew in every noisy stack. The paper does not say which SD it gives: that of patients holds how they "
        "differ without any noise, that of draws (within patients) what noise does. Its nnU-Net has an SD of 53.7 and "
        "a CoV of 28.7 % of 61.5, which needs 17.7.",
    )
    return View(records, notes)


def noise_differences(rows: Rows) -> View:
    """What noise costs ScarNet, less what it costs each other row, in the same patients."""
    records: list[Record] = []
    for structure in noise.STRUCTURES:
        found = {name: noise.summary(noise.load(row.run), structure) for name, row in rows.items()}
        ours = found.get(REFERENCE)
        for name, theirs in found.items():
            if ours is None or theirs is None or name == REFERENCE:
                continue
            for what, a, b in (
                ("mean Dice", ours.noisy, theirs.noisy),
                ("change of Dice", ours.changes, theirs.changes),
            ):
                test = paired_test(a, b)
                records.append(
                    {
                        "difference": f"{REFERENCE} − {name}",
                        "structure": structure,
                        "of": what,
                        "points": 100 * test.mean_difference,
                        "low": 100 * test.interval.low if test.interval else None,
                        "high": 100 * test.interval.high if test.interval else None,
                        "paper: p": "<0.001" if name in SAID and what == "mean Dice" else "–",
                        "Wilcoxon, p": p_value(test.wilcoxon_p),
                        "patients": test.n,
                    }
                )
    return View(records, ("Per patient, over all draws of noise; p values are not corrected.",))
