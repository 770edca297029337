"""Tests of normality and of groups against scipy and against identities that hold by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cmrseg.evaluate.distributions import SIMULATIONS, Normality, _distances, compare_groups, normality

RANDOM = np.random.default_rng(4)
NORMAL = RANDOM.normal(3, 2, 40)
SKEWED = RANDOM.exponential(1, 60)


@pytest.mark.parametrize("values", [NORMAL, SKEWED, np.array([1.0, 2.0, 4.0])])
def test_statistics_are_those_of_scipy(values: np.ndarray) -> None:
    furthest, squared = _distances(values[None])
    fitted = (values.mean(), values.std(ddof=1))
    assert furthest[0] == pytest.approx(stats.kstest(values, "norm", fitted).statistic)
    order, n = np.sort(stats.norm.cdf(values, *fitted)), len(values)
    by_definition = -n - sum((2 * k + 1) / n * (np.log(order[k]) + np.log(1 - order[n - 1 - k])) for k in range(n))
    assert squared[0] == pytest.approx(by_definition)


def test_p_of_the_distance_is_that_of_lilliefors_table() -> None:
    # 5 % of normal samples of 20 lie further than 0.192 (Lilliefors 1967, as corrected by Dallal and Wilkinson 1986)
    samples = np.random.default_rng(1).standard_normal((20_000, 20))
    assert np.quantile(_distances(samples)[0], 0.95) == pytest.approx(0.192, abs=0.003)
    # and A squared, with its factor for few values, further than 0.752 (Stephens 1986)
    factor = 1 + 0.75 / 20 + 2.25 / 20**2
    assert factor * np.quantile(_distances(samples)[1], 0.95) == pytest.approx(0.752, abs=0.03)


def test_normal_values_pass_and_skewed_ones_fail_all_three() -> None:
    passed, failed = normality(NORMAL), normality(SKEWED)
    assert passed is not None
    assert passed.normal
    assert passed.n == 40
    assert failed is not None
    assert not failed.normal
    assert max(failed.kolmogorov_smirnov_p, failed.anderson_darling_p, failed.shapiro_wilk_p) < 0.01
    assert failed.kolmogorov_smirnov_p >= 1 / (1 + SIMULATIONS)
    assert passed.shapiro_wilk_p == pytest.approx(stats.shapiro(NORMAL).pvalue)
    assert normality(NORMAL) == passed


def test_one_failed_test_is_enough() -> None:
    assert not Normality(9, 0.5, 0.04, 0.5).normal
    assert Normality(9, 0.05, 0.05, 0.05).normal


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [0.3, 0.3, 0.3, 0.3]])
def test_too_few_or_equal_values_are_not_tested(values: list[float]) -> None:
    assert normality(values) is None


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        normality([1.0, 2.0, np.nan])
    with pytest.raises(ValueError, match="finite"):
        compare_groups({"a": [1.0, np.inf], "b": [1.0, 2.0]})


def test_skewed_groups_get_kruskal_and_wallis_with_dunn() -> None:
    groups = {"a": SKEWED[:20], "b": 3 * SKEWED[20:40], "c": SKEWED[40:]}
    found = compare_groups(groups)
    assert found is not None
    assert found.test == "kruskal_wallis"
    expected = stats.kruskal(*groups.values())
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert set(found.pairs) == {("a", "b"), ("a", "c"), ("b", "c")}


def test_dunn_of_two_groups_is_kruskal_and_wallis_itself_ties_included() -> None:
    first, second = np.round(SKEWED[:30], 1), np.round(2 * SKEWED[30:], 1)
    found = compare_groups({"a": first, "b": second})
    assert found is not None
    assert found.pairs["a", "b"] == pytest.approx(stats.kruskal(first, second).pvalue)
    assert len(np.unique(np.concatenate([first, second]))) < 60


def test_dunn_of_three_groups_by_hand() -> None:
    # ranks 1 2 3 4 5 6 7 8 9: mean ranks 2, 5, 8; variance 9 * 10 / 12 * (1 / 3 + 1 / 3) = 5; 3 pairs
    groups = {"a": [0.0, 0.1, 0.2], "b": [1.0, 2.0, 50.0], "c": [60.0, 61.0, 1e6]}
    found = compare_groups(groups)
    assert found is not None
    assert found.test == "kruskal_wallis"
    near, far = (2 * stats.norm.sf(d / 5**0.5) for d in (3, 6))
    assert found.pairs["a", "b"] == found.pairs["b", "c"] == pytest.approx(min(1, 3 * near))
    assert found.pairs["a", "c"] == pytest.approx(3 * far)


def test_normal_groups_get_an_analysis_of_variance() -> None:
    groups = {"a": NORMAL[:20], "b": NORMAL[20:] + 3}
    found = compare_groups(groups)
    assert found is not None
    assert found.test == "anova"
    expected = stats.f_oneway(*groups.values())
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.pairs["a", "b"] == pytest.approx(stats.ttest_ind(*groups.values(), equal_var=False).pvalue)


def test_nothing_to_compare() -> None:
    assert compare_groups({"a": [1.0, 2.0, 3.0]}) is None
    assert compare_groups({"a": [1.0, 2.0], "b": [1.0]}) is None
    same = compare_groups({"a": [1.0, 1.0], "b": [1.0, 1.0]})
    assert same is not None
    assert same.p == same.pairs["a", "b"] == 1.0
