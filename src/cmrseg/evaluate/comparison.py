"""Methods on the same patients: differences with intervals, paired tests, Holm's correction over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore
from cmrseg.evaluate.statistics import PairedTest, holm, paired_test

#: Metrics that are tested, for each structure and phase and for their mean.
TESTED_METRICS = ("dice", "hd95_mm")


@dataclass(frozen=True)
class Comparison:
    """One test of the family.

    Args:
        methods: names of the first and the second method.
        metric: of `cmrseg.evaluate.metrics.METRICS`, or ``ef_abs_error_points``.
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


def compare_methods(methods: Mapping[str, Sequence[CineScore]], *, seed: int = 0) -> list[Comparison]:
    """Test every two methods against each other on the patients that both have.

    The family that Holm's correction covers are all rows returned: for every pair of methods, `TESTED_METRICS` per
    structure and phase and their mean, and the absolute error of both ejection fractions.

    Args:
        methods: scores of each method, by its name.
        seed: of the bootstrap.

    Returns:
        One comparison per pair, metric, structure and phase; empty for one method, and for two that share no patient.
    """
    paired = [(names, row) for names in combinations(methods, 2) for row in _values(*(methods[n] for n in names))]
    tests = [paired_test(a, b, seed=seed) for _, (*_, a, b) in paired]
    adjusted = zip(holm([t.t_p for t in tests]), holm([t.wilcoxon_p for t in tests]), strict=True)
    return [
        Comparison(names, metric, structure, phase, float(np.mean(a)), float(np.mean(b)), test, *p)
        for (names, (metric, structure, phase, a, b)), test, p in zip(paired, tests, adjusted, strict=True)
    ]


_Row = tuple[str, str, str, list[float], list[float]]


def _values(first: Sequence[CineScore], second: Sequence[CineScore]) -> list[_Row]:
    """Metric, structure, phase and the values of both methods, for everything that is tested."""
    by_id = {s.case_id: s for s in second}
    pairs = [(s, by_id[s.case_id]) for s in first if s.case_id in by_id]
    names = [(s, p) for s in STRUCTURES for p in PHASES] + [("all", "all")]
    tested: list[_Row] = []
    for metric in TESTED_METRICS:
        for structure, phase in names:
            keys = None if structure == "all" else [f"{structure}_{phase}"]
            values = [(a.macro(metric, keys), b.macro(metric, keys)) for a, b in pairs]
            tested.append((metric, structure, phase, *_both(values)))
    for side in ("lv", "rv"):
        errors = [(abs(getattr(a, f"{side}_ef_error")), abs(getattr(b, f"{side}_ef_error"))) for a, b in pairs]
        tested.append(("ef_abs_error_points", f"{side}_cavity", "all", *_both(errors)))
    return [row for row in tested if row[3]]


def _both(values: Sequence[tuple[float | None, float | None]]) -> tuple[list[float], list[float]]:
    """Values of the patients for whom both methods have one: the truth decides whether there is one."""
    kept = [(a, b) for a, b in values if a is not None and b is not None and np.isfinite([a, b]).all()]
    return [a for a, _ in kept], [b for _, b in kept]
