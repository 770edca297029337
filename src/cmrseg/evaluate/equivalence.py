"""Whether two measurements of the same patients agree well enough; a difference without significance is no proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cmrseg.errors import UsageError
from cmrseg.evaluate.statistics import Interval, paired_test

#: Difference in mean scar mass, in grams, that would still be called the same.
SCAR_MARGIN_G = 2.0
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests beside tests of difference, on the same patients.

    Args:
        n: patients.
        margin: difference that does not matter.
        mean_difference: of first minus second.
        interval: of the mean difference at 1 - 2 alpha (90 %): inside the margin exactly where `equivalent`.
        p_equivalence: of the hypothesis that the means differ by the margin or more; the larger of both one-sided.
        p_paired: of the hypothesis that the means are equal, patients compared with themselves (Student).
        p_unpaired: the same as if the patients were others (Welch), which no design with pairs asks for; its power is
            less the more the patients differ among themselves.
        alpha: level of each test.
    """

    n: int
    margin: float
    mean_difference: float
    interval: Interval
    p_equivalence: float
    p_paired: float
    p_unpaired: float
    alpha: float = 0.05

    @property
    def equivalent(self) -> bool:
        """Whether the means are the same within the margin."""
        return self.p_equivalence < self.alpha


def equivalence_test(first: ArrayLike, second: ArrayLike, margin: float, alpha: float = 0.05) -> Equivalence | None:
    """Two one-sided paired t tests (Schuirmann, J Pharmacokinet Biopharm 1987;15:657).

    Args:
        first: [N], one value per patient, finite.
        second: [N], the same patients in the same order.
        margin: difference of the means that does not matter, above 0, in their unit; to be chosen before looking.
        alpha: level, 0..0.5.

    Returns:
        None for fewer than two patients. Where all differences are equal, 0 or 1 in place of p.

    Raises:
        UsageError: a margin that is not above 0.
        ValueError: as `paired_test`.
    """
    if not margin > 0:
        raise UsageError(f"A margin of {margin} leaves no room for equivalence.", "Give what does not matter, above 0.")
    test = paired_test(first, second)
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if test.n < 2:
        return None
    mean, error = test.mean_difference, float((a - b).std(ddof=1)) / test.n**0.5
    if error <= _ROUNDING * max(abs(mean), margin):
        p_equivalence, reach = (0.0 if abs(mean) < margin else 1.0), 0.0
    else:
        tails = stats.t.sf([(mean + margin) / error, (margin - mean) / error], test.n - 1)
        p_equivalence, reach = float(tails.max()), float(stats.t.ppf(1 - alpha, test.n - 1)) * error
    spread = float(a.std() + b.std()) > 0
    p_unpaired = float(stats.ttest_ind(a, b, equal_var=False).pvalue) if spread else float(mean == 0)
    return Equivalence(
        test.n, margin, mean, Interval(mean - reach, mean + reach, "t"), p_equivalence, test.t_p, p_unpaired, alpha
    )
