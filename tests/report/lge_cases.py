"""An LGE heart of rings whose scar can be counted, and analyses of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report_cases import RUN

from cmrseg.geometry import Geometry
from cmrseg.labels import LGE, LGE_RV, convert
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.study import Analysis, Image, Segmentation, Study

#: Pixels of 2 x 2 mm on slices 10 mm apart: a voxel holds 0.04 mL, 0.042 g.
SPACING_MM = (2.0, 2.0, 10.0)
SLICES, SIDE, CENTRE = 7, 64, 36.0
#: Base first; the last slice shows muscle without cavity.
OUTER_PX = (14.0, 14.0, 14.0, 13.0, 12.0, 11.0, 6.0)
WALL_PX = 5.0


def ring_labels(arc_degrees: tuple[float, float] = (60.0, 120.0), depth: float = 1.0) -> NDArray[np.uint8]:
    """Masks of `LGE_RV`, [1, Z, Y, X]: rings with an RV on the left, and scar on slices 2 and 3.

    Args:
        arc_degrees: where the scar lies; 90 is on top, 180 on the side of the RV.
        depth: part of the wall from the endocardium on that is scar; 0 is no scar.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(x - CENTRE, y - CENTRE)
    angle = np.degrees(np.arctan2(CENTRE - y, x - CENTRE)) % 360
    labels = np.zeros((1, SLICES, SIDE, SIDE), np.uint8)
    for z, outer in enumerate(OUTER_PX):
        inner = outer - WALL_PX if z < SLICES - 1 else 0.0
        beside = np.hypot(x - CENTRE + 12, y - CENTRE) < outer - 2
        labels[0, z][beside & (radius > outer) & (z < SLICES - 2)] = LGE_RV["rv_cavity"]
        labels[0, z][radius <= outer] = LGE_RV["lv_myocardium"]
        labels[0, z][radius < inner] = LGE_RV["lv_cavity"]
        if z in (2, 3) and depth:
            wall = (radius >= inner) & (radius <= inner + depth * WALL_PX)
            labels[0, z][wall & (angle > arc_degrees[0]) & (angle < arc_degrees[1])] = LGE_RV["scar"]
    return labels


def with_dark_core(labels: NDArray[np.uint8], voxels: int) -> NDArray[np.uint8]:
    """The same masks with so many voxels of the scar turned into no-reflow."""
    changed = labels.copy()
    places = np.flatnonzero(changed == LGE_RV["scar"])
    changed.flat[places[len(places) // 2 - voxels // 2 :][:voxels]] = LGE_RV["no_reflow"]
    return changed


def late_image(labels: NDArray[np.uint8]) -> Image:
    """Nulled muscle, bright blood, brighter scar, dark no-reflow, and noise of an SD of 5."""
    levels = {"lv_cavity": 300, "lv_myocardium": 60, "scar": 400, "no_reflow": 40, "rv_cavity": 280}
    data = np.full(labels.shape, 20.0)
    for name, level in levels.items():
        data[labels == LGE_RV[name]] = level
    data += np.random.default_rng(0).normal(0.0, 5.0, data.shape)
    return Image("lge", data.astype(np.float32), Geometry.from_spacing(SPACING_MM, (SIDE, SIDE, SLICES)))


def analysed(labels: NDArray[np.uint8], *, with_rv: bool = True, **more: object) -> Analysis:
    """Measured and checked as `cmrseg measure` does; `more` changes the segmentation."""
    image = late_image(labels)
    drawn = Segmentation(labels, LGE_RV, image.geometry, method="given masks")
    if not with_rv:
        drawn = replace(drawn, labels=convert(labels, LGE_RV, LGE, {"rv_cavity": "background"}), scheme=LGE)
    drawn = replace(drawn, **more)  # type: ignore[arg-type]
    study = Study("late", Path("somewhere"), (image,))
    analysis = assess(study, [(image, drawn)], Clock(), {"bundles": {}, "runtime": "given masks"}, {})
    return replace(analysis, run=RUN)
