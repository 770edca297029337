"""Intervals, tests and coefficients against arithmetic done by hand, published examples, and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cmrseg.evaluate.statistics import (
    bland_altman,
    bootstrap_interval,
    coefficient_of_variation,
    concordance,
    concordance_interval,
    holm,
    intraclass,
    paired_test,
    pearson,
    regression,
)

SKEWED = np.random.default_rng(3).exponential(2.0, 40)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_bootstrap_is_that_of_scipy(method: str) -> None:
    ours = bootstrap_interval(SKEWED, method=method, resamples=20000)  # type: ignore[arg-type]
    theirs = stats.bootstrap(
        (SKEWED,), np.mean, method="BCa" if method == "bca" else method, n_resamples=20000, rng=1
    ).confidence_interval
    assert ours is not None
    assert ours.method == method
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert ours.low < SKEWED.mean() < ours.high


def test_bca_shifts_towards_the_long_tail() -> None:
    bca, plain = bootstrap_interval(SKEWED), bootstrap_interval(SKEWED, method="percentile")
    assert bca is not None
    assert plain is not None
    assert bca.high > plain.high


def test_bootstrap_of_a_median_and_of_another_level() -> None:
    wide = bootstrap_interval(SKEWED, np.median, level=0.95)
    narrow = bootstrap_interval(SKEWED, np.median, level=0.5)
    assert wide is not None
    assert narrow is not None
    assert wide.low < narrow.low < np.median(SKEWED) < narrow.high < wide.high


def test_whole_patients_are_drawn() -> None:
    # Two columns that add up to 1 in every patient: a statistic of both at once does not vary.
    first = np.linspace(0, 1, 12)
    rows = np.stack([first, 1 - first], axis=1)
    found = bootstrap_interval(rows, lambda drawn, axis: drawn.sum(axis=2).mean(axis=axis))
    assert found is not None
    assert found.low == pytest.approx(1.0)
    assert found.high == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert bootstrap_interval(SKEWED, seed=4) == bootstrap_interval(SKEWED, seed=4)
    assert bootstrap_interval(SKEWED, seed=4) != bootstrap_interval(SKEWED, seed=5)


def test_one_patient_has_no_interval_and_equal_patients_have_none_to_speak_of() -> None:
    assert bootstrap_interval([0.9]) is None
    assert bootstrap_interval([]) is None
    found = bootstrap_interval([0.9, 0.9, 0.9])
    assert found is not None
    assert (found.low, found.high, found.method) == (pytest.approx(0.9), pytest.approx(0.9), "constant")


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.normal(5.0, 2.0, 40), resamples=500, seed=k) for k in range(200)]
    covered = np.mean([i is not None and i.low <= 5.0 <= i.high for i in intervals])
    assert 0.89 <= covered <= 0.99


def test_paired_test_by_hand() -> None:
    second = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    first = second + np.arange(1, 6)
    found = paired_test(first, second)
    assert (found.n, found.mean_difference) == (5, 3.0)
    # SD of 1..5 is sqrt(2.5); t = 3 / sqrt(2.5 / 5) = 4.2426 with 4 degrees of freedom
    assert found.t_p == pytest.approx(0.013236, abs=1e-6)
    assert found.wilcoxon_p == pytest.approx(2 / 2**5)
    assert found.d_z == pytest.approx(3 / 2.5**0.5)
    spreads = np.std(first, ddof=1), np.std(second, ddof=1)
    assert found.d_av == pytest.approx(3 / np.mean(spreads))
    assert found.interval is not None
    assert found.interval.low < 3 < found.interval.high


@pytest.mark.parametrize("seed", range(4))
def test_wilcoxon_is_that_of_scipy_without_ties_and_with_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for n in (5, 15, 49):
        first, second = rng.normal(0.4, 1.0, n), np.zeros(n)
        assert paired_test(first, second).wilcoxon_p == pytest.approx(stats.wilcoxon(first, method="exact").pvalue)
    tied = rng.integers(-2, 5, 8).astype(float)
    nonzero = tied[tied != 0]
    exact = stats.wilcoxon(nonzero, method=stats.PermutationMethod()).pvalue
    assert paired_test(tied, np.zeros(8)).wilcoxon_p == pytest.approx(exact)
    many = rng.normal(0.1, 1.0, 80)
    assert paired_test(many, np.zeros(80)).wilcoxon_p == pytest.approx(stats.wilcoxon(many).pvalue)


def test_wilcoxon_with_ties_by_hand() -> None:
    # Ranks 1.5, 1.5, 3, 4: of 16 choices of signs 3 give a sum of 1.5 or less (none, one 1.5, the other).
    assert paired_test([-1.0, 1.0, 2.0, 3.0], np.zeros(4)).wilcoxon_p == pytest.approx(2 * 3 / 16)


def test_the_sign_says_which_is_higher() -> None:
    better, worse = np.array([0.9, 0.8, 0.95]), np.array([0.7, 0.75, 0.8])
    assert paired_test(better, worse).mean_difference > 0
    assert (paired_test(worse, better).d_z or 0) < 0


def test_no_difference_and_too_few_patients_prove_nothing() -> None:
    same = paired_test([0.5, 0.7], [0.5, 0.7])
    assert (same.t_p, same.wilcoxon_p, same.d_z, same.d_av) == (1.0, 1.0, 0.0, 0.0)
    one = paired_test([0.9], [0.1])
    assert (one.t_p, one.wilcoxon_p, one.interval, one.d_z) == (1.0, 1.0, None, None)


def test_equal_differences_have_no_effect_size() -> None:
    found = paired_test([0.3, 0.5, 0.9], [0.1, 0.3, 0.7])
    assert found.d_z is None
    assert found.d_av == pytest.approx(0.2 / np.std([1, 3, 7], ddof=1) * 10)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], []), ([np.nan], [1.0]), ([[1.0]], [[1.0]])])
def test_pairs_must_be_whole(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=r"one value per patient|finite"):
        paired_test(a, b)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_bland_altman_by_hand() -> None:
    found = bland_altman([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert found is not None
    assert (found.n, found.bias, found.sd) == (3, 2.0, pytest.approx(1.0))
    assert (found.low, found.high) == (pytest.approx(0.04, abs=1e-4), pytest.approx(3.96, abs=1e-4))
    reach = 4.302653 / 3**0.5  # t of 2 degrees of freedom
    assert found.bias_interval.high == pytest.approx(2 + reach, abs=1e-5)
    limit_reach = 4.302653 * (1 / 3 + 1.959964**2 / 4) ** 0.5
    assert found.high_interval.high == pytest.approx(found.high + limit_reach, abs=1e-4)
    assert found.low_interval.low == pytest.approx(found.low - limit_reach, abs=1e-4)
    assert bland_altman([1.0], [1.0]) is None


def test_concordance_counts_bias_and_correlation_does_not() -> None:
    assert concordance([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == pytest.approx(4 / 7)
    assert pearson([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)
    assert concordance([1.0, 2.0], [1.0, 2.0]) == pytest.approx(1.0)
    assert concordance([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]) == pytest.approx(-1.0)
    assert concordance([1.0, 1.0], [1.0, 1.0]) is None
    assert pearson([1.0, 1.0], [1.0, 2.0]) is None


def test_interval_of_the_concordance_is_the_bootstrap_of_the_coefficient() -> None:
    first = SKEWED + np.random.default_rng(1).normal(0, 0.6, len(SKEWED))
    found = concordance_interval(first, SKEWED)
    assert found is not None
    assert found.method == "bca"
    value = concordance(first, SKEWED)
    assert value is not None
    assert found.low < value < found.high
    random = np.random.default_rng(7)
    drawn = [random.integers(0, len(SKEWED), len(SKEWED)) for _ in range(2000)]
    low, high = np.quantile([concordance(first[k], SKEWED[k]) for k in drawn], [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)
    assert concordance_interval(first, SKEWED) == found


def test_interval_of_the_concordance_covers_it_about_as_often_as_it_says() -> None:
    # both have variance 1 and share 0.8 of it: the coefficient is 0.8
    random, hits = np.random.default_rng(5), 0
    for _ in range(60):
        shared = random.normal(0, 0.8**0.5, 40)
        pair = [shared + random.normal(0, 0.2**0.5, 40) for _ in range(2)]
        found = concordance_interval(*pair)
        assert found is not None
        hits += found.low <= 0.8 <= found.high
    assert hits >= 50


def test_concordance_without_spread_has_no_interval_and_full_agreement_a_point() -> None:
    assert concordance_interval([1.0, 1.0], [1.0, 1.0]) is None
    assert concordance_interval([1.0], [2.0]) is None
    same = concordance_interval([0.0, 0.0, 5.0], [0.0, 0.0, 5.0])
    assert same is not None
    assert (same.low, same.high) == pytest.approx((1.0, 1.0))


def test_regression_is_that_of_scipy_and_of_arithmetic() -> None:
    line = regression([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    assert line is not None
    assert (line.slope, line.intercept, line.r_squared) == pytest.approx((2.0, 1.0, 1.0))
    noisy = regression(SKEWED[:20], SKEWED[20:])
    expected = stats.linregress(SKEWED[:20], SKEWED[20:])
    assert noisy is not None
    assert (noisy.slope, noisy.intercept) == pytest.approx((expected.slope, expected.intercept))
    assert noisy.r_squared == pytest.approx(expected.rvalue**2)
    assert regression([1.0, 1.0], [1.0, 2.0]) is None


def test_coefficient_of_variation_by_hand() -> None:
    # differences 1 and 3: SD 2 ** 0.5; means of pairs 1.5 and 4.5
    assert coefficient_of_variation([2.0, 6.0], [1.0, 3.0]) == pytest.approx(2**0.5 / 3)
    assert coefficient_of_variation([1.0], [2.0]) is None
    assert coefficient_of_variation([1.0, -1.0], [1.0, -1.0]) is None


def test_coefficients_of_variation_that_scarnet_prints_follow_from_its_limits_of_agreement() -> None:
    # limits -1.72 to 0.46 of a bias of -0.63 points: an SD of 0.556; -0.63 points are 4.82 % of the mean
    sd, mean = (0.46 + 1.72) / (2 * stats.norm.ppf(0.975)), 0.63 / 0.0482
    assert sd / mean == pytest.approx(0.043, abs=0.0005)


def test_intraclass_is_that_of_shrout_and_fleiss() -> None:
    # Table 2 of Psychol Bull 1979;86:420; their table 4 gives .29 and .71
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass(ratings) == pytest.approx(0.29, abs=0.005)
    assert intraclass(ratings, "3,1") == pytest.approx(0.71, abs=0.005)
    assert intraclass([[1, 1], [1, 1]]) is None
    assert intraclass([[1, 2]]) is None
    with pytest.raises(ValueError, match="finite"):
        intraclass([1.0, 2.0])
