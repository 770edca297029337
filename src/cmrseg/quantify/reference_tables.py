"""Published values of healthy people, by sex and age.

Only figures checked against a stored copy of the paper, its abstract, or two transcriptions of its table by different
authors are here. Tables of the other convention (papillary muscles counted as myocardium) are left out on purpose: they
differ by more than the diseases they are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Sex = Literal["F", "M"]
Interval = tuple[int, int]


@dataclass(frozen=True)
class ReferenceTable:
    """Healthy values of one paper for one band of ages.

    Args:
        source: paper, table, and papillary convention.
        people: whom the table speaks for, by sex, e.g. ``"healthy women"``.
        age_years: youngest and oldest age (whole years); None for no oldest.
        values: mean and SD by measurement key and sex. Where the paper prints the interval that holds 95 % of healthy
            people, the middle of it and a quarter of its width, so that mean +- 2 SD is the interval as printed.
    """

    source: str
    people: Mapping[Sex, str]
    age_years: tuple[int, int | None]
    values: Mapping[str, Mapping[Sex, tuple[float, float]]]


_HEALTHY_HEARTS = (
    "Raisi-Estabragh et al., JACC Cardiovasc Imaging 2024;17:746 (Healthy Hearts Consortium), Supplemental Tables "
    "3 (women) and 33 (men), 95 % prediction interval, smooth segmentation: papillary muscles and trabeculae belong to "
    "the cavity, as here"
)
_HEALTHY_HEARTS_AGES: tuple[tuple[int, int | None], ...] = (
    (18, 29),
    (30, 39),
    (40, 49),
    (50, 59),
    (60, 69),
    (70, None),
)

#: Limits in the order of the ages above, as printed: Supplemental Table 3, women of White ethnicity.
_WOMEN: Mapping[str, tuple[Interval, ...]] = MappingProxyType(
    {
        "lv_edv_ml": ((107, 191), (101, 185), (94, 179), (88, 173), (82, 166), (76, 160)),
        "lv_esv_ml": ((36, 82), (33, 78), (30, 75), (27, 72), (24, 69), (20, 66)),
        "lv_sv_ml": ((62, 119), (58, 116), (55, 113), (52, 110), (49, 107), (46, 103)),
        "lv_ef_percent": ((49, 72), (49, 72), (50, 73), (51, 74), (51, 74), (52, 75)),
        "lv_mass_g": ((55, 102), (54, 101), (53, 99), (51, 98), (50, 97), (49, 96)),
        "lv_edvi_ml_m2": ((60, 102), (57, 99), (54, 96), (51, 93), (48, 90), (46, 87)),
        "lv_esvi_ml_m2": ((20, 44), (19, 42), (17, 41), (15, 39), (14, 38), (12, 36)),
        "lv_svi_ml_m2": ((34, 64), (33, 62), (32, 61), (30, 59), (29, 58), (27, 57)),
        "lv_massi_g_m2": ((32, 52), (32, 52), (32, 51), (31, 51), (31, 51), (31, 50)),
        "rv_edv_ml": ((105, 197), (99, 191), (93, 185), (87, 179), (81, 173), (75, 167)),
        "rv_esv_ml": ((37, 86), (33, 82), (30, 79), (26, 75), (23, 72), (19, 68)),
        "rv_sv_ml": ((59, 121), (56, 119), (54, 116), (51, 114), (49, 111), (46, 109)),
        "rv_ef_percent": ((47, 71), (48, 72), (49, 73), (50, 74), (51, 75), (52, 76)),
        "rv_edvi_ml_m2": ((60, 104), (57, 102), (54, 99), (51, 96), (48, 93), (46, 91)),
        "rv_esvi_ml_m2": ((21, 46), (19, 44), (17, 43), (15, 41), (14, 39), (12, 37)),
        "rv_svi_ml_m2": ((33, 65), (32, 64), (31, 63), (30, 62), (29, 61), (28, 60)),
    }
)

#: Supplemental Table 33, men of White ethnicity.
_MEN: Mapping[str, tuple[Interval, ...]] = MappingProxyType(
    {
        "lv_edv_ml": ((134, 252), (126, 244), (117, 235), (109, 227), (101, 218), (92, 210)),
        "lv_esv_ml": ((46, 113), (42, 109), (39, 105), (35, 101), (31, 98), (27, 94)),
        "lv_sv_ml": ((75, 151), (71, 147), (66, 142), (62, 137), (57, 133), (52, 128)),
        "lv_ef_percent": ((46, 71), (46, 71), (47, 72), (47, 72), (47, 72), (48, 73)),
        "lv_mass_g": ((82, 152), (79, 149), (76, 147), (73, 144), (70, 141), (67, 138)),
        "lv_edvi_ml_m2": ((65, 119), (61, 116), (58, 112), (54, 109), (51, 106), (48, 102)),
        "lv_esvi_ml_m2": ((22, 54), (21, 52), (19, 50), (18, 49), (16, 47), (14, 46)),
        "lv_svi_ml_m2": ((36, 72), (34, 70), (32, 68), (31, 66), (29, 64), (27, 63)),
        "lv_massi_g_m2": ((42, 69), (41, 68), (40, 67), (39, 66), (38, 65), (37, 64)),
        "rv_edv_ml": ((146, 269), (136, 260), (127, 250), (117, 240), (108, 231), (98, 221)),
        "rv_esv_ml": ((55, 126), (50, 121), (45, 116), (40, 111), (34, 106), (29, 101)),
        "rv_sv_ml": ((76, 159), (71, 155), (67, 150), (62, 146), (58, 141), (53, 136)),
        "rv_ef_percent": ((43, 69), (44, 70), (45, 71), (45, 71), (46, 72), (46, 72)),
        "rv_edvi_ml_m2": ((70, 128), (66, 124), (62, 120), (58, 116), (54, 112), (50, 108)),
        "rv_esvi_ml_m2": ((26, 60), (24, 58), (22, 56), (20, 53), (17, 51), (15, 49)),
        "rv_svi_ml_m2": ((36, 76), (34, 74), (32, 72), (31, 71), (29, 69), (27, 67)),
    }
)


def _mean_and_sd(interval: Interval) -> tuple[float, float]:
    low, high = interval
    return (low + high) / 2, (high - low) / 4


#: One table for each band of ages. Cardiac output is left out: it is printed in whole litres, too coarse to be of use.
HEALTHY_HEARTS: tuple[ReferenceTable, ...] = tuple(
    ReferenceTable(
        source=_HEALTHY_HEARTS,
        people=MappingProxyType({"F": "healthy women of White ethnicity", "M": "healthy men of White ethnicity"}),
        age_years=ages,
        values=MappingProxyType(
            {
                key: MappingProxyType({"F": _mean_and_sd(_WOMEN[key][band]), "M": _mean_and_sd(_MEN[key][band])})
                for key in _WOMEN
            }
        ),
    )
    for band, ages in enumerate(_HEALTHY_HEARTS_AGES)
)

#: The abstract gives the age of the cohort as 65.6 +- 8.5 years: two SD either way is what the table speaks for.
MESA_WALL_THICKNESS = ReferenceTable(
    source=(
        "Kawel et al., Circ Cardiovasc Imaging 2012;5:500 (MESA, 131 men and 169 women), mean +- 2 SD, short-axis "
        "mid-cavity level at end-diastole; papillary muscles left out of the wall, as here"
    ),
    people=MappingProxyType({"F": "healthy women", "M": "healthy men"}),
    age_years=(49, 82),
    values=MappingProxyType({"wall_thickness_ed_mean_mm": {"M": (6.3, 1.1), "F": (5.3, 0.9)}}),
)

TABLES: tuple[ReferenceTable, ...] = (*HEALTHY_HEARTS, MESA_WALL_THICKNESS)
