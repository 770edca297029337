"""Tables behind those of the detector and SAM: automatic beside oracle, equivalence of mass, boxes, cohorts, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cmrseg.evaluate.equivalence import SCAR_MARGIN_G, equivalence_test
from cmrseg.evaluate.lge import LgeScore
from cmrseg.evaluate.statistics import bland_altman, bootstrap_interval, concordance, paired_test
from cmrseg.experiments import paper_yolosam as paper
from cmrseg.experiments.views import Record, Trained, View
from cmrseg.experiments.yolosam import KL, ORACLE
from cmrseg.experiments.yolosam_boxes import AMOUNTS, UNITS, load_boxes, load_errors
from cmrseg.experiments.yolosam_types import load_types
from cmrseg.train.config import LABEL_NOISES

Rows = Mapping[str, Trained]
_TYPES = ("hit", "missed_slice", "missed_dark", "missed_border", "false_muscle", "false_blood", "false_outside")


def oracle_table(rows: Rows) -> View:
    """What boxes of the truth would add: each network automatic and as an ORACLE, patient by patient."""
    records: list[Record] = []
    for name, row in rows.items():
        oracle = rows.get(f"{name}, {ORACLE}")
        if oracle is None:
            continue
        pairs = _dice_pairs(row.scores, oracle.scores)
        gaps = [100 * (b - a) for a, b in pairs]
        interval = bootstrap_interval(gaps)
        said = row.result.paper
        records.append(
            {
                "row": name,
                "patients": len(pairs),
                "automatic, Dice %": _percent([a for a, _ in pairs]),
                "ORACLE, Dice %": _percent([b for _, b in pairs]),
                "gap, points": float(np.mean(gaps)) if gaps else None,
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
                "gap, paper": paper.ORACLE["dice_scar_with_scar"] - said["dice_scar_with_scar"] if said else None,
                "automatic, outline %": _percent(_outlines(row.scores)),
                "ORACLE, outline %": _percent(_outlines(oracle.scores)),
            }
        )
    note = (
        "Patients with scar. An ORACLE knows where the scar is, and how much of it: it may be compared with no network "
        "that sees the image alone, which is what the paper does when it holds 65.3 % against nnU-Net."
    )
    return View(records, (note,))


def equivalence_table(rows: Rows) -> View:
    """Scar mass of automatic rows: whether it is the same within a margin, beside tests of difference."""
    records: list[Record] = []
    for name, row in rows.items():
        found, true = _masses(row.scores)
        test, agreement = equivalence_test(found, true, SCAR_MARGIN_G), bland_altman(found, true)
        if row.result.oracle or test is None or agreement is None:
            continue
        records.append(
            {
                "row": name,
                "patients": test.n,
                "found, g": f"{np.mean(found):.2f} ± {np.std(found, ddof=1):.2f}",
                "true, g": f"{np.mean(true):.2f} ± {np.std(true, ddof=1):.2f}",
                "difference, g": test.mean_difference,
                "90 % low": test.interval.low,
                "90 % high": test.interval.high,
                "equivalence, p": test.p_equivalence,
                f"within {SCAR_MARGIN_G:g} g": "yes" if test.equivalent else "not shown",
                "limits of agreement, g": f"{agreement.low:.1f} to {agreement.high:.1f}",
                "CCC": concordance(found, true),
                "paired t, p": test.p_paired,
                "unpaired t, p": test.p_unpaired,
            }
        )
    (found_g, found_sd), (true_g, true_sd) = paper.MASS_G
    note = (
        f"The paper has {found_g:.2f} ± {found_sd:.2f} g, {true_g:.2f} ± {true_sd:.2f} g in truth, p = {paper.MASS_P}, "
        "and calls the mass reliable. A p that is not small says that no difference was shown, not that there is none; "
        "two one-sided tests say whether the means lie within the margin, and limits of agreement what a patient's own "
        "mass is worth."
    )
    return View(records, (note,))


def boxes_table(rows: Rows) -> View:
    """How well detectors find the true boxes of held-out patients."""
    heads = {
        "box_recall": "recall %",
        "box_precision": "precision %",
        "box_average_precision": "average precision %",
        "slice_sensitivity": "slices with scar found %",
        "slice_specificity": "slices without scar left %",
    }
    records: list[Record] = []
    for name, row in rows.items():
        values = load_boxes(row.run)
        if values:
            shares: Record = {h: 100 * values[k] if k in values else None for k, h in heads.items()}
            records.append({"row": name, **shares, "false boxes on a slice": values["box_false_per_slice"]})
    return View(records, ("A box is found from an overlap of 0.5 (intersection over union) with a true one on.",))


def box_error_table(rows: Rows) -> View:
    """Masks in true boxes that were spoilt: an ORACLE throughout."""
    records: list[Record] = []
    for name, row in rows.items():
        spoilt = load_errors(row.run)
        for kind, amounts in AMOUNTS.items():
            for amount in amounts if spoilt else ():
                own = [s for s in spoilt if (s.kind, s.amount) == (kind, amount)]
                records.append(
                    {
                        "row": name,
                        "error of boxes": kind,
                        "amount": amount,
                        "unit": UNITS[kind],
                        "boxes": sum(s.boxes for s in own),
                        "ORACLE, Dice %": _percent([s.dice for s in own if s.dice is not None]),
                        "ORACLE, outline %": _percent(
                            [s.perimeter_similarity for s in own if s.perimeter_similarity is not None]
                        ),
                        "loss": float(np.mean([s.loss for s in own])) if own else None,
                    }
                )
    note = (
        "True boxes of held-out patients, all shifted, a share missed, or false ones added to slices that show the "
        "heart; a larger error holds the smaller one. Outline: perimeter similarity. Loss: the training's, of masks."
    )
    return View(records, (note,))


def cohort_table(rows: Rows) -> View:
    """Dice, outline and mass by cohort of the held-out patients."""
    records: list[Record] = []
    for name, row in rows.items():
        for group in sorted({s.group for s in row.scores}):
            own = [s for s in row.scores if s.group == group]
            found, true = _masses(own)
            interval = bootstrap_interval(_dice(own))
            records.append(
                {
                    "row": name,
                    "cohort": group or "all",
                    "patients": len(own),
                    "Dice of scar %": _percent(_dice(own)),
                    "low": 100 * interval.low if interval else None,
                    "high": 100 * interval.high if interval else None,
                    "outline %": _percent(_outlines(own)),
                    "bias of mass, g": float(np.mean(np.subtract(found, true))),
                    "error of mass, g": float(np.mean(np.abs(np.subtract(found, true)))),
                }
            )
    return View(records, ("Dice: patients with scar. Outline: perimeter similarity.",))


def type_table(rows: Rows) -> View:
    """False and missed scar by type and cohort, in percent of the true scar."""
    records: list[Record] = []
    for name, row in rows.items():
        types = load_types(row.run)
        for group in sorted({e.group for e in types}):
            own = [e for e in types if e.group == group]
            true = sum(e.hit + e.missed_slice + e.missed_dark + e.missed_border for e in own)
            shares: Record = {
                f"{kind.replace('_', ' ')} %": 100 * sum(getattr(e, kind) for e in own) / true if true else None
                for kind in _TYPES
            }
            records.append({"row": name, "cohort": group or "all", "patients": len(own), "scar, mL": true, **shares})
    note = (
        "Volumes of all patients of a cohort over their true scar. Missed slice: scar where nothing was found on the "
        "slice; dark: nearer to remote muscle than to bright scar, as a core without flow; border: all else missed."
    )
    return View(records, (note,))


def surface_table(rows: Rows) -> View:
    """3-D Dice and distances of the surfaces of scar."""
    records: list[Record] = []
    for name, row in rows.items():
        values = [s.structures["scar"].values for s in row.scores if s.scar_mass_truth_g > 0]
        record: Record = {"row": name, "patients": len(values)}
        for metric, head, factor in (
            ("dice", "3-D Dice %", 100),
            ("hd95_mm", "HD95, mm", 1),
            ("assd_mm", "ASSD, mm", 1),
        ):
            known = [v for m in values if (v := m.get(metric)) is not None and np.isfinite(v)]
            record[head] = factor * float(np.mean(known)) if known else None
        records.append(record)
    return View(records, ("Patients with scar; distances of those in whom some was found.",))


def noise_table(rows: Rows) -> View:
    """What the divergence changes for each kind of wrong training labels, patient by patient."""
    records: list[Record] = []
    for kind in ("clean", *LABEL_NOISES):
        pair = [rows.get(f"{kind} labels, KL {weight:g}") for weight in (0.0, KL)]
        if pair[0] is None or pair[1] is None:
            continue
        dice = _dice_pairs(pair[0].scores, pair[1].scores)
        gains = [100 * (b - a) for a, b in dice]
        interval = bootstrap_interval(gains)
        biases = [float(np.mean(np.subtract(*_masses(row.scores)))) for row in pair if row is not None]
        records.append(
            {
                "training labels": kind,
                "patients": len(dice),
                "without KL, Dice %": _percent([a for a, _ in dice]),
                f"KL {KL:g}, Dice %": _percent([b for _, b in dice]),
                "gain, points": float(np.mean(gains)) if gains else None,
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
                "paired t, p": paired_test([b for _, b in dice], [a for a, _ in dice]).t_p if dice else None,
                "without KL, bias of mass, g": biases[0],
                f"KL {KL:g}, bias of mass, g": biases[1],
            }
        )
    note = (
        "Patients are measured with labels that nobody spoilt. The p values are one by one; they speak of patients, "
        "not of trainings: another seed may give another gain."
    )
    return View(records, (note,))


def _dice_pairs(first: Sequence[LgeScore], second: Sequence[LgeScore]) -> list[tuple[float, float]]:
    """Dice of patients with scar whom both measured."""
    by_id = {s.case_id: s for s in second}
    pairs = [
        (s.dice("scar"), by_id[s.case_id].dice("scar")) for s in first if s.scar_mass_truth_g and s.case_id in by_id
    ]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _dice(scores: Sequence[LgeScore]) -> list[float]:
    return [v for s in scores if s.scar_mass_truth_g > 0 and (v := s.dice("scar")) is not None]


def _outlines(scores: Sequence[LgeScore]) -> list[float]:
    return [s.perimeter_similarity for s in scores if np.isfinite(s.perimeter_similarity)]


def _masses(scores: Sequence[LgeScore]) -> tuple[list[float], list[float]]:
    return [s.scar_mass_g for s in scores], [s.scar_mass_truth_g for s in scores]


def _percent(values: Sequence[float]) -> float | None:
    return 100 * float(np.mean(values)) if values else None
