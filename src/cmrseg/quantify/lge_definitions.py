"""What each LGE measurement is called, how it is defined, and whose definition it is. One line per key."""

from __future__ import annotations

from cmrseg.quantify import aha, transmurality
from cmrseg.quantify.definitions import SCMR, Definition
from cmrseg.study import Measurement

_CONSENSUS = "JACC Scientific Expert Panel, Ibanez et al., J Am Coll Cardiol 2019;74:238"
_INFARCT = "scar and no-reflow"
_DISCS = "pixel area x slice distance, the gap included"
_ZONES = "Schmidt et al., Circulation 2007;115:2006"
_CHORD = f"part of the wall that is {_INFARCT}, along 100 chords per slice from endocardium to epicardium"
_SHAPE = "mean over the regions of all slices, weighted by area"
_LAYER = f"part of the volume of {_INFARCT} that lies in the"
_SEGMENTS = f"{aha.SOURCE}; {transmurality.SOURCE}"
#: A segment has scar from this mean transmurality on, and is mostly scar above the other. The first is ours: a few
#: pixels, or scar of the next segment that reaches over the border, make no segment scarred. In 474 segments of 30
#: patients of MyoPS, networks and experts agree on which have scar with a kappa of 0.76 at 5 %, and of 0.73 at 1 %.
SEGMENT_SCAR_PERCENT, SEGMENT_MOSTLY_SCAR_PERCENT = 5.0, 50.0


def _segment(number: int, which: str) -> Definition:
    over = "over its chords" if number <= 16 else "of its area, which has no chords: part that is scar or no-reflow"
    word = {"mean": "Mean", "max": "Greatest"}[which]
    chord = f"{word.lower()} {over} of the {_CHORD}" if number <= 16 else f"{word.lower()} over the slices {over}"
    return Definition("%", f"{word} transmurality of scar, AHA segment {number}", chord, _SEGMENTS)


#: Every key of an LGE stack, in the order a report shows them.
LGE: dict[str, Definition] = {
    "scar_mass_g": Definition("g", "Scar mass", f"volume of {_INFARCT} x 1.05 g/mL", _CONSENSUS),
    "scar_percent": Definition("%", "Scar, of LV mass", f"100 x mass of {_INFARCT} / LV mass on LGE", _CONSENSUS),
    "scar_volume_ml": Definition("mL", "Scar volume", f"volume of {_INFARCT}: {_DISCS}", _CONSENSUS),
    "no_reflow_mass_g": Definition(
        "g", "No-reflow mass", "volume of no-reflow (dark core of the infarct) x 1.05 g/mL", _CONSENSUS
    ),
    "no_reflow_percent_of_scar": Definition(
        "%", "No-reflow, of scar", f"100 x mass of no-reflow / mass of {_INFARCT}", _CONSENSUS
    ),
    "scar_weighted_mass_g": Definition(
        "g",
        "Scar mass weighted by brightness",
        "sum over scar and its neighbours of the part of each voxel that is scar, by its brightness between the "
        "medians of remote myocardium and scar; no-reflow counts whole; x 1.05 g/mL",
        "after Engblom et al., J Cardiovasc Magn Reson 2016;18:27",
    ),
    "scar_core_mass_g": Definition(
        "g",
        "Scar core mass",
        "scar of at least 50 % of the way from remote myocardium to the brightest scar, and no-reflow; x 1.05 g/mL",
        _ZONES,
    ),
    "scar_grey_zone_mass_g": Definition(
        "g",
        "Scar grey zone mass",
        "scar below the core's brightness, and remote myocardium beside it of 35 to 50 % of the way; x 1.05 g/mL; core "
        "and grey zone together hold all of the scar, and more where that myocardium is counted",
        _ZONES,
    ),
    "lge_lv_mass_g": Definition("g", "LV mass on LGE", f"whole LV myocardium x 1.05 g/mL: {_DISCS}"),
    "lge_slices": Definition("", "LGE slices with LV myocardium", "slices on which LV myocardium is labelled", SCMR),
    "scar_segments": Definition(
        "",
        "AHA segments with scar",
        f"segments with a mean transmurality of at least {SEGMENT_SCAR_PERCENT:.0f} %; less is a few pixels, or scar "
        "of the next segment (limit of cmrseg)",
        _SEGMENTS,
    ),
    "scar_segments_over_50_percent": Definition(
        "",
        "AHA segments mostly scar",
        f"segments with a mean transmurality above {SEGMENT_MOSTLY_SCAR_PERCENT:.0f} %; few recover when chronic",
        _SEGMENTS,
    ),
    "scar_transmurality_mean_percent": Definition(
        "%", "Mean transmurality of scar", f"mean over the chords that meet scar of the {_CHORD}", transmurality.SOURCE
    ),
    "scar_transmurality_max_percent": Definition(
        "%", "Greatest transmurality of scar", f"greatest of all chords of the {_CHORD}", transmurality.SOURCE
    ),
    "scar_endocardial_percent": Definition("%", "Scar in the inner third", f"{_LAYER} inner third of the wall"),
    "scar_midwall_percent": Definition("%", "Scar in the middle third", f"{_LAYER} middle third of the wall"),
    "scar_epicardial_percent": Definition("%", "Scar in the outer third", f"{_LAYER} outer third of the wall"),
    "scar_components": Definition(
        "", "Scar components", f"connected regions of {_INFARCT} (26 neighbours)", "geometry"
    ),
    "scar_solidity": Definition("", "Scar solidity", f"area / area of the convex hull, {_SHAPE}", "geometry"),
    "scar_circularity": Definition("", "Scar circularity", f"4 pi area / perimeter^2, {_SHAPE}", "geometry"),
    "scar_eccentricity": Definition(
        "", "Scar eccentricity", f"of the ellipse of equal second moments, {_SHAPE}", "geometry"
    ),
    **{f"transmurality_mean_aha{n:02d}_percent": _segment(n, "mean") for n in range(1, 18)},
    **{f"transmurality_max_aha{n:02d}_percent": _segment(n, "max") for n in range(1, 18)},
}


def measurement(key: str, value: float | None, note: str = "") -> Measurement:
    """A measurement with its name and definition; `note` says why there is no value, or a caveat."""
    entry = LGE[key]
    return Measurement(key, value, entry.unit, entry.label, entry.definition, entry.source, None, note)
