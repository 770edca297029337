"""From a spec to a phantom: image, masks and truth on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrseg.labels import CINE
from cmrseg.phantom.heart import beat
from cmrseg.phantom.scene import Scene
from cmrseg.phantom.spec import HeartSpec
from cmrseg.phantom.stack import stack_geometry
from cmrseg.phantom.truth import PhantomTruth, known_labels, known_truth
from cmrseg.study import Image, Patient, Segmentation


@dataclass(frozen=True)
class Phantom:
    """A synthetic study with its answers.

    Args:
        image: the short-axis cine, in whole numbers from 0 to 2047 as a scanner writes them.
        segmentation: masks of every frame, in ACDC's numbers.
        truth: volumes and what follows from them.
        patient: sex, age, height and weight.
        spec: what it was made from.
    """

    image: Image
    segmentation: Segmentation
    truth: PhantomTruth
    patient: Patient
    spec: HeartSpec


def make_phantom(spec: HeartSpec | None = None) -> Phantom:
    """Make the synthetic study of a spec; the same spec gives the same bytes.

    Args:
        spec: sizes, motion, grid and noise; a healthy adult where None.

    Raises:
        ValueError: the slices do not cover the heart, or the picture does not hold it.
    """
    spec = spec or HeartSpec()
    heart = beat(spec)
    geometry = stack_geometry(spec)
    truth = known_truth(spec, heart)
    labels = known_labels(spec, heart, truth, geometry)
    times_ms = np.arange(spec.phases) * spec.rr_interval_ms / spec.phases
    image = Image(
        kind="cine",
        data=Scene(spec, heart).render(geometry, spec.slice_thickness_mm, range(spec.phases), view=0),
        geometry=geometry,
        frame_times_ms=times_ms,
        heart_rate_bpm=spec.heart_rate_bpm,
        source={"reader": "phantom"},
        annotated_frames={"ed": truth.ed_frame, "es": truth.es_frame},
    )
    segmentation = Segmentation(labels, CINE, geometry, times_ms, method="phantom truth")
    return Phantom(image, segmentation, truth, spec.patient, spec)
