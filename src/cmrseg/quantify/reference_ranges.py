"""Where healthy people lie, by sex and age: small tables, each entry with its source.

Only figures checked against a stored copy of the paper, its abstract, or two independent transcriptions of its table
are here; a measurement without an entry has no reference range. Mean +- 2 SD is about the central 95 % of healthy
people of that cohort, not a limit of disease. Tables of other conventions (papillary muscles counted as muscle) are
left out on purpose: they differ by more than the diseases they are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cmrseg.study import Patient, ReferenceRange

Sex = Literal["F", "M"]
_SEX_WORD: Mapping[Sex, str] = {"F": "women", "M": "men"}


@dataclass(frozen=True)
class ReferenceTable:
    """Healthy values of one paper.

    Args:
        source: paper, table, and papillary convention.
        age_years: youngest and oldest age (whole years) the table speaks for.
        values: mean and SD by measurement key and sex.
    """

    source: str
    age_years: tuple[int, int]
    values: Mapping[str, Mapping[Sex, tuple[float, float]]]


UK_BIOBANK = ReferenceTable(
    source=(
        "Petersen et al., J Cardiovasc Magn Reson 2017;19:18 (UK Biobank, 368 men and 432 women, 1.5 T), Table 12, "
        "mean and SD by gender; papillary muscles belong to the cavity, as here"
    ),
    age_years=(45, 74),
    values=MappingProxyType(
        {
            "lv_edv_ml": {"M": (166.0, 32.0), "F": (124.0, 21.0)},
            "lv_esv_ml": {"M": (69.0, 16.0), "F": (49.0, 11.0)},
            "lv_sv_ml": {"M": (96.0, 20.0), "F": (75.0, 14.0)},
            "lv_ef_percent": {"M": (58.0, 5.0), "F": (61.0, 5.0)},
            "lv_svi_ml_m2": {"M": (49.0, 10.0), "F": (45.0, 8.0)},
            "lv_massi_g_m2": {"M": (53.0, 9.0), "F": (42.0, 7.0)},
        }
    ),
)

#: The abstract gives the age of the cohort as 65.6 +- 8.5 years: two SD either way is what the table speaks for.
MESA_WALL_THICKNESS = ReferenceTable(
    source=(
        "Kawel et al., Circ Cardiovasc Imaging 2012;5:500 (MESA, 131 men and 169 women), mean of the short-axis "
        "mid-cavity level at end-diastole; papillary muscles left out of the wall, as here"
    ),
    age_years=(49, 82),
    values=MappingProxyType({"wall_thickness_ed_mean_mm": {"M": (6.3, 1.1), "F": (5.3, 0.9)}}),
)

TABLES: tuple[ReferenceTable, ...] = (UK_BIOBANK, MESA_WALL_THICKNESS)


def reference_range(key: str, patient: Patient) -> tuple[ReferenceRange | None, str]:
    """Healthy range of a measurement for this patient's sex and age.

    Sexes and ages are never pooled, and a table is never stretched beyond its ages.

    Args:
        key: measurement key, e.g. ``"lv_edv_ml"``.
        patient: sex and age in years decide; None where unknown.

    Returns:
        The range and an empty note; None and the reason where a table exists but does not speak for this patient;
        None and an empty note where there is no table.
    """
    for table in TABLES:
        if key not in table.values:
            continue
        youngest, oldest = table.age_years
        if patient.sex is None:
            return None, "No reference range: sex is not known."
        if patient.age_years is None:
            return None, f"No reference range: age is not known (the table is for {youngest} to {oldest} years)."
        if not youngest <= patient.age_years < oldest + 1:
            return None, f"No reference range: the table is for {youngest} to {oldest} years."
        mean, sd = table.values[key][patient.sex]
        group = f"healthy {_SEX_WORD[patient.sex]}, {youngest} to {oldest} years"
        return ReferenceRange(mean, sd, group, table.source), ""
    return None, ""
