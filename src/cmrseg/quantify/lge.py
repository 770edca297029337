"""Scar in numbers: how much, where, how deep, and of what shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg import labels
from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.quantify import lge_definitions as definitions
from cmrseg.quantify.aha import AhaSegments, aha_sectors
from cmrseg.quantify.scar import ScarConfig, find_scar
from cmrseg.quantify.scar.regions import depth_mm
from cmrseg.quantify.scar.zones import scar_zones
from cmrseg.quantify.scar_shape import SMALLEST_REGION_PIXELS, scar_shape
from cmrseg.quantify.transmurality import by_segment, layers_percent, scar_chords
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.study import Finding, Image, Measurements, Patient, Segmentation

Mask = NDArray[np.bool_]
Known = tuple[float | None, str]
SCHEMES = (labels.LGE.name, labels.LGE_RV.name)
#: Strips no deeper than this may be the blur of blood or fat into the wall; said where they make up this part of it.
RIM_MM, RIM_FRACTION = 1.2, 0.5
#: With less of the myocardium remote, a threshold has nothing to compare the scar with.
LEAST_REMOTE_FRACTION = 0.05
#: Less is printed as 0.0 g and explains nothing.
SHOWN_FROM_G = 0.05
_NO_SCAR = "No scar is labelled."
#: Keys that need no scar; those of no-reflow alone; those that count it with the scar.
_OF_THE_WHOLE_WALL = ("lge_lv_mass_g", "lge_slices")
_OF_NO_REFLOW = ("no_reflow_mass_g", "no_reflow_percent_of_scar")
_WITH_NO_REFLOW = ("scar_mass_g", "scar_percent", "scar_volume_ml")
#: What it means for the scar that no-reflow is not assessed.
WITHOUT_NO_REFLOW = (
    "No-reflow within the scar may have been labelled remote myocardium or LV cavity; the scar is larger than measured "
    "then."
)
UNKNOWN_PATIENT = Patient()


@dataclass(frozen=True)
class _Masks:
    """The structures of one LGE frame, boolean [Z, Y, X]; `scar` leaves no-reflow out; `rv` is None where not drawn."""

    cavity: Mask
    remote: Mask
    scar: Mask
    no_reflow: Mask
    rv: Mask | None
    geometry: Geometry

    @classmethod
    def of(cls, segmentation: Segmentation) -> _Masks:
        """The structures of a segmentation's only frame."""
        frame, scheme = segmentation.labels[0], segmentation.scheme
        return cls(
            cavity=scheme.mask(frame, "lv_cavity"),
            remote=scheme.mask(frame, "lv_myocardium"),
            scar=scheme.mask(frame, "scar"),
            no_reflow=scheme.mask(frame, "no_reflow"),
            rv=scheme.mask(frame, "rv_cavity") if _tells(segmentation, "rv_cavity") else None,
            geometry=segmentation.geometry,
        )

    @cached_property
    def infarct(self) -> Mask:
        """Scar and no-reflow."""
        return self.scar | self.no_reflow

    @cached_property
    def muscle(self) -> Mask:
        """The whole LV myocardium."""
        return self.remote | self.infarct

    def grams(self, voxels: float) -> float:
        """Mass of a number of voxels of myocardium."""
        return float(voxels) * self.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML


def measure_lge(
    segmentation: Segmentation,
    image: Image | None = None,
    *,
    patient: Patient = UNKNOWN_PATIENT,
    method: str | ScarConfig | None = None,
) -> Measurements:
    """Every number that an LGE segmentation gives, each with unit, definition and source.

    Scar mass includes no-reflow, which is reported apart as well.

    Args:
        segmentation: labels of `labels.LGE` or `labels.LGE_RV`, [1, Z, Y, X]. Without the RV, AHA segments cannot be
            oriented and have no values.
        image: the LGE image, for core, grey zone and weighted mass; they have no value without it.
        patient: taken for the same call as a cine's; no LGE number depends on it.
        method: find the scar anew by this method of `scar.METHODS`; None to measure the scar that is labelled.

    Returns:
        All keys of `lge_definitions.LGE`, in that order; what the masks' maker cannot tell has the value None and a
        note (`Segmentation.not_assessed`); `segment_tables` has ``transmurality_mean_percent`` and
        ``transmurality_max_percent``, float64[17], NaN where a segment is not seen. No scar is a scar of 0 g; shape,
        layers and zones then have the value None and a note. Without muscle nothing has a value but the slices, 0.

    Raises:
        UsageError: another label scheme, several frames, a method without an image; as `find_scar`.
        InputRefused: as `find_scar`.

    Source: Ibanez et al., J Am Coll Cardiol 2019;74:238; SCMR, J Cardiovasc Magn Reson 2020;22:19.
    """
    del patient
    if segmentation.scheme.name not in SCHEMES or len(segmentation.labels) != 1:
        raise UsageError(
            f"Masks {list(segmentation.labels.shape)} of the scheme {segmentation.scheme.name!r} are no LGE masks.",
            f"Give one frame in {' or '.join(SCHEMES)}.",
        )
    if image is not None and image.data.shape != segmentation.labels.shape:
        raise UsageError("The LGE image and its masks differ in shape.", "Give masks on the image's grid.")
    found: tuple[Finding, ...] = ()
    if method is not None:
        if image is None:
            raise UsageError("Scar cannot be found without the image.", "Give the image, or no method.")
        before = len(segmentation.findings)
        segmentation = find_scar(image, segmentation, method)
        found = segmentation.findings[before:]
    masks = _Masks.of(segmentation)
    if not masks.muscle.any():
        return _nothing(found)

    aha = aha_sectors(masks.muscle, masks.cavity, masks.rv, masks.geometry)
    wall, tables = _wall(masks, aha)
    zones, zone_findings = _zones(masks, image)
    known = _masses(masks) | zones | wall | _layers_and_shape(masks)
    known, tables = _as_far_as_assessed(known, tables, segmentation)
    return Measurements(
        kind="lge",
        values=tuple(definitions.measurement(key, *known[key]) for key in definitions.LGE),
        segment_tables=tables,
        findings=(*found, *aha.findings, *zone_findings, *_only_at_rim(masks), *_not_assessed(segmentation)),
        base_first=aha.long_axis.base_first,
    )


def _tells(segmentation: Segmentation, name: str) -> bool:
    """Whether the masks tell of a structure that it is there or not."""
    return name in segmentation.scheme.numbers and name not in segmentation.not_assessed


def _as_far_as_assessed(
    known: dict[str, Known], tables: dict[str, NDArray[np.float64]], segmentation: Segmentation
) -> tuple[dict[str, Known], dict[str, NDArray[np.float64]]]:
    """The same without numbers of what the masks' maker cannot tell, and with a caveat on those that depend on it."""
    why = segmentation.not_assessed
    if "scar" in why:
        missing: Known = (None, f"Not assessed. {why['scar']}")
        return {key: value if key in _OF_THE_WHOLE_WALL else missing for key, value in known.items()}, {}
    if "no_reflow" in why:
        known = known | dict.fromkeys(_OF_NO_REFLOW, (None, f"Not assessed. {why['no_reflow']}"))
        if known["scar_mass_g"][0]:
            known |= {key: (known[key][0], WITHOUT_NO_REFLOW) for key in _WITH_NO_REFLOW}
    return known, tables


def _not_assessed(segmentation: Segmentation) -> tuple[Finding, ...]:
    """One finding for every structure that the masks' maker cannot tell."""
    return tuple(
        Finding(
            "structure_not_assessed",
            "info",
            f"{labels.WORDS[name][:1].upper()}{labels.WORDS[name][1:]} is not assessed. {why}"
            + (f" {WITHOUT_NO_REFLOW}" if name == "no_reflow" else ""),
        )
        for name, why in segmentation.not_assessed.items()
    )


def _nothing(found: tuple[Finding, ...]) -> Measurements:
    note = "No LV myocardium is labelled."
    values = [definitions.measurement(key, 0.0 if key == "lge_slices" else None, note) for key in definitions.LGE]
    missing = Finding("lge_no_muscle", "reject", f"{note} Nothing can be measured on the LGE stack.")
    return Measurements(kind="lge", values=tuple(values), findings=(*found, missing))


def _masses(masks: _Masks) -> dict[str, Known]:
    infarct, core = float(masks.infarct.sum()), float(masks.no_reflow.sum())
    share = (100.0 * core / infarct, "") if infarct else (None, _NO_SCAR)
    return {
        "scar_volume_ml": (infarct * masks.geometry.voxel_volume_ml, ""),
        "scar_mass_g": (masks.grams(infarct), ""),
        "scar_percent": (100.0 * infarct / float(masks.muscle.sum()), ""),
        "no_reflow_mass_g": (masks.grams(core), ""),
        "no_reflow_percent_of_scar": share,
        "lge_lv_mass_g": (masks.grams(masks.muscle.sum()), ""),
        "lge_slices": (float(masks.muscle.any(axis=(1, 2)).sum()), ""),
    }


def _zones(masks: _Masks, image: Image | None) -> tuple[dict[str, Known], tuple[Finding, ...]]:
    """Core, grey zone and weighted mass; and whether there is remote myocardium to compare the scar with."""
    keys = ("scar_core_mass_g", "scar_grey_zone_mass_g", "scar_weighted_mass_g")
    if not masks.infarct.any():
        return dict.fromkeys(keys, (0.0, "")), ()
    findings: tuple[Finding, ...] = ()
    if masks.remote.sum() < LEAST_REMOTE_FRACTION * masks.muscle.sum():
        message = (
            f"Only {masks.remote.sum() / masks.muscle.sum():.0%} of the LV myocardium is not scar; there is hardly any "
            "remote myocardium to compare with, and the scar may be a wrong threshold or a wrong contour."
        )
        findings = (Finding("scar_no_remote", "review", message),)
    if image is None:
        return dict.fromkeys(keys, (None, "The image is needed and was not given.")), findings
    zones = scar_zones(image.data[0], masks.remote, masks.scar, masks.no_reflow)
    if zones is None:
        note = "The labelled scar is not brighter than the rest of the myocardium, or there is no rest."
        return dict.fromkeys(keys, (None, note)), findings
    grams = [masks.grams(voxels) for voxels in (zones.core, zones.grey, zones.weighted)]
    known: dict[str, Known] = {key: (value, "") for key, value in zip(keys, grams, strict=True)}
    beside = zones.core + zones.grey - int(masks.infarct.sum())
    if masks.grams(beside) >= SHOWN_FROM_G:
        note = (
            f"Core and grey zone together are {grams[0] + grams[1]:.1f} g, more than the scar: the grey zone also "
            f"counts {masks.grams(beside):.1f} g of myocardium beside the labelled scar that is 35 to 50 % of the way "
            "to its brightest part."
        )
        known["scar_grey_zone_mass_g"] = (grams[1], note)
    return known, findings


def _wall(masks: _Masks, aha: AhaSegments) -> tuple[dict[str, Known], dict[str, NDArray[np.float64]]]:
    """Transmurality of the whole ventricle and of its segments."""
    chords = scar_chords(masks.muscle, masks.cavity, masks.infarct, aha, masks.geometry)
    percent = np.concatenate([c.scar_percent for c in chords] or [np.zeros(0)])
    hit = percent[percent > 0]
    known: dict[str, Known] = {
        "scar_transmurality_mean_percent": (float(hit.mean()), "") if len(hit) else (None, _NO_SCAR),
        "scar_transmurality_max_percent": (float(hit.max()), "") if len(hit) else (None, _NO_SCAR),
    }
    if not len(percent):
        note = "No slice shows both LV cavity and myocardium."
        known = dict.fromkeys(known, (None, note))
    elif not len(hit) and masks.infarct.any():
        known = dict.fromkeys(known, (None, "No scar lies on a slice that shows the cavity."))

    mean, greatest = by_segment(chords, aha, masks.infarct)
    unseen = "This part of the wall is on no slice." if aha.oriented else aha.findings[0].message
    for word, values in (("mean", mean), ("max", greatest)):
        for number, value in enumerate(values, start=1):
            here: Known = (None, unseen) if np.isnan(value) else (float(value), "")
            known[f"transmurality_{word}_aha{number:02d}_percent"] = here
    for key, scarred in (
        ("scar_segments", mean >= definitions.SEGMENT_SCAR_PERCENT),
        ("scar_segments_over_50_percent", mean > definitions.SEGMENT_MOSTLY_SCAR_PERCENT),
    ):
        known[key] = (float(scarred.sum()), "") if aha.oriented else (None, unseen)
    return known, {"transmurality_mean_percent": mean, "transmurality_max_percent": greatest}


def _layers_and_shape(masks: _Masks) -> dict[str, Known]:
    layers = layers_percent(masks.muscle, masks.cavity, masks.infarct, masks.geometry)
    note = _NO_SCAR if not masks.infarct.any() else "No scar lies on a slice that shows the cavity."
    names = [f"scar_{name}_percent" for name in ("endocardial", "midwall", "epicardial")]
    known: dict[str, Known] = dict.fromkeys(names, (None, note))
    if layers is not None:
        known = {name: (value, "") for name, value in zip(names, layers, strict=True)}
    shape = scar_shape(masks.infarct, masks.geometry)
    note = _NO_SCAR if not masks.infarct.any() else f"No region of scar has {SMALLEST_REGION_PIXELS} pixels on a slice."
    for name in ("components", "solidity", "circularity", "eccentricity"):
        known[f"scar_{name}"] = (None, note) if shape is None else (float(getattr(shape, name)), "")
    if shape is None and not masks.infarct.any():
        known["scar_components"] = (0.0, "")
    return known


def _only_at_rim(masks: _Masks) -> tuple[Finding, ...]:
    """Scar that hugs the border of the wall everywhere may be blood or fat blurred into it."""
    spacing_xy = masks.geometry.spacing_xyz_mm[:2]
    thin, total = 0, int(masks.infarct.sum())
    for z in np.flatnonzero(masks.infarct.any(axis=(1, 2))):
        regions, n_regions = ndimage.label(masks.infarct[z], np.ones((3, 3), bool))
        depth = depth_mm(masks.muscle[z], spacing_xy)
        deepest = ndimage.maximum(depth, regions, np.arange(1, n_regions + 1))
        thin += int(np.isin(regions, 1 + np.flatnonzero(np.asarray(deepest) <= RIM_MM)).sum())
    if thin <= RIM_FRACTION * total:
        return ()
    return (
        Finding(
            "scar_only_at_rim",
            "review",
            f"{thin / total:.0%} of the scar lies in strips that nowhere reach deeper than {RIM_MM} mm into the LV "
            "myocardium: blood or fat blurred into the wall, or contours that are too wide, look the same.",
        ),
    )
