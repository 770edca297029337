"""How far a measurement typically lies from what another reader would measure: the error that a flag must exceed.

Root mean square of the differences (bias and scatter together) between a network of the shipped cine bundle and the
experts of ACDC, in the 75 patients whom that network had never seen, at the frames that the data set names
(`python benchmarks/referral.py`, columns ``error_...`` of ``benchmarks/results/referral.csv``; a test compares them).
In use several networks are averaged, which err less, so the error is an upper bound of theirs on such patients. It is
of the size of what readers differ by: SD of 6 mL in LV end-diastolic volume and 11 g in LV mass between two (Lawton et
al., J Cardiovasc Magn Reson 2012;14(Suppl 1):T11); so the same figures serve masks that a person drew.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: In the unit of the key; every key that has a reference range.
ERRORS: Mapping[str, float] = MappingProxyType(
    {
        "lv_edv_ml": 5.7,
        "lv_esv_ml": 6.6,
        "lv_sv_ml": 7.3,
        "lv_ef_percent": 4.5,
        "lv_mass_g": 10.4,
        "lv_edvi_ml_m2": 3.2,
        "lv_esvi_ml_m2": 3.6,
        "lv_svi_ml_m2": 4.0,
        "lv_massi_g_m2": 5.8,
        "rv_edv_ml": 8.7,
        "rv_esv_ml": 15.0,
        "rv_sv_ml": 14.2,
        "rv_ef_percent": 9.0,
        "rv_edvi_ml_m2": 4.7,
        "rv_esvi_ml_m2": 8.0,
        "rv_svi_ml_m2": 7.4,
        "wall_thickness_ed_mean_mm": 0.7,
    }
)
