"""Patients divided by diagnosis and by how severe their disease is, with the definition that is printed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cmrseg.evaluate.cine import CineScore

#: Name, lowest LVEF in percent (included) and highest (excluded), both of the truth.
SEVERITY_BANDS = (("mild", 50.0, np.inf), ("moderate", 30.0, 50.0), ("severe", -np.inf, 30.0))
SEVERITY_DEFINITION = (
    "Severity by the LVEF of the truth, at its end-diastolic and end-systolic frame: "
    "mild 50 % and above (normal included), moderate 30 % to below 50 %, severe below 30 %."
)
#: Patients whose truth has no group, or no LVEF.
UNKNOWN = "unknown"


def severity(lv_ef_percent: float) -> str:
    """Name of the band that an LVEF lies in; `UNKNOWN` for NaN."""
    return next((name for name, low, high in SEVERITY_BANDS if low <= lv_ef_percent < high), UNKNOWN)


def by_group(scores: Sequence[CineScore]) -> dict[str, list[CineScore]]:
    """Patients by diagnostic group as the data set calls it, in the order of the alphabet, `UNKNOWN` last."""
    groups: dict[str, list[CineScore]] = defaultdict(list)
    for score in scores:
        groups[score.group or UNKNOWN].append(score)
    return {name: groups[name] for name in sorted(groups, key=lambda name: (name == UNKNOWN, name))}


def by_severity(scores: Sequence[CineScore]) -> dict[str, list[CineScore]]:
    """Patients by `SEVERITY_BANDS`, mildest first; bands without patients are not there."""
    groups: dict[str, list[CineScore]] = {}
    for name in (*(band[0] for band in SEVERITY_BANDS), UNKNOWN):
        members = [score for score in scores if severity(score.lv_ef_truth) == name]
        if members:
            groups[name] = members
    return groups
