"""An evaluation as a page for a reader, in Markdown whose tables also line up in a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cmrseg.evaluate.cautions import Caution
from cmrseg.evaluate.cine import STRUCTURES, CineScore
from cmrseg.evaluate.clinical import QUANTITIES, quantities
from cmrseg.evaluate.masks import Evaluation
from cmrseg.evaluate.metrics import METRICS, EmptyMasks
from cmrseg.evaluate.subgroups import SEVERITY_DEFINITION, severity
from cmrseg.evaluate.tables import ALL, Evaluations, Row
from cmrseg.evaluate.taxonomy import DEFAULT_LIMITS, DEFINITIONS, tag_counts

LABELS = {
    "lv_cavity": "LV cavity",
    "rv_cavity": "RV cavity",
    "lv_myocardium": "LV myocardium",
    ALL: "mean",
}
_WORST_SHOWN = 5
_ALPHA = 0.05


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with padded columns; the first is on the left, the others on the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *(len(line[k]) for line in lines)) for k in range(len(head))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    text = []
    for line in [lines[0], rule, *lines[1:]]:
        cells = [
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def number(value: float | None, decimals: int = 3) -> str:
    """A rounded number, or a dash; never minus zero."""
    return "–" if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"


def interval(row: Row, decimals: int, key: str = "mean", prefix: str = "") -> str:
    """A value with its 95 % interval in brackets, or alone where there is none."""
    low, high = row.get(f"{prefix}low"), row.get(f"{prefix}high")
    text = number(row[key], decimals)
    return text if low is None or high is None else f"{text} ({number(low, decimals)} to {number(high, decimals)})"


def p_value(value: float) -> str:
    """A p value with three decimals, never 0."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def empty_mask_policy(policy: EmptyMasks) -> str:
    """The policy for empty masks in words."""
    distance = "the diagonal of the field of view" if policy.penalty_mm is None else f"{policy.penalty_mm:g} mm"
    absent = (
        "a structure that neither has counts as right (Dice 1, distance 0)"
        if policy.correct_absence == "perfect"
        else "a structure that neither has is left out of that patient's mean"
    )
    return (
        "Empty masks: a structure that is missed or invented has Dice, IoU, sensitivity and precision 0 and "
        f"{distance} as distance, and stays in every mean; {absent}."
    )


def heading(title: str, methods: Evaluations, name: str) -> str:
    """Title of a section, with the method's name where there are several."""
    return f"## {title}" if len(methods) == 1 else f"## {title}: {name}"


def cautions_text(cautions: Sequence[Caution]) -> str:
    """What to know first, as a list; empty without any."""
    if not cautions:
        return ""
    lines = [f"- **{c.message}**" if c.asks_for_a_look else f"- {c.message}" for c in cautions]
    return "## Know first\n\n" + "\n".join(lines)


def clinical_text(methods: Evaluations, rows: Sequence[Row]) -> str:
    """Volumes, EF and mass against the truth."""
    parts = []
    for name in methods:
        lines = []
        for row in (r for r in rows if r["method"] == name):
            label, unit = QUANTITIES[row["key"]]
            limits = f"{number(row['limit_low'], 1)} to {number(row['limit_high'], 1)}" if "limit_low" in row else "–"
            lines.append(
                [
                    f"{label}, {'%' if unit == 'points' else unit}",
                    str(row["n"]),
                    f"{number(row['truth_mean'], 1)} ± {number(row['truth_sd'], 1)}",
                    interval(row, 1, "mean_error", "bias_"),
                    limits,
                    number(row["mean_abs_error"], 1),
                    f"{number(row['largest'], 1)} ({row['largest_case_id']})",
                    number(row["concordance"]),
                ]
            )
        head = ["quantity", "n", "truth", "bias (95 %)", "limits of agreement", "abs. error", "farthest off", "CCC"]
        parts.append(heading("Clinical numbers", methods, name) + "\n\n" + table(head, lines))
    note = (
        "Method minus truth, at the end-diastolic and end-systolic frame of the truth; EF errors are percent points. "
        "Truth: mean ± SD. Limits of agreement: bias ± 1.96 SD. CCC: Lin's concordance."
    )
    return "\n\n".join([*parts, note])


def overlap_text(methods: Evaluations, rows: Sequence[Row]) -> str:
    """Overlap and distances per structure and phase, mean over patients."""
    parts = []
    for name in methods:
        lines = []
        for structure, phase in _structures(rows, name):
            cells = {m: r for m in METRICS if (r := _find(rows, name, m, structure, phase))}
            if "dice" not in cells:
                continue
            first = cells["dice"]
            lines.append(
                [
                    _label(structure, phase),
                    str(first["n"]),
                    interval(first, 3),
                    number(first["worst"]),
                    interval(cells["hd95_mm"], 1),
                    number(cells["assd_mm"]["mean"], 2),
                    number(cells["volume_error_ml"]["mean"], 1),
                    f"{first['n_missed']} / {first['n_false']}",
                ]
            )
        head = [
            "structure",
            "n",
            "Dice (95 %)",
            "worst",
            "HD95, mm (95 %)",
            "ASSD, mm",
            "volume error, mL",
            "missed / false",
        ]
        parts.append(heading("Overlap and distance", methods, name) + "\n\n" + table(head, lines))
    note = (
        "Mean over patients with 95 % bootstrap interval over patients; 3-D, on the grid of the truth. "
        "Missed / false: masks that are empty, or there, against the truth."
    )
    return "\n\n".join([*parts, note])


def voxels_text(methods: Evaluations, rows: Sequence[Row]) -> str:
    """Metrics that count voxels: mean over patients, and pooled over them."""
    metrics = ("dice", "iou", "slice_dice", "sensitivity", "precision", "specificity", "accuracy", "trivial_accuracy")
    head = [
        "structure",
        "Dice",
        "IoU",
        "slice Dice",
        "sensitivity",
        "precision",
        "specificity",
        "accuracy",
        "of nothing",
    ]
    parts = []
    for name in methods:
        lines = []
        for structure, phase in _structures(rows, name):
            found = [_find(rows, name, metric, structure, phase) for metric in metrics]
            label = _label(structure, phase)
            lines.append([label, *(_ratio(m, r and r["mean"]) for m, r in zip(metrics, found, strict=True))])
            if structure == ALL:
                lines.append(["pooled", *(_ratio(m, r and r["pooled"]) for m, r in zip(metrics, found, strict=True))])
        scores = methods[name].scores
        right, trivial = (
            sum(getattr(s, k) for s in scores) / len(scores) for k in ("label_accuracy", "trivial_accuracy")
        )
        note = (
            f"Voxels of all labels that are right: {100 * right:.2f} %; of labels that say background everywhere: "
            f"{100 * trivial:.2f} %."
        )
        parts += [heading("Voxels", methods, name), table(head, lines), note]
    return "\n\n".join([*parts, "Accuracy of nothing: what an empty mask gets. Pooled: from voxels of all patients."])


def worst_text(methods: Evaluations) -> str:
    """The patients on whom each method does worst."""
    head = ["patient", "group", "severity", "mean Dice", "worst structure", "LV EF, %", "RV EF, %", "kinds of error"]
    parts = []
    for name, evaluation in methods.items():
        ranked = sorted(evaluation.scores, key=lambda s: _or_one(s.macro("dice")))[:_WORST_SHOWN]
        lines = [_worst_line(score, evaluation) for score in ranked]
        parts.append(heading("Patients to look at first", methods, name) + "\n\n" + table(head, lines))
    return "\n\n".join([*parts, f"EF: of the method / of the truth. {SEVERITY_DEFINITION}"])


def _worst_line(score: CineScore, evaluation: Evaluation) -> list[str]:
    key = min(score.dice, key=lambda k: score.dice[k], default="")
    structure, _, phase = key.rpartition("_")
    clinical = quantities(score)
    fractions = [
        " / ".join(number(value, 1) for value in clinical.get(f"{side}_ef_percent", (None, None)))
        for side in ("lv", "rv")
    ]
    where: dict[str, list[str]] = defaultdict(list)
    for tag in evaluation.tags[score.case_id]:
        where[tag.name].append(_label(tag.structure, tag.phase))
    errors = "; ".join(f"{name}: {', '.join(places)}" for name, places in sorted(where.items()))
    return [
        score.case_id,
        score.group or "–",
        severity(score.lv_ef_truth),
        number(score.macro("dice")),
        f"{_label(structure, phase)} {number(score.dice[key])}" if key else "–",
        *fractions,
        "no masks" if score.refused else errors or "none",
    ]


def subgroups_text(methods: Evaluations, rows: Sequence[Row]) -> str:
    """By diagnosis and by severity, with the definitions."""
    head = ["group", "patients", "LV", "RV", "myocardium", "Dice (95 %)", "HD95, mm", "LV volume, mL", "LV EF", "RV EF"]
    parts = []
    for name in methods:
        for division in ("diagnosis", "severity"):
            groups = dict.fromkeys(r["group"] for r in rows if (r["method"], r["division"]) == (name, division))
            lines = []
            for group in groups:
                found = {
                    (r["metric"], r["structure"]): r
                    for r in rows
                    if (r["method"], r["division"], r["group"]) == (name, division, group)
                }
                patients = next(iter(found.values()))["patients"]
                lines.append([group, str(patients), *_subgroup_cells(found)])
            parts.append(heading(f"By {division}", methods, name) + "\n\n" + table(head, lines))
    notes = (
        "LV, RV, myocardium: Dice over both phases. LV volume and EF: mean absolute error, over both phases and in "
        f"percent points. Diagnosis: as the data set names it. {SEVERITY_DEFINITION}"
    )
    return "\n\n".join([*parts, notes])


def _subgroup_cells(found: Mapping[tuple[str, str], Row]) -> list[str]:
    def mean(metric: str, structure: str, decimals: int) -> str:
        row = found.get((metric, structure))
        return number(row["mean"] if row else None, decimals)

    dice = found.get(("dice", ALL))
    return [
        *(mean("dice", structure, 3) for structure in STRUCTURES),
        interval(dice, 3) if dice else "–",
        mean("hd95_mm", ALL, 1),
        mean("volume_abs_error_ml", "lv_cavity", 1),
        mean("ef_abs_error_points", "lv_cavity", 1),
        mean("ef_abs_error_points", "rv_cavity", 1),
    ]


def errors_text(methods: Evaluations) -> str:
    """How many patients have each kind of error."""
    counts = {name: tag_counts(evaluation.tags) for name, evaluation in methods.items()}
    seen = [tag for tag in DEFINITIONS if any(c[tag] for c in counts.values())]
    lines = []
    for tag in seen:
        shares = [f"{c[tag]} ({100 * c[tag] / len(methods[name].tags):.0f} %)" for name, c in counts.items()]
        lines.append([tag, *shares, DEFINITIONS[tag]])
    head = ["kind", *methods, "what it is"] if len(methods) > 1 else ["kind", "patients", "what it is"]
    unseen = ", ".join(tag for tag in DEFINITIONS if tag not in seen)
    limits = ", ".join(f"{key} {value:g}" for key, value in asdict(DEFAULT_LIMITS).items())
    parts = ["## Kinds of error", table(head, lines) if lines else "None was found."]
    parts += [f"Nobody has: {unseen}."] if unseen else []
    return "\n\n".join([*parts, f"Patients with at least one. Limits: {limits}."])


def comparisons_text(rows: Sequence[Row]) -> str:
    """Every two methods, with what the number of patients allows."""
    if not rows:
        return ""
    parts = []
    for pair in dict.fromkeys((r["first"], r["second"]) for r in rows):
        lines = []
        for row in (r for r in rows if (r["first"], r["second"]) == pair):
            decimals = {"dice": 3, "hd95_mm": 1}.get(row["metric"], 1)
            metric = METRICS[row["metric"]].label if row["metric"] in METRICS else "EF abs. error"
            lines.append(
                [
                    f"{metric}, {_label(row['structure'], row['phase'])}",
                    str(row["n"]),
                    number(row["mean_first"], decimals),
                    number(row["mean_second"], decimals),
                    interval(row, decimals + 1, "mean_difference", "difference_"),
                    p_value(row["t_p"]),
                    p_value(row["t_p_holm"]),
                    p_value(row["wilcoxon_p"]),
                    p_value(row["wilcoxon_p_holm"]),
                    number(row["d_z"], 2),
                ]
            )
        head = ["metric", "n", *pair, "difference (95 %)", "p t", "Holm", "p Wilcoxon", "Holm", "d_z"]
        parts.append(f"## {pair[0]} against {pair[1]}\n\n" + table(head, lines))
    return "\n\n".join([*parts, _power_text(rows)])


def _power_text(rows: Sequence[Row]) -> str:
    n = max(row["n"] for row in rows)
    smallest = 2.0 ** (1 - n)
    text = (
        "First minus second, by patient: paired t test and Wilcoxon signed-rank test, two-sided. Holm: adjusted "
        f"for all {len(rows)} tests of these tables. d_z: mean difference over the SD of differences."
    )
    if smallest * len(rows) > _ALPHA:
        text += (
            f" With {n} patients the smallest p that a Wilcoxon test can have is {p_value(smallest)}, "
            f"{p_value(min(1.0, smallest * len(rows)))} when adjusted: no difference can be significant by it."
        )
    return text


def definitions_text(policy: EmptyMasks) -> str:
    """What each metric is."""
    lines = [f"- {m.label}{f', {m.unit}' if m.unit else ''}: {m.definition}." for m in METRICS.values()]
    return f"## How it was measured\n\n{empty_mask_policy(policy)}\n\n" + "\n".join(lines)


def _label(structure: str, phase: str) -> str:
    """As ``LV cavity ED``; without a phase where a number is of both."""
    return LABELS[structure] if phase == ALL else f"{LABELS[structure]} {phase.upper()}"


def _structures(rows: Sequence[Row], name: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r["structure"], r["phase"]) for r in rows if r["method"] == name))


def _find(rows: Sequence[Row], name: str, metric: str, structure: str, phase: str) -> Row | None:
    wanted = (name, metric, structure, phase)
    return next((r for r in rows if (r["method"], r["metric"], r["structure"], r["phase"]) == wanted), None)


def _ratio(metric: str, value: Any) -> str:
    decimals = 4 if metric in ("specificity", "accuracy", "trivial_accuracy") else 3
    return number(value, decimals)


def _or_one(value: float | None) -> float:
    return 1.0 if value is None else value
