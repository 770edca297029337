"""Every feature: key, unit, definition, source. What `measurements.json` has too is defined there and not again."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cmrseg.quantify import definitions as cine_definitions
from cmrseg.quantify import lge_definitions
from cmrseg.quantify.definitions import Definition

_FIRST_ORDER = "first order; Zwanenburg et al., Radiology 2020;295:328 (IBSI)"
_SCAR = "the brightness of scar and no-reflow"
#: Brightness is told in SD of remote myocardium from its mean, so that scanners and their units do not matter.
_IN_SD = "in SD of remote myocardium above its mean"
#: Width of the bins of entropy and uniformity, in SD of remote myocardium.
BIN_WIDTH_SD = 1.0
#: Scar darker than this, in SD of remote myocardium above its mean, is dark.
DARK_SD = 2.0

_FROM_CINE = (
    "lv_edv_ml",
    "lv_esv_ml",
    "lv_sv_ml",
    "lv_ef_percent",
    "lv_mass_g",
    "rv_edv_ml",
    "rv_esv_ml",
    "rv_sv_ml",
    "rv_ef_percent",
    "wall_thickness_ed_max_mm",
    "wall_thickness_ed_mean_mm",
)
_FROM_LGE = (
    "lge_lv_mass_g",
    "lge_slices",
    "scar_mass_g",
    "scar_percent",
    "scar_volume_ml",
    "no_reflow_mass_g",
    "no_reflow_percent_of_scar",
    "scar_weighted_mass_g",
    "scar_core_mass_g",
    "scar_grey_zone_mass_g",
    "scar_segments",
    "scar_segments_over_50_percent",
    "scar_transmurality_mean_percent",
    "scar_transmurality_max_percent",
    "scar_endocardial_percent",
    "scar_midwall_percent",
    "scar_epicardial_percent",
    "scar_components",
    "scar_solidity",
    "scar_circularity",
    "scar_eccentricity",
)
_CINE_SHAPE = {
    "lv_mass_to_volume_g_ml": Definition("g/mL", "LV mass over volume", "LV mass / LV end-diastolic volume"),
    "lv_sphericity_ed": Definition(
        "",
        "LV sphericity",
        "at end-diastole, diameter of the disc of the largest area of LV cavity on a slice / (slices with LV cavity x "
        "slice distance); 1 for a ball, less for a longer ventricle",
        "geometry",
    ),
}
_LGE_SHAPE = {
    "scar_slices": Definition("", "Slices with scar", "slices on which scar or no-reflow is labelled", "geometry"),
    "scar_largest_percent": Definition(
        "%", "Largest scar", "100 x volume of the largest connected region (26 neighbours) / volume of all", "geometry"
    ),
    "scar_perimeter_mm": Definition(
        "mm", "Scar perimeter", "outlines of scar and no-reflow (Crofton), summed over slices", "geometry"
    ),
    "scar_perimeter_per_area_per_mm": Definition(
        "1/mm", "Scar perimeter over area", "perimeter / area, both summed over slices; large when ragged", "geometry"
    ),
}


def _first_order(key: str, label: str, definition: str, unit: str = "") -> dict[str, Definition]:
    return {f"scar_intensity_{key}": Definition(unit, f"Scar brightness, {label}", definition, _FIRST_ORDER)}


_INTENSITY = {
    **_first_order("mean_sd", "mean", f"mean of {_SCAR}, {_IN_SD}", "SD"),
    **_first_order("median_sd", "median", f"median of {_SCAR}, {_IN_SD}", "SD"),
    **_first_order("p10_sd", "10th percentile", f"10th percentile of {_SCAR}, {_IN_SD}", "SD"),
    **_first_order("p90_sd", "90th percentile", f"90th percentile of {_SCAR}, {_IN_SD}", "SD"),
    **_first_order(
        "iqr_sd", "interquartile range", f"75th - 25th percentile of {_SCAR}, in SD of remote myocardium", "SD"
    ),
    **_first_order("spread_sd", "spread", f"SD of {_SCAR}, in SD of remote myocardium", "SD"),
    **_first_order("skewness", "skewness", f"third central moment of {_SCAR} / SD^3"),
    **_first_order("kurtosis", "excess kurtosis", f"fourth central moment of {_SCAR} / SD^4 - 3"),
    **_first_order(
        "entropy_bits",
        "entropy",
        f"entropy of the histogram of {_SCAR}, bins {BIN_WIDTH_SD:g} SD of remote wide",
        "bit",
    ),
    **_first_order("uniformity", "uniformity", "sum of the squared shares of the same bins"),
    "scar_dark_percent": Definition(
        "%",
        "Dark part of scar",
        f"100 x voxels of scar and no-reflow below {DARK_SD:g} SD of remote myocardium above its mean / all of them; "
        "no-reflow that nobody outlined counts",
        "first order",
    ),
    "blood_intensity_mean_sd": Definition(
        "SD", "Blood brightness", f"mean brightness of the LV cavity, {_IN_SD}", "first order"
    ),
    "remote_voxels": Definition("", "Remote voxels", "voxels of remote myocardium that brightness is compared with"),
}

#: Every column but the first ones, in order: cine, then LGE.
FEATURES: Mapping[str, Definition] = MappingProxyType(
    {
        **{key: cine_definitions.CINE[key] for key in _FROM_CINE},
        **_CINE_SHAPE,
        **{key: lge_definitions.LGE[key] for key in _FROM_LGE},
        **_LGE_SHAPE,
        **_INTENSITY,
    }
)
CINE_FEATURES = (*_FROM_CINE, *_CINE_SHAPE)
LGE_FEATURES = (*_FROM_LGE, *_LGE_SHAPE, *_INTENSITY)
