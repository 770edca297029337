"""Methods on the same patients: differences with intervals, paired tests, Holm's correction over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore
from cmrseg.evaluate.lge import LgeScore
from cmrseg.evaluate.statistics import PairedTest, holm, paired_test

Score = TypeVar("Score", CineScore, LgeScore)
#: Metrics that are tested, for each structure and phase and for their mean.
TESTED_METRICS = ("dice", "hd95_mm")


@dataclass(frozen=True)
class Comparison:
    """One test of the family.

    Args:
        methods: names of the first and the second method.
        metric: of `cmrseg.evaluate.metrics.METRICS`, or ``ef_abs_error_points``, or ``mass_abs_error_g`` of scar.
        structure: a structure, or ``all`` for the mean over structures.
        phase: ``ed``, ``es``, or ``all``.
        first: mean of the first method.
        second: mean of the second.
        test: first minus second.
        t_p_holm: p of the t test, adjusted for all comparisons made.
        wilcoxon_p_holm: p of the Wilcoxon test, likewise.
    """

    methods: tuple[str, str]
    metric: str
    structure: str
    phase: str
    first: float
    second: float
    test: PairedTest
    t_p_holm: float
    wilcoxon_p_holm: float

    def row(self) -> dict[str, Any]:
        """The comparison as one flat row."""
        flat = {k: v for k, v in asdict(self.test).items() if k != "interval"}
        interval = self.test.interval
        return {
            "first": self.methods[0],
            "second": self.methods[1],
            "metric": self.metric,
            "structure": self.structure,
            "phase": self.phase,
            "mean_first": self.first,
            "mean_second": self.second,
            **flat,
            "difference_low": interval.low if interval else None,
            "difference_high": interval.high if interval else None,
            "t_p_holm": self.t_p_holm,
            "wilcoxon_p_holm": self.wilcoxon_p_holm,
        }


#: Metric, structure, phase, and the values of both methods.
Values = tuple[str, str, str, list[float], list[float]]
#: From the scores of two methods to everything that is tested.
Paired = Callable[[Sequence[Any], Sequence[Any]], list[Values]]


def cine_values(first: Sequence[CineScore], second: Sequence[CineScore]) -> list[Values]:
    """What is tested on cine: `TESTED_METRICS` per structure and phase and their mean, absolute errors of both EF."""
    pairs = _shared(first, second)
    names = [(s, p) for s in STRUCTURES for p in PHASES] + [("all", "all")]
    tested: list[Values] = []
    for metric in TESTED_METRICS:
        for structure, phase in names:
            keys = None if structure == "all" else [f"{structure}_{phase}"]
            values = [(a.macro(metric, keys), b.macro(metric, keys)) for a, b in pairs]
            tested.append((metric, structure, phase, *_both(values)))
    for side in ("lv", "rv"):
        errors = [(abs(getattr(a, f"{side}_ef_error")), abs(getattr(b, f"{side}_ef_error"))) for a, b in pairs]
        tested.append(("ef_abs_error_points", f"{side}_cavity", "all", *_both(errors)))
    return [row for row in tested if row[3]]


def lge_values(first: Sequence[LgeScore], second: Sequence[LgeScore]) -> list[Values]:
    """What is tested on LGE: Dice of scar in patients who have some, of the myocardium, absolute error of scar mass."""
    pairs = _shared(first, second)
    with_scar = [(a.dice("scar"), b.dice("scar")) for a, b in pairs if a.scar_mass_truth_g > 0]
    errors = [(abs(a.scar_mass_g - a.scar_mass_truth_g), abs(b.scar_mass_g - b.scar_mass_truth_g)) for a, b in pairs]
    tested: list[Values] = [
        ("dice", "scar", "all", *_both(with_scar)),
        ("dice", "myocardium", "all", *_both([(a.dice("myocardium"), b.dice("myocardium")) for a, b in pairs])),
        ("mass_abs_error_g", "scar", "all", *_both(errors)),
    ]
    return [row for row in tested if row[3]]


def compare_methods(
    methods: Mapping[str, Sequence[Any]], *, seed: int = 0, values: Paired = cine_values
) -> list[Comparison]:
    """Test every two methods against each other on the patients that both have.

    The family that Holm's correction covers are all rows returned: for every pair of methods, all of `values`.

    Args:
        methods: scores of each method, by its name.
        seed: of the bootstrap.
        values: `cine_values` or `lge_values`, as the scores are.

    Returns:
        One comparison per pair, metric, structure and phase; empty for one method, and for two that share no patient.
    """
    paired = [(names, row) for names in combinations(methods, 2) for row in values(*(methods[n] for n in names))]
    tests = [paired_test(a, b, seed=seed) for _, (*_, a, b) in paired]
    adjusted = zip(holm([t.t_p for t in tests]), holm([t.wilcoxon_p for t in tests]), strict=True)
    return [
        Comparison(names, metric, structure, phase, float(np.mean(a)), float(np.mean(b)), test, *p)
        for (names, (metric, structure, phase, a, b)), test, p in zip(paired, tests, adjusted, strict=True)
    ]


def _shared(first: Sequence[Score], second: Sequence[Score]) -> list[tuple[Score, Score]]:
    """Scores of the patients that both have."""
    by_id = {s.case_id: s for s in second}
    return [(s, by_id[s.case_id]) for s in first if s.case_id in by_id]


def _both(values: Sequence[tuple[float | None, float | None]]) -> tuple[list[float], list[float]]:
    """Values of the patients for whom both methods have one: the truth decides whether there is one."""
    kept = [(a, b) for a, b in values if a is not None and b is not None and np.isfinite([a, b]).all()]
    return [a for a, _ in kept], [b for _, b in kept]
