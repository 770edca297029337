"""One row of a table against each of the others: paired tests on the same patients, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cmrseg.evaluate.comparison import Comparison, Paired, cine_values, compare_methods, lge_values
from cmrseg.evaluate.markdown import number, p_value, table
from cmrseg.evaluate.statistics import holm


@dataclass(frozen=True)
class Tested:
    """What is tested in experiments on one kind of study."""

    labels: Mapping[tuple[str, str], tuple[str, float, int]]
    """Metric and structure, and how a table calls them with their unit, factor and decimals."""
    values: Paired
    """Values of two methods' patients, of which those with a label are tested."""


CINE = Tested(
    {
        ("dice", "all"): ("Dice, points", 100.0, 2),
        ("hd95_mm", "all"): ("HD95, mm", 1.0, 2),
        ("ef_abs_error_points", "lv_cavity"): ("LVEF error, points", 1.0, 2),
    },
    cine_values,
)
LGE = Tested(
    {
        ("dice", "scar"): ("Dice of scar, points", 100.0, 2),
        ("dice", "myocardium"): ("Dice of myocardium, points", 100.0, 2),
        ("mass_abs_error_g", "scar"): ("error of scar mass, g", 1.0, 2),
    },
    lge_values,
)
SCAR = Tested({key: label for key, label in LGE.labels.items() if key[1] == "scar"}, lge_values)


def contrasts(reference: str, scores: Mapping[str, Sequence[Any]], tested: Tested = CINE) -> list[Comparison]:
    """A method minus each other one, per patient, in all that is tested.

    Holm's correction covers all tests returned.

    Args:
        reference: name of the method that the others are held against.
        scores: of every method, by its name.
        tested: `CINE` (mean Dice, mean HD95, absolute error of the LVEF) or `LGE`, as the scores are.

    Returns:
        empty without the reference or without any other.
    """
    others = [name for name in scores if name != reference] if reference in scores else []
    pairs = [{reference: scores[reference], other: scores[other]} for other in others]
    every = [c for pair in pairs for c in compare_methods(pair, values=tested.values)]
    family = [c for c in every if (c.metric, c.structure) in tested.labels]
    t, wilcoxon = holm([c.test.t_p for c in family]), holm([c.test.wilcoxon_p for c in family])
    return [replace(c, t_p_holm=a, wilcoxon_p_holm=b) for c, a, b in zip(family, t, wilcoxon, strict=True)]


def contrasts_text(family: Sequence[Comparison], tested: Tested = CINE) -> str:
    """The tests as a Markdown section; says so where there is nothing to compare."""
    if not family:
        return "### Differences\n\nThere is no second row to compare with.\n"
    head = ["difference", "metric", "patients", "mean (95 %)", "Cohen's d", "paired t, p", "Wilcoxon, p"]
    lines = []
    for c in family:
        label, factor, decimals = tested.labels[c.metric, c.structure]
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
