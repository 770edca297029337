"""One row of a table against each of the others: paired tests on the same patients, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cmrseg.evaluate.cine import CineScore
from cmrseg.evaluate.comparison import Comparison, compare_methods
from cmrseg.evaluate.markdown import number, p_value, table
from cmrseg.evaluate.statistics import holm

#: Metric and structure of the tests, and how a table calls them with their unit, factor and decimals.
TESTED: Mapping[tuple[str, str], tuple[str, float, int]] = {
    ("dice", "all"): ("Dice, points", 100.0, 2),
    ("hd95_mm", "all"): ("HD95, mm", 1.0, 2),
    ("ef_abs_error_points", "lv_cavity"): ("LVEF error, points", 1.0, 2),
}


def contrasts(reference: str, scores: Mapping[str, Sequence[CineScore]]) -> list[Comparison]:
    """A method minus each other one: mean Dice, mean HD95 and absolute error of the LVEF, per patient.

    Holm's correction covers all tests returned.

    Args:
        reference: name of the method that the others are held against.
        scores: of every method, by its name.

    Returns:
        empty without the reference or without any other.
    """
    others = [name for name in scores if name != reference] if reference in scores else []
    pairs = [{reference: scores[reference], other: scores[other]} for other in others]
    family = [c for pair in pairs for c in compare_methods(pair) if (c.metric, c.structure) in TESTED]
    t, wilcoxon = holm([c.test.t_p for c in family]), holm([c.test.wilcoxon_p for c in family])
    return [replace(c, t_p_holm=a, wilcoxon_p_holm=b) for c, a, b in zip(family, t, wilcoxon, strict=True)]


def contrasts_text(family: Sequence[Comparison]) -> str:
    """The tests as a Markdown section; says so where there is nothing to compare."""
    if not family:
        return "### Differences\n\nThere is no second row to compare with.\n"
    head = ["difference", "metric", "patients", "mean (95 %)", "Cohen's d", "paired t, p", "Wilcoxon, p"]
    lines = []
    for c in family:
        label, factor, decimals = TESTED[c.metric, c.structure]
        mean = number(factor * c.test.mean_difference, decimals)
        if c.test.interval is not None:
            low, high = (number(factor * v, decimals) for v in (c.test.interval.low, c.test.interval.high))
            mean = f"{mean} ({low} to {high})"
        name = f"{c.methods[0]} − {c.methods[1]}"
        lines.append(
            [name, label, str(c.test.n), mean, number(c.test.d_z, 2), p_value(c.t_p_holm), p_value(c.wilcoxon_p_holm)]
        )
    note = (
        "On the same patients; d is the mean over the SD of the differences; p values are Holm's, over all lines of "
        "this table. They speak of patients, not of trainings: another seed may give another difference."
    )
    return f"### Differences\n\n{table(head, lines)}\n\n{note}\n"
