"""From images and labels to numbers and a verdict, whoever made the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.pipeline.record import Clock, run_record
from cmrseg.qc import check, check_together
from cmrseg.quantify import measure
from cmrseg.quantify.definitions import ventricle_of_key
from cmrseg.study import VENTRICLES, Analysis, Image, Measurements, Part, Segmentation, Study, Verdict


def assess(
    study: Study,
    stacks: Sequence[tuple[Image, Segmentation]],
    clock: Clock,
    networks: dict[str, Any],
    settings: dict[str, Any],
    fingerprint: str = "",
) -> Analysis:
    """Measure and check segmentations, whoever made them, and gather what run.json says.

    Args:
        study: where the images come from.
        stacks: what was segmented, and labels on its grid; at most one of each kind.
        clock: has timed the steps before.
        networks: what made the labels, for run.json.
        settings: what the user chose, for run.json.
        fingerprint: of an `Analyser`; empty where nothing can say that a result is the same.
    """
    parts = tuple(_assess_part(study, image, segmentation, clock) for image, segmentation in stacks)
    analysis = Analysis(study, check_together(parts))
    return replace(analysis, run=run_record(analysis, clock, networks, settings, fingerprint))


def _assess_part(study: Study, image: Image, segmentation: Segmentation, clock: Clock) -> Part:
    frames = _labelled_frames(segmentation)
    seen, labelled = _at_frames(image, segmentation, frames)
    with clock.step("measure"):
        measurements = measure(labelled, patient=study.patient, heart_rate_bpm=image.heart_rate_bpm, image=seen)
    with clock.step("check"):
        known = (
            *(f for f in study.findings if f.kind in (None, image.kind)),
            *(replace(f, kind=image.kind) for f in segmentation.findings),
        )
        verdict = check(seen, replace(labelled, findings=known), measurements)
    measurements = _in_all_frames(measurements, frames, image.n_frames)
    return Part(image, segmentation, _withheld(measurements, verdict), verdict)


def _labelled_frames(segmentation: Segmentation) -> NDArray[np.intp]:
    """Frames with any label; all frames when none has. Data sets often draw end-diastole and end-systole only."""
    frames = np.flatnonzero(segmentation.labels.any(axis=(1, 2, 3)))
    return frames if frames.size else np.arange(len(segmentation.labels))


def _at_frames(image: Image, segmentation: Segmentation, frames: NDArray[np.intp]) -> tuple[Image, Segmentation]:
    """Image and segmentation at some frames only."""
    if len(frames) == image.n_frames:
        return image, segmentation
    times = None if image.frame_times_ms is None else image.frame_times_ms[frames]
    places = {int(frame): k for k, frame in enumerate(frames)}
    annotated = {k: places[f] for k, f in image.annotated_frames.items() if f in places}
    agreement = {name: values[frames] for name, values in segmentation.agreement_per_frame.items()}
    return (
        replace(image, data=image.data[frames], frame_times_ms=times, annotated_frames=annotated),
        replace(
            segmentation,
            labels=segmentation.labels[frames],
            frame_times_ms=times,
            agreement_per_frame=agreement,
        ),
    )


def _in_all_frames(measurements: Measurements, frames: NDArray[np.intp], n_frames: int) -> Measurements:
    """Measurements made at some frames, told in the frame numbers of the whole cine; NaN in curves elsewhere."""
    if len(frames) == n_frames:
        return measurements

    def place(frame: int | None) -> int | None:
        return None if frame is None else int(frames[frame])

    curves = {name: np.full(n_frames, np.nan) for name in measurements.curves_ml}
    for name, values in measurements.curves_ml.items():
        curves[name][frames] = values
    return replace(
        measurements,
        ed_frame=place(measurements.ed_frame),
        es_frame=place(measurements.es_frame),
        curves_ml=curves,
    )


def _withheld(measurements: Measurements, verdict: Verdict) -> Measurements:
    """The measurements without those of a rejected ventricle: what was rejected must not be read off by accident.

    The numbers of the other ventricle stay; those of the patient go when both are rejected.
    """
    rejected = {side for side in VENTRICLES if verdict.of_ventricle(side).status == "reject"}
    if not rejected:
        return measurements
    words = {"lv": "the left ventricle", "rv": "the right ventricle"}
    whose = "this segmentation" if len(rejected) == len(VENTRICLES) else words[min(rejected)]
    note = f"Withheld: quality control rejected {whose}."

    def is_hidden(key: str) -> bool:
        side = ventricle_of_key(key)
        return side in rejected if side else len(rejected) == len(VENTRICLES)

    return replace(
        measurements,
        values=tuple(replace(m, value=None, note=note) if is_hidden(m.key) else m for m in measurements.values),
        curves_ml={name: curve for name, curve in measurements.curves_ml.items() if not is_hidden(name)},
        segment_tables={} if "lv" in rejected else measurements.segment_tables,
    )
