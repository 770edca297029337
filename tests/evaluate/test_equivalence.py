"""Two one-sided tests against arithmetic and scipy; what a p-value beside them can and cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cmrseg.errors import UsageError
from cmrseg.evaluate.equivalence import SCAR_MARGIN_G, equivalence_test


def test_both_one_sided_tests_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(2, 30, 25)
    found = truth + rng.normal(0.6, 1.5, 25)
    test = equivalence_test(found, truth, 2.0)
    assert test is not None
    above = stats.ttest_1samp(found - truth, -2.0, alternative="greater").pvalue
    below = stats.ttest_1samp(found - truth, 2.0, alternative="less").pvalue
    assert test.p_equivalence == pytest.approx(max(above, below), rel=1e-9)
    assert test.p_paired == pytest.approx(stats.ttest_rel(found, truth).pvalue, rel=1e-9)
    assert test.p_unpaired == pytest.approx(stats.ttest_ind(found, truth, equal_var=False).pvalue, rel=1e-9)
    low, high = stats.t.interval(0.90, 24, (found - truth).mean(), stats.sem(found - truth))
    assert (test.interval.low, test.interval.high) == pytest.approx((low, high), rel=1e-9)


def test_by_hand() -> None:
    # differences 0, 1, 2: mean 1, SD 1, error 1 / sqrt 3; t = (2 - 1) sqrt 3 with 2 degrees of freedom
    test = equivalence_test([5.0, 7.0, 9.0], [5.0, 6.0, 7.0], 2.0)
    assert test is not None
    # survival of t with 2 degrees of freedom: (1 - t / sqrt(2 + t^2)) / 2
    assert test.p_equivalence == pytest.approx(0.5 * (1 - 3**0.5 / 5**0.5), rel=1e-9)
    assert not test.equivalent


@pytest.mark.parametrize("margin", [1.2, 1.9, 2.5])
def test_the_interval_lies_inside_the_margin_exactly_where_the_means_are_equivalent(margin: float) -> None:
    rng = np.random.default_rng(7)
    for shift in np.linspace(0, 3, 13):
        truth = rng.uniform(2, 30, 20)
        test = equivalence_test(truth + rng.normal(shift, 1.0, 20), truth, margin)
        assert test is not None
        inside = -margin < test.interval.low and test.interval.high < margin
        assert test.equivalent == inside


def test_few_patients_who_differ_much_are_neither_different_nor_equivalent() -> None:
    # the paper's reasoning, and its masses' spread: "not significant" is no agreement
    rng = np.random.default_rng(4)
    truth = rng.normal(12.5, 8.8, 12).clip(0.5)
    found = truth - 1.2 + rng.normal(0, 5, 12)
    test = equivalence_test(found, truth, SCAR_MARGIN_G)
    assert test is not None
    assert test.p_paired > 0.05
    assert test.p_unpaired > 0.42
    assert not test.equivalent


def test_differences_without_spread_decide_themselves() -> None:
    same, apart = equivalence_test([3.0, 4.0], [3.0, 4.0], 0.5), equivalence_test([4.0, 5.0], [3.0, 4.0], 0.5)
    assert same is not None
    assert apart is not None
    assert (same.p_equivalence, apart.p_equivalence) == (0.0, 1.0)
    assert (apart.interval.low, apart.interval.high) == (1.0, 1.0)
    constant = equivalence_test([2.0, 2.0], [2.0, 2.0], 0.5)
    assert constant is not None
    assert constant.p_unpaired == 1.0


def test_one_patient_proves_nothing_and_no_margin_is_refused() -> None:
    assert equivalence_test([1.0], [1.0], 2.0) is None
    for margin in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="margin"):
            equivalence_test([1.0, 2.0], [1.0, 2.0], margin)
    with pytest.raises(ValueError, match=r".+"):
        equivalence_test([1.0, 2.0], [1.0], 2.0)
