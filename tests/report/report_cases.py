"""Hand-written numbers and analyses that the tests of the report share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.study import (
    Analysis,
    Finding,
    Image,
    Measurement,
    Measurements,
    Part,
    ReferenceRange,
    Segmentation,
    Study,
    Verdict,
)

RUN = {
    "versions": {"cmrseg": "0.1.0", "numpy": "2.0.0"},
    "bundles": {"cine": {"name": "cine-test", "sha256": "ab" * 32}},
    "settings": {"clean_up": True, "threads": 2},
    "timings_s": {"read": 0.5, "segment": 1.25},
}
REFERENCE = ReferenceRange(60.0, 5.0, "healthy women, 45 to 74 years", "Somebody 2017")


def number(key: str, value: float | None, unit: str, label: str, **more: object) -> Measurement:
    """A measurement with a definition and a source."""
    return Measurement(key, value, unit, label, f"how {key} is computed", "Guideline 2020", **more)  # type: ignore[arg-type]


VALUES = (
    number("lv_edv_ml", 151.237, "mL", "LV end-diastolic volume"),
    number("lv_esv_ml", 62.4, "mL", "LV end-systolic volume"),
    number("lv_ef_percent", 48.7391, "%", "LV ejection fraction", reference=REFERENCE),
    number("lv_mass_g", 101.06, "g", "LV mass"),
    number("rv_edv_ml", 161.0, "mL", "RV end-diastolic volume"),
    number("rv_ef_percent", 55.5, "%", "RV ejection fraction"),
    number("lv_co_l_min", None, "L/min", "Cardiac output", note="The study does not give a heart rate."),
    number("lv_edvi_ml_m2", 80.25, "mL/m2", "LV end-diastolic volume index"),
    number("bsa_m2", 1.884, "m2", "Body surface area"),
)


def analysis_of(part: Part, name: str = "study", findings: tuple[Finding, ...] = ()) -> Analysis:
    """A study of one part."""
    return Analysis(Study(name, Path("somewhere"), (part.image,), findings=findings), (part,), RUN)


def disc_analysis(geometry: Geometry, centre_xy: tuple[float, float], radius_mm: float, frames: int = 1) -> Analysis:
    """An LV cavity that is a disc in mm on every slice, without muscle, on a flat image with one bright pixel."""
    columns, rows, slices = geometry.shape_xyz
    x_mm, y_mm, _ = geometry.spacing_xyz_mm
    y, x = np.mgrid[:rows, :columns]
    disc = np.hypot((x - centre_xy[0]) * x_mm, (y - centre_xy[1]) * y_mm) <= radius_mm
    labels = np.broadcast_to(disc * np.uint8(CINE["lv_cavity"]), (frames, slices, rows, columns)).astype(np.uint8)
    data = labels.astype(np.float32)
    image = Image("cine", data, geometry)
    segmentation = Segmentation(labels, CINE, geometry)
    measurements = Measurements("cine", VALUES, ed_frame=0)
    return analysis_of(Part(image, segmentation, measurements, Verdict("pass")))


def stored_otherwise(part: Part, turns: int, *, mirrored: bool) -> Part:
    """The same heart as a scanner could have stored it: slices turned by quarters, then with reversed columns."""
    grid = part.image.geometry.turned(turns)
    data, labels = (np.rot90(a, turns, axes=(2, 3)) for a in (part.image.data, part.segmentation.labels))
    if mirrored:
        affine = grid.affine.copy()
        affine[:3, 3] += affine[:3, 0] * (grid.shape_xyz[0] - 1)
        affine[:3, 0] *= -1
        grid = Geometry(affine, grid.shape_xyz)
        data, labels = data[..., ::-1], labels[..., ::-1]
    return replace(
        part,
        image=replace(part.image, data=data.copy(), geometry=grid),
        segmentation=replace(part.segmentation, labels=labels.copy(), geometry=grid),
    )
