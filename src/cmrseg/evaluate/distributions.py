"""Whether values follow a normal distribution, and whether several methods differ: the tests that papers name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Values = NDArray[np.float64]
#: Normal samples that a statistic is held against.
SIMULATIONS = 5000
ALPHA = 0.05
#: An SD below this share of the largest value is the rounding of equal numbers.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Normality:
    """Three tests of one variable against a normal distribution of its own mean and SD.

    Args:
        n: values.
        kolmogorov_smirnov_p: of the largest distance to the distribution.
        anderson_darling_p: of the squared distance, weighted towards the tails.
        shapiro_wilk_p: of the order statistics.
    """

    n: int
    kolmogorov_smirnov_p: float
    anderson_darling_p: float
    shapiro_wilk_p: float

    @property
    def normal(self) -> bool:
        """Whether none of the three speaks against it at `ALPHA`; few values speak against nothing."""
        return min(self.kolmogorov_smirnov_p, self.anderson_darling_p, self.shapiro_wilk_p) >= ALPHA


def normality(values: ArrayLike, *, seed: int = 0) -> Normality | None:
    """Kolmogorov-Smirnov, Anderson-Darling and Shapiro-Wilk tests.

    Mean and SD come from the values themselves, for which the printed p values of the first test do not hold
    (Lilliefors, J Am Stat Assoc 1967;62:399): p of the first two is the share of `SIMULATIONS` normal samples of the
    same size that lie as far away.

    Args:
        values: [N], finite.
        seed: of the samples; the same seed gives the same p.

    Returns:
        None for fewer than three values, and where all are equal.

    Raises:
        ValueError: more than one axis, or values that are not finite.
    """
    x = _checked(values)
    if len(x) < 3 or x.std() <= _ROUNDING * np.abs(x).max():
        return None
    samples = np.random.default_rng(seed).standard_normal((SIMULATIONS, len(x)))
    ours, theirs = _distances(x[None]), _distances(samples)
    distance_p, squared_p = (
        float(1 + np.sum(them >= mine * (1 - _ROUNDING))) / (1 + SIMULATIONS)
        for mine, them in zip(ours, theirs, strict=True)
    )
    return Normality(len(x), distance_p, squared_p, float(stats.shapiro(x).pvalue))


def _distances(samples_BN: Values) -> tuple[Values, Values]:
    """Kolmogorov-Smirnov's D and Anderson-Darling's A squared of samples to the normal distribution of each."""
    n = samples_BN.shape[1]
    x = np.sort(samples_BN, axis=1)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, ddof=1, keepdims=True)
    below, rank = stats.norm.cdf(x), np.arange(1, n + 1)
    furthest = np.maximum(rank / n - below, below - (rank - 1) / n).max(axis=1)
    tails = stats.norm.logcdf(x) + stats.norm.logsf(x)[:, ::-1]
    return furthest, -n - ((2 * rank - 1) / n * tails).sum(axis=1)


@dataclass(frozen=True)
class GroupTest:
    """Several groups of values against each other.

    Args:
        test: ``anova`` where every group is normal, else ``kruskal_wallis``.
        statistic: F, or H with the correction for ties.
        p: of it.
        pairs: for every two groups, p after Bonferroni's correction for the number of pairs: of Welch's t test behind
            an ANOVA, of Dunn's test (Technometrics 1964;6:241) behind Kruskal and Wallis's.
    """

    test: Literal["anova", "kruskal_wallis"]
    statistic: float
    p: float
    pairs: Mapping[tuple[str, str], float]


def compare_groups(groups: Mapping[str, ArrayLike], *, seed: int = 0) -> GroupTest | None:
    """One-way analysis of variance, or Kruskal and Wallis's test where a group is not normal by all three tests.

    Both take groups for independent. Methods on the same patients are not: `statistics.paired_test` is theirs, and
    this is for comparison with papers that pair nothing.

    Args:
        groups: values [N] of each group by name, finite.
        seed: of `normality`.

    Returns:
        None for fewer than two groups, or where one has fewer than two values. Values that are all equal give p = 1.

    Raises:
        ValueError: as `normality`.
    """
    values = {name: _checked(group) for name, group in groups.items()}
    if len(values) < 2 or min(map(len, values.values())) < 2:
        return None
    pairs = list(combinations(values, 2))
    everything = np.concatenate(list(values.values()))
    if (everything == everything[0]).all():
        return GroupTest("kruskal_wallis", 0.0, 1.0, dict.fromkeys(pairs, 1.0))
    found = [normality(group, seed=seed) for group in values.values()]
    if all(f is not None and f.normal for f in found):
        whole = stats.f_oneway(*values.values())
        p = [float(stats.ttest_ind(values[a], values[b], equal_var=False).pvalue) for a, b in pairs]
        return GroupTest("anova", float(whole.statistic), float(whole.pvalue), _bonferroni(pairs, p))
    whole = stats.kruskal(*values.values())
    p = list(_dunn(values, pairs))
    return GroupTest("kruskal_wallis", float(whole.statistic), float(whole.pvalue), _bonferroni(pairs, p))


def _dunn(values: Mapping[str, Values], pairs: list[tuple[str, str]]) -> Values:
    """Two-sided p of the difference of mean ranks among all values, ties taken into account."""
    everything = np.concatenate(list(values.values()))
    n = len(everything)
    edges = np.cumsum([len(group) for group in values.values()])[:-1]
    ranks = dict(zip(values, np.split(stats.rankdata(everything), edges), strict=True))
    ties = np.unique(everything, return_counts=True)[1].astype(np.float64)
    variance = n * (n + 1) / 12 - float((ties**3 - ties).sum()) / (12 * (n - 1))
    z = [
        (ranks[a].mean() - ranks[b].mean()) / (variance * (1 / len(ranks[a]) + 1 / len(ranks[b]))) ** 0.5
        for a, b in pairs
    ]
    p: Values = 2 * stats.norm.sf(np.abs(z))
    return p


def _bonferroni(pairs: list[tuple[str, str]], p: list[float]) -> dict[tuple[str, str], float]:
    return {pair: min(1.0, len(p) * float(value)) for pair, value in zip(pairs, p, strict=True)}


def _checked(values: ArrayLike) -> Values:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError("expected finite values on one axis")
    return x
