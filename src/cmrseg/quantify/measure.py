"""From a segmentation to every number of the report."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg import labels
from cmrseg.errors import UsageError
from cmrseg.quantify import definitions, lge
from cmrseg.quantify.aha import AhaSegments, Level, aha_sectors
from cmrseg.quantify.body import body_surface_area_m2
from cmrseg.quantify.borders import find_borders
from cmrseg.quantify.heart_phases import HeartPhases, find_phases
from cmrseg.quantify.long_axis import find_long_axis
from cmrseg.quantify.volumes import (
    MYOCARDIUM_DENSITY_G_ML,
    SMALLEST_EDV_FOR_EF_ML,
    ejection_fraction_percent,
    volume_curves_ml,
)
from cmrseg.quantify.wall_thickness import local_thickness_mm, thickest_mm
from cmrseg.study import Finding, Image, Measurement, Measurements, Patient, Segmentation

#: A value in its unit, or None, and why there is none.
Known = tuple[float | None, str]

#: Nothing is known of the patient.
UNKNOWN_PATIENT = Patient()

#: Without a labelled cavity, the part of the slices whose myocardium must be a ring: filled contours are none.
LEAST_RINGS = 0.5


def measure(
    segmentation: Segmentation,
    *,
    patient: Patient = UNKNOWN_PATIENT,
    heart_rate_bpm: float | None = None,
    image: Image | None = None,
) -> Measurements:
    """Every number that a segmentation gives, each with unit, definition, source and healthy range.

    Args:
        segmentation: on the image's grid, labels of `labels.CINE`, or of `labels.LGE` or `labels.LGE_RV`, which go to
            `lge.measure_lge`.
        patient: height and weight for indexing; sex and age for reference ranges.
        heart_rate_bpm: beats per minute for cardiac output, above 0; None where not known.
        image: what was segmented; some numbers of scar are read from its brightness. A cine needs none.

    Returns:
        All keys of `definitions.CINE` or `lge_definitions.LGE`, in that order. What cannot be known has the value None
        and a note: a structure that is not labelled withholds what needs it and nothing else, one frame gives no
        end-systole, no ejection fraction is given under 10 mL.

    Raises:
        UsageError: for another label scheme; as `lge.measure_lge`.
    """
    if segmentation.scheme.name in lge.SCHEMES:
        return lge.measure_lge(segmentation, image, patient=patient)
    if segmentation.scheme.name != labels.CINE.name:
        raise UsageError(
            f"Masks of the scheme {segmentation.scheme.name!r} cannot be measured.",
            f"Give masks of {', '.join((labels.CINE.name, *lge.SCHEMES))}; `labels.convert` renumbers others.",
        )
    return _measure_cine(segmentation, patient, heart_rate_bpm)


def _measure_cine(segmentation: Segmentation, patient: Patient, heart_rate_bpm: float | None) -> Measurements:
    curves_ml = volume_curves_ml(segmentation)
    phases = _phases(segmentation, curves_ml)
    known = _volumes_and_mass(curves_ml, phases)
    known |= _mass_of_rings_only(segmentation, curves_ml, phases)
    known |= _output_and_rate(known, heart_rate_bpm)
    known |= _indexed(known, body_surface_area_m2(patient))
    wall = _wall_at_end_diastole(segmentation, phases)
    known |= wall.known
    values: list[Measurement] = []
    for key in definitions.CINE:
        value, note = known[key]
        values.append(definitions.measurement(key, value, patient, note))
    return Measurements(
        kind="cine",
        values=tuple(values),
        ed_frame=phases.ed_frame,
        es_frame=phases.es_frame,
        curves_ml=curves_ml,
        segment_tables={"wall_thickness_ed_mm": wall.by_segment_mm},
        findings=wall.findings,
        base_first=wall.base_first,
    )


def _phases(segmentation: Segmentation, curves_ml: dict[str, NDArray[np.float64]]) -> HeartPhases:
    """End-diastole and end-systole from the LV cavity; where none is labelled, from what the myocardium encloses, or
    from the RV cavity."""
    phases = find_phases(curves_ml["lv_cavity"])
    if phases.ed_frame is not None:
        return phases
    enclosed = np.array([_enclosed(frame == labels.CINE["lv_myocardium"]).sum() for frame in segmentation.labels])
    for curve, word in (
        (enclosed.astype(np.float64), "what the LV myocardium encloses"),
        (curves_ml["rv_cavity"], "the RV cavity"),
    ):
        found = find_phases(curve)
        if found.ed_frame is not None:
            note = f"No LV cavity is labelled; {word} told end-diastole and end-systole."
            return replace(found, note=f"{note} {found.note}".strip())
    return phases


def _enclosed(myocardium_ZYX: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What the myocardium surrounds on each slice."""
    filled = np.stack([ndimage.binary_fill_holes(myocardium_YX) for myocardium_YX in myocardium_ZYX])
    return filled & ~myocardium_ZYX


def _mass_of_rings_only(
    segmentation: Segmentation, curves_ml: dict[str, NDArray[np.float64]], phases: HeartPhases
) -> dict[str, Known]:
    """Withhold the mass of myocardium that hardly encloses anything where no cavity is labelled.

    Filled epicardial contours look so; they hold the cavity too, and would weigh twice a heart.
    """
    withheld: dict[str, Known] = {}
    for key, frame in (("lv_mass_g", phases.ed_frame), ("lv_mass_es_g", phases.es_frame)):
        if frame is None or curves_ml["lv_cavity"][frame] > 0.0:
            continue
        myocardium = segmentation.labels[frame] == labels.CINE["lv_myocardium"]
        rings, slices = (mask.any(axis=(1, 2)).sum() for mask in (_enclosed(myocardium), myocardium))
        if rings < LEAST_RINGS * slices:
            note = "No LV cavity is labelled and the myocardium encloses none: filled contours would weigh too much."
            withheld[key] = (None, note)
    return withheld


def _volumes_and_mass(curves_ml: dict[str, NDArray[np.float64]], phases: HeartPhases) -> dict[str, Known]:
    """Volumes, stroke volume and ejection fraction of both ventricles, and LV mass at both phases."""
    known: dict[str, Known] = {}
    for side in ("lv", "rv"):
        curve = curves_ml[f"{side}_cavity"]
        edv = known[f"{side}_edv_ml"] = _at(curve, phases.ed_frame, f"{side}_cavity", "end-diastole", phases)
        esv = known[f"{side}_esv_ml"] = _at(curve, phases.es_frame, f"{side}_cavity", "end-systole", phases)
        known[f"{side}_sv_ml"], known[f"{side}_ef_percent"] = _stroke_volume_and_fraction(edv, esv)
    for key, frame, word in (
        ("lv_mass_g", phases.ed_frame, "end-diastole"),
        ("lv_mass_es_g", phases.es_frame, "end-systole"),
    ):
        volume, note = _at(curves_ml["lv_myocardium"], frame, "lv_myocardium", word, phases)
        known[key] = (None if volume is None else MYOCARDIUM_DENSITY_G_ML * volume, note)
    return known


def _at(curve_ml: NDArray[np.float64], frame: int | None, name: str, phase: str, phases: HeartPhases) -> Known:
    """Volume at a frame; None where the frame is not known or the structure is not labelled there."""
    if frame is None:
        return None, phases.note
    if curve_ml[frame] == 0.0:
        return None, f"No {labels.WORDS[name]} is labelled at {phase}."
    return float(curve_ml[frame]), phases.note


def _stroke_volume_and_fraction(edv: Known, esv: Known) -> tuple[Known, Known]:
    if edv[0] is None or esv[0] is None:
        missing: Known = (None, edv[1] if edv[0] is None else esv[1])
        return missing, missing
    fraction = ejection_fraction_percent(edv[0], esv[0])
    note = f"Not given for an end-diastolic volume under {SMALLEST_EDV_FOR_EF_ML:.0f} mL." if fraction is None else ""
    return (edv[0] - esv[0], ""), (fraction, note)


def _output_and_rate(known: dict[str, Known], heart_rate_bpm: float | None) -> dict[str, Known]:
    """Heart rate as given, and cardiac output from it."""
    if heart_rate_bpm is None or not (np.isfinite(heart_rate_bpm) and heart_rate_bpm > 0):
        missing: Known = (None, "The study does not give a heart rate.")
        return {"heart_rate_bpm": missing, "lv_co_l_min": missing}
    stroke_volume, note = known["lv_sv_ml"]
    output = None if stroke_volume is None else stroke_volume * heart_rate_bpm / 1000.0
    return {"heart_rate_bpm": (float(heart_rate_bpm), ""), "lv_co_l_min": (output, note)}


def _indexed(known: dict[str, Known], bsa: Known) -> dict[str, Known]:
    """Body surface area, and what is divided by it."""
    pairs = {f"{side}_{v}i_ml_m2": f"{side}_{v}_ml" for side in ("lv", "rv") for v in ("edv", "esv", "sv")}
    pairs |= {"lv_ci_l_min_m2": "lv_co_l_min", "lv_massi_g_m2": "lv_mass_g"}
    indexed: dict[str, Known] = {"bsa_m2": bsa}
    for key, plain in pairs.items():
        value, note = known[plain]
        if value is None:
            indexed[key] = (None, note)
        elif bsa[0] is None:
            indexed[key] = (None, f"Not indexed: {bsa[1]}")
        else:
            indexed[key] = (value / bsa[0], note)
    return indexed


@dataclass(frozen=True)
class _Wall:
    """Wall thickness at end-diastole: values by key and by AHA segment (float64[16], NaN where not seen)."""

    known: dict[str, Known]
    by_segment_mm: NDArray[np.float64]
    findings: tuple[Finding, ...]
    base_first: bool | None


def _wall_at_end_diastole(segmentation: Segmentation, phases: HeartPhases) -> _Wall:
    by_segment = np.full(16, np.nan)
    if phases.ed_frame is None:
        return _Wall(
            _wall_values(by_segment, None, None, phases.note), by_segment, (), segmentation.geometry.base_first
        )
    frame, scheme = segmentation.labels[phases.ed_frame], segmentation.scheme
    myocardium, cavity, right = (scheme.mask(frame, n) for n in ("lv_myocardium", "lv_cavity", "rv_cavity"))
    for name, mask in (("lv_myocardium", myocardium), ("lv_cavity", cavity)):
        if not mask.any():
            base_first = find_long_axis(myocardium | cavity, right, segmentation.geometry).base_first
            note = f"No {labels.WORDS[name]} is labelled at end-diastole."
            return _Wall(_wall_values(by_segment, None, None, note), by_segment, (), base_first)
    aha = aha_sectors(myocardium, cavity, right, segmentation.geometry)
    rays = _thickness_by_slice(myocardium, cavity, aha, segmentation.geometry.spacing_xyz_mm[:2])

    segment = np.concatenate([aha.segment_at(level, angles) for level, angles, _ in rays] or [np.zeros(0, np.uint8)])
    thickness = np.concatenate([mm for _, _, mm in rays] or [np.zeros(0)])
    for number in range(1, 17):
        if (segment == number).any():
            by_segment[number - 1] = thickness[segment == number].mean()
    thick = [thickest_mm(mm) for level, _, mm in rays if level in (Level.BASAL, Level.MID)]
    mid = [mm for level, _, mm in rays if level is Level.MID]
    note = (
        "No slice of this part of the wall shows myocardium all around the cavity." if aha.oriented or not rays else ""
    )
    note = note or (aha.findings[0].message if aha.findings else "")
    values = _wall_values(by_segment, max(thick, default=None), float(np.mean(mid)) if mid else None, note)
    return _Wall(values, by_segment, aha.findings, aha.long_axis.base_first)


def _thickness_by_slice(
    myocardium: NDArray[np.bool_], cavity: NDArray[np.bool_], aha: AhaSegments, spacing_xy: tuple[float, float]
) -> list[tuple[Level, NDArray[np.float64], NDArray[np.float64]]]:
    """Level, angles and local thickness of every slice with a closed ring of myocardium."""
    rays = []
    for z in np.flatnonzero(aha.closed_ring):
        borders = find_borders(myocardium[z], cavity[z], spacing_xy, mirrored=aha.long_axis.mirrored)
        if borders is not None:
            rays.append((aha.levels[z], borders.angles, local_thickness_mm(borders)))
    return rays


def _wall_values(
    by_segment: NDArray[np.float64], greatest: float | None, mid_mean: float | None, note: str
) -> dict[str, Known]:
    known: dict[str, Known] = {
        "wall_thickness_ed_max_mm": (greatest, "" if greatest is not None else note),
        "wall_thickness_ed_mean_mm": (mid_mean, "" if mid_mean is not None else note),
    }
    for number, value in enumerate(by_segment, start=1):
        here: Known = (None, note) if np.isnan(value) else (float(value), "")
        known[f"wall_thickness_ed_aha{number:02d}_mm"] = here
    return known
