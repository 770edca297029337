"""A good case, and a way to spoil one thing in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from lge_heart import LgeHeart
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.phantom import HeartSpec, make_phantom
from cmrseg.qc import QcThresholds, check
from cmrseg.qc.case import Case
from cmrseg.quantify import measure
from cmrseg.quantify.heart_phases import find_phases
from cmrseg.study import Image, Measurements, Patient, Segmentation, Verdict


class Heart:
    """Image and masks that can be changed in place, and the verdict on them."""

    def __init__(self, image: Image, segmentation: Segmentation, patient: Patient) -> None:
        self.image, self.segmentation, self.patient = image, segmentation, patient
        self.pixels: NDArray[np.float32] = image.data.copy()
        self.labels: NDArray[np.uint8] = segmentation.labels.copy()
        self.geometry: Geometry = segmentation.geometry
        self.heart_rate_bpm: float | None = 66.0
        self.annotated_frames: dict[str, int] = {}
        self.agreement: dict[str, float] = {}
        self.agreement_per_frame: dict[str, NDArray[np.float64]] = {}

    def verdict(self) -> Verdict:
        """What quality control says of the heart as it now is; frame times are those of the image where they fit."""
        times = self.image.frame_times_ms if len(self.pixels) == self.image.n_frames else None
        image = replace(
            self.image,
            data=self.pixels,
            geometry=self.geometry,
            frame_times_ms=times,
            annotated_frames=self.annotated_frames,
        )
        segmentation = Segmentation(
            self.labels,
            CINE,
            self.geometry,
            times,
            agreement=self.agreement,
            agreement_per_frame=self.agreement_per_frame,
        )
        measurements = measure(segmentation, patient=self.patient, heart_rate_bpm=self.heart_rate_bpm)
        return check(image, segmentation, measurements)

    def severity_of(self, code: str) -> str | None:
        """Severity of the finding of a code; None when it was not found."""
        return next((f.severity for f in self.verdict().findings if f.code == code), None)


@pytest.fixture(scope="session")
def good_phantom():
    """A healthy heart: 20 phases, 9 slices, pixels of 2.2 mm."""
    return make_phantom(
        HeartSpec(
            phases=20,
            slices=9,
            slice_distance_mm=12.0,
            shape_xy=(96, 96),
            pixel_spacing_xy_mm=(2.2, 2.2),
            subplanes=2,
        )
    )


@pytest.fixture
def heart(good_phantom) -> Heart:
    """The healthy heart, free to be spoilt; ED is frame 0, ES frame 7, slice 0 lies above the base."""
    return Heart(good_phantom.image, good_phantom.segmentation, good_phantom.patient)


@pytest.fixture
def lge() -> LgeHeart:
    """A heart with a scar on LGE, free to be spoilt."""
    return LgeHeart()


@pytest.fixture
def case_of() -> Callable[..., Case]:
    """A case whose volume curves are given by hand, for rules that look at curves only."""

    def build(lv: NDArray[np.float64], rv: NDArray[np.float64] | None = None, muscle: float = 100.0) -> Case:
        lv = np.asarray(lv, np.float64)
        geometry = Geometry.from_spacing((2.0, 2.0, 10.0), (4, 4, 2))
        shape = (len(lv), 2, 4, 4)
        phases = find_phases(lv)
        curves = {"lv_cavity": lv, "rv_cavity": lv if rv is None else rv, "lv_myocardium": np.full(len(lv), muscle)}
        return Case(
            Image("cine", np.zeros(shape, np.float32), geometry),
            Segmentation(np.zeros(shape, np.uint8), CINE, geometry),
            Measurements("cine", (), phases.ed_frame, phases.es_frame, curves),
            QcThresholds(),
        )

    return build
