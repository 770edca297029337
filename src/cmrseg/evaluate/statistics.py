"""Intervals, paired tests and measures of agreement for numbers of patients. One value per patient, always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Values = NDArray[np.float64]
#: Resamples of a bootstrap interval.
RESAMPLES = 2000
#: Up to so many patients the Wilcoxon test is exact, ties included.
_EXACT_UP_TO = 50
#: An SD below this share of the mean is the rounding of equal numbers.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Args:
        low: lower limit.
        high: upper limit.
        method: how it was made: ``bca``, ``percentile``, ``t``, or ``constant`` where all patients are equal.
    """

    low: float
    high: float
    method: str


def bootstrap_interval(
    patients: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    *,
    method: Literal["bca", "percentile"] = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval of a statistic, patients drawn with replacement.

    Args:
        patients: [N] or [N, ...], one row per patient.
        statistic: takes an array of rows [B, N, ...] and ``axis=1``, gives [B].
        method: bias-corrected and accelerated (Efron, J Am Stat Assoc 1987;82:171), or percentile. Where the former is
            not defined the latter is given, and the result says so.
        level: coverage, 0..1.
        resamples: number of bootstrap samples.
        seed: the same seed gives the same interval.

    Returns:
        The interval; None for fewer than two patients.
    """
    rows = np.asarray(patients, np.float64)
    if len(rows) < 2:
        return None
    if (rows == rows[0]).all():
        value = float(np.asarray(statistic(rows[None], axis=1)).ravel()[0])
        return Interval(value, value, "constant")
    # The whole of a patient is drawn: what is resampled are row numbers.
    drawn = np.random.default_rng(seed).integers(0, len(rows), (resamples, len(rows)))
    values = np.asarray(statistic(rows[drawn], axis=1), np.float64)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    used: str = method
    if method == "bca":
        corrected = _bca_tails(rows, values, statistic, tails)
        used, tails = ("percentile", tails) if corrected is None else ("bca", corrected)
    low, high = np.quantile(values, tails)
    return Interval(float(low), float(high), used)


def _bca_tails(rows: Values, values: Values, statistic: Callable[..., Any], tails: Values) -> Values | None:
    """Quantiles of the bootstrap values that the BCa interval reads; None where it is not defined."""
    estimate = float(np.asarray(statistic(rows[None], axis=1)).ravel()[0])
    below = (np.sum(values < estimate) + np.sum(values <= estimate)) / (2 * len(values))
    others = np.array([np.delete(np.arange(len(rows)), k) for k in range(len(rows))])
    jackknife = np.asarray(statistic(rows[others], axis=1), np.float64)
    lean = jackknife.mean() - jackknife
    spread = float((lean**2).sum()) ** 1.5
    if not (0 < below < 1 and spread > 0):
        return None
    bias = stats.norm.ppf(below)
    acceleration = float((lean**3).sum()) / (6 * spread)
    shifted = bias + stats.norm.ppf(tails)
    corrected: Values = stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    return corrected


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same patients.

    Args:
        n: patients.
        mean_difference: of first minus second.
        interval: bootstrap interval of the mean difference; None for fewer than two patients.
        t_p: two-sided p of the paired t test.
        wilcoxon_p: two-sided p of the Wilcoxon signed-rank test, equal pairs left out (Wilcoxon 1945); exact up to 50
            pairs that differ, with the normal approximation beyond.
        d_z: Cohen's d for paired samples: mean difference over the SD of differences; None where that SD is 0 and the
            mean is not.
        d_av: mean difference over the average of both SDs (Cumming 2012); None likewise.
    """

    n: int
    mean_difference: float
    interval: Interval | None
    t_p: float
    wilcoxon_p: float
    d_z: float | None
    d_av: float | None


def paired_test(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> PairedTest:
    """Compare two methods on the same patients.

    Args:
        first: [N], one value per patient, finite.
        second: [N], the same patients in the same order.
        seed: of the bootstrap.

    Returns:
        All pairs equal gives p = 1 and d = 0. One patient, from whom nothing follows, gives p = 1.

    Raises:
        ValueError: different lengths, no patients, or values that are not finite.
    """
    a, b = _pairs(first, second)
    difference = a - b
    mean = float(difference.mean())
    sd = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    sd = sd if sd > _ROUNDING * abs(mean) else 0.0
    average_sd = float(a.std(ddof=1) + b.std(ddof=1)) / 2 if len(difference) > 1 else 0.0
    if not difference.any() or len(difference) < 2:
        t_p = wilcoxon_p = 1.0
    else:
        t_p = float(stats.ttest_rel(a, b).pvalue) if sd > 0 else 0.0
        wilcoxon_p = _signed_rank_p(difference)
    return PairedTest(
        len(difference),
        mean,
        bootstrap_interval(difference, seed=seed),
        t_p,
        wilcoxon_p,
        _in_units_of(sd, mean),
        _in_units_of(average_sd, mean),
    )


def _signed_rank_p(difference: Values) -> float:
    """Two-sided p of the signed-rank test; some difference is not 0."""
    difference = difference[difference != 0]
    if len(difference) > _EXACT_UP_TO:
        return float(stats.wilcoxon(difference).pvalue)
    # Ranks of ties are halves: twice the ranks are whole numbers, whose sums over all choices of signs are counted.
    ranks = np.rint(2 * stats.rankdata(np.abs(difference))).astype(int)
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] = ways[rank:] + ways[:-rank]
    positive = int(ranks[difference > 0].sum())
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return float(min(1.0, 2 * tail / 2.0 ** len(ranks)))


def _in_units_of(sd: float, mean: float) -> float | None:
    if mean == 0:
        return 0.0
    return mean / sd if sd > 0 else None


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for a family of tests (Holm, Scand J Stat 1979;6:65), in the order given.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none is smaller than the one
    before it, none above 1. An empty family stays empty.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of a method with a reference.

    Args:
        n: patients.
        bias: mean of method minus reference.
        sd: SD of the differences.
        low: lower limit of agreement, bias - 1.96 SD.
        high: upper limit of agreement, bias + 1.96 SD.
        bias_interval: 95 % interval of the bias.
        low_interval: 95 % interval of the lower limit.
        high_interval: 95 % interval of the upper limit.
    """

    n: int
    bias: float
    sd: float
    low: float
    high: float
    bias_interval: Interval
    low_interval: Interval
    high_interval: Interval


def bland_altman(method: ArrayLike, reference: ArrayLike) -> BlandAltman | None:
    """Bias and limits of agreement with their intervals (Bland and Altman, Stat Methods Med Res 1999;8:135).

    The standard error of the bias is SD / sqrt(n), that of a limit SD sqrt(1/n + 1.96^2 / (2 (n - 1))); intervals use
    Student's t with n - 1 degrees of freedom.

    Args:
        method: [N], one value per patient, finite.
        reference: [N], the same patients.

    Returns:
        None for fewer than two patients.

    Raises:
        ValueError: as `paired_test`.
    """
    a, b = _pairs(method, reference)
    n = len(a)
    if n < 2:
        return None
    bias, sd = float((a - b).mean()), float((a - b).std(ddof=1))
    z = float(stats.norm.ppf(0.975))
    t = float(stats.t.ppf(0.975, n - 1))
    bias_reach = t * sd / n**0.5
    limit_reach = t * sd * (1 / n + z**2 / (2 * (n - 1))) ** 0.5
    low, high = bias - z * sd, bias + z * sd
    return BlandAltman(
        n,
        bias,
        sd,
        low,
        high,
        Interval(bias - bias_reach, bias + bias_reach, "t"),
        Interval(low - limit_reach, low + limit_reach, "t"),
        Interval(high - limit_reach, high + limit_reach, "t"),
    )


def concordance(first: ArrayLike, second: ArrayLike) -> float | None:
    """Lin's concordance correlation coefficient, -1..1 (Biometrics 1989;45:255), with moments over n.

    Returns:
        None for fewer than two patients, and where both are constant at the same value.

    Raises:
        ValueError: as `paired_test`.
    """
    a, b = _pairs(first, second)
    spread = float(a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    if len(a) < 2 or spread == 0:
        return None
    return 2 * float(np.mean((a - a.mean()) * (b - b.mean()))) / spread


def pearson(first: ArrayLike, second: ArrayLike) -> float | None:
    """Pearson's correlation coefficient, -1..1; None for fewer than two patients or where one of the two is constant.

    It is blind to bias and to scale: agreement is `concordance` or `bland_altman`.

    Raises:
        ValueError: as `paired_test`.
    """
    a, b = _pairs(first, second)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def concordance_interval(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> Interval | None:
    """Bootstrap interval of `concordance`, patients drawn with replacement: masses of scar are not normal.

    A drawn sample whose patients all have one and the same value in both counts as agreement, 1.

    Returns:
        None where `concordance` is None.

    Raises:
        ValueError: as `paired_test`.
    """
    if concordance(first, second) is None:
        return None
    return bootstrap_interval(np.stack(_pairs(first, second), axis=1), _concordances, seed=seed)


def _concordances(pairs_BN2: Values, axis: int) -> Values:
    mean, variance = pairs_BN2.mean(axis=axis), pairs_BN2.var(axis=axis)
    centred = pairs_BN2 - np.expand_dims(mean, axis)
    shared = centred.prod(axis=-1).mean(axis=axis)
    spread = variance.sum(axis=-1) + (mean[..., 0] - mean[..., 1]) ** 2
    constant = spread <= _ROUNDING * (mean**2).max(axis=-1)
    result: Values = np.where(constant, 1.0, 2 * shared / np.where(constant, 1.0, spread))
    return result


@dataclass(frozen=True)
class Line:
    """A straight line through pairs by least squares: second = slope x first + intercept.

    Args:
        slope: of the line.
        intercept: where the first is 0.
        r_squared: share of the second's variance that the line explains, 0..1.
    """

    slope: float
    intercept: float
    r_squared: float


def regression(first: ArrayLike, second: ArrayLike) -> Line | None:
    """The line that predicts the second from the first; None where `pearson` is None.

    Raises:
        ValueError: as `paired_test`.
    """
    r = pearson(first, second)
    if r is None:
        return None
    a, b = _pairs(first, second)
    slope = r * float(b.std() / a.std())
    return Line(slope, float(b.mean()) - slope * float(a.mean()), r**2)


def coefficient_of_variation(method: ArrayLike, reference: ArrayLike) -> float | None:
    """SD of the differences over the mean of all values, as agreement of two measurements is often given.

    Returns:
        None for fewer than two patients, and where the mean is 0.

    Raises:
        ValueError: as `paired_test`.
    """
    a, b = _pairs(method, reference)
    mean = float((a + b).mean()) / 2
    return float((a - b).std(ddof=1)) / mean if len(a) > 1 and mean != 0 else None


def intraclass(ratings: ArrayLike, form: Literal["2,1", "3,1"] = "2,1") -> float | None:
    """Intraclass correlation of single ratings (Shrout and Fleiss, Psychol Bull 1979;86:420).

    Args:
        ratings: [patients, raters], finite.
        form: ``"2,1"``: raters are a random sample and their bias counts (absolute agreement); ``"3,1"``: these raters
            only, whose bias does not count (consistency).

    Returns:
        At most 1; None for fewer than two patients or raters, and where nothing varies.

    Raises:
        ValueError: not two axes, or values that are not finite.
    """
    x = np.asarray(ratings, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError("ratings must be finite numbers [patients, raters]")
    n, k = x.shape
    if n < 2 or k < 2:
        return None
    between_rows = k * float(((x.mean(axis=1) - x.mean()) ** 2).sum()) / (n - 1)
    between_raters = n * float(((x.mean(axis=0) - x.mean()) ** 2).sum()) / (k - 1)
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0, keepdims=True) + x.mean()
    error = float((rest**2).sum()) / ((n - 1) * (k - 1))
    whole = between_rows + (k - 1) * error
    if form == "2,1":
        whole += k * (between_raters - error) / n
    return (between_rows - error) / whole if whole != 0 else None


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[Values, Values]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"expected one value per patient of each, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("values must be finite; decide what a missing one counts as")
    return a, b
