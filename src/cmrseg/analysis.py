"""The one straight line: read, segment, measure, check, report. Every command that analyses walks it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cmrseg
from cmrseg.errors import InputRefused, OutputError, UsageError
from cmrseg.io import read
from cmrseg.io.files import output_folder
from cmrseg.io.nifti import write_labels
from cmrseg.labels import LGE, LGE_RV, convert
from cmrseg.qc import check
from cmrseg.quantify import measure
from cmrseg.report import write_report
from cmrseg.report.tables import write_csv, write_json
from cmrseg.segment import bundle as bundles
from cmrseg.segment.bundle import Bundle
from cmrseg.segment.engine import Pipeline, SegmentOptions, segment
from cmrseg.segment.runtime import Runtime, usable_cores
from cmrseg.study import Analysis, Finding, Image, Kind, Measurements, Part, Segmentation, Study

#: Results of one name in one folder; beyond it something is wrong.
MAX_OUTPUT_NAMES = 1000


@dataclass(frozen=True)
class AnalyseOptions:
    """What a user may choose."""

    kind: Kind | None = None
    """Analyse the input as this kind, whatever was detected."""
    bundle: str = ""
    """Name or folder of the bundle; empty for the one that ships for the kind."""
    runtime: Runtime = "onnx"
    """What runs the networks."""
    threads: int | None = None
    """CPU threads; all usable cores when None."""
    int8: bool = False
    """Use the bundle's quantised network."""
    clean_up: bool = True
    """Keep the largest component of each structure and fill holes."""


class Clock:
    """Seconds spent in each step, for run.json."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block under a name."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 3)


class Analyser:
    """Loads the networks once and analyses any number of studies with them.

    Args:
        options: what the user chose.

    Raises:
        BundleError: the bundle is missing or damaged.
        UsageError: the bundle is of another kind than was asked for, or there is none for that kind.
    """

    def __init__(self, options: AnalyseOptions = AnalyseOptions()) -> None:
        self.options = options
        kind = options.kind or "cine"
        if not options.bundle and kind not in bundles.DEFAULT_BUNDLES:
            raise UsageError(f"No bundle for {kind} images ships with this version.", "Name one with --bundle.")
        self.bundle: Bundle = bundles.load(options.bundle or bundles.DEFAULT_BUNDLES[kind])
        if options.kind and self.bundle.kind != options.kind:
            raise UsageError(
                f"The bundle {self.bundle.name} is for {self.bundle.kind} images, not {options.kind}.",
                "Name another bundle, or leave --kind out.",
            )
        self._pipeline: Pipeline = self.bundle.pipeline(options.runtime, options.threads, int8=options.int8)

    def __call__(self, path: Path) -> Analysis:
        """Read and analyse one study; nothing is written.

        Raises:
            InputRefused: the study cannot be trusted, holds no stack of this kind, or shows no heart.
        """
        clock = Clock()
        with clock.step("read"):
            study = read(path, self.options.kind)
        image = study.image("lge" if self.bundle.kind == "lge" else "cine")
        if image is None:
            raise InputRefused(
                "no_lge" if self.bundle.kind == "lge" else "no_cine",
                f"The study holds no {self.bundle.kind} stack.",
                "`cmrseg inspect` shows what was found.",
            )
        with clock.step("segment"):
            segmentation = segment(image, self._pipeline, SegmentOptions(clean_up=self.options.clean_up))
        segmentation = replace(segmentation, findings=(*segmentation.findings, *_left_out(study, image)))
        networks = {
            "bundle": {"name": self.bundle.name, "version": self.bundle.version, "sha256": self.bundle.sha256},
            "runtime": f"{self.options.runtime}{' int8' if self.options.int8 else ''}",
        }
        return assess(study, image, segmentation, clock, networks, self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": self.options.kind,
            "clean_up": self.options.clean_up,
            "threads": self.options.threads or usable_cores(),
        }


def _left_out(study: Study, image: Image) -> tuple[Finding, ...]:
    """Say which stacks of the study were found and not analysed."""
    return tuple(
        Finding("not_analysed", "info", f"The study also holds a {other.kind.upper()} stack, which was not analysed.")
        for other in study.images
        if other is not image
    )


def assess(
    study: Study,
    image: Image,
    segmentation: Segmentation,
    clock: Clock,
    networks: dict[str, Any],
    settings: dict[str, Any],
) -> Analysis:
    """Measure and check a segmentation, whoever made it, and gather what run.json says.

    Args:
        study: where the image comes from.
        image: what was segmented.
        segmentation: labels on the image's grid.
        clock: has timed the steps before.
        networks: what made the labels, for run.json.
        settings: what the user chose, for run.json.
    """
    frames = _labelled_frames(segmentation)
    seen, labelled = _at_frames(image, segmentation, frames)
    with clock.step("measure"):
        measurements = measure(labelled, patient=study.patient, heart_rate_bpm=image.heart_rate_bpm, image=seen)
    with clock.step("check"):
        verdict = check(seen, replace(labelled, findings=(*study.findings, *segmentation.findings)), measurements)
    measurements = _in_all_frames(measurements, frames, image.n_frames)
    if verdict.status == "reject":
        measurements = _withheld(measurements)
    run = {
        "study": study.name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cmrseg": cmrseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "nibabel", "pydicom", "onnxruntime")},
        },
        "device": {"machine": platform.machine(), "system": platform.system(), "cores": usable_cores()},
        **networks,
        "settings": settings,
        "image": {
            "kind": image.kind,
            "shape_tzyx": list(image.data.shape),
            "spacing_xyz_mm": [round(v, 6) for v in image.geometry.spacing_xyz_mm],
            "orientation_known": image.geometry.orientation_known,
            "source": {k: _plain(v) for k, v in image.source.items()},
        },
        "inputs_sha256": dict(study.inputs),
        "timings_s": clock.seconds,
        "warnings": [f"{f.code}: {f.message}" for f in verdict.findings if f.severity != "info"],
    }
    return Analysis(study, (Part(image, segmentation, measurements, verdict),), run)


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
    agreement = segmentation.agreement_per_frame
    return (
        replace(image, data=image.data[frames], frame_times_ms=times, annotated_frames=annotated),
        replace(
            segmentation,
            labels=segmentation.labels[frames],
            frame_times_ms=times,
            agreement_per_frame=None if agreement is None else agreement[frames],
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


def _withheld(measurements: Measurements) -> Measurements:
    """The same measurements without their values: what was rejected must not be read off by accident."""
    note = "Withheld: quality control rejected this segmentation."
    return replace(
        measurements,
        values=tuple(replace(m, value=None, note=note) for m in measurements.values),
        curves_ml={},
        segment_tables={},
    )


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)


def write(analysis: Analysis, output: Path) -> Path:
    """Write everything about one study into a new folder of `output`, whole or not at all.

    Args:
        analysis: from an `Analyser` or `assess`.
        output: folder of all studies; made if need be.

    Returns:
        the study's folder: ``output/<name>``, or ``output/<name>-2`` and so on when that exists already.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    target = _free_name(output, analysis.study.name)
    clock = Clock()
    with output_folder(target) as folder:
        with clock.step("write"):
            for part in analysis.parts:
                write_labels(folder / f"{part.image.kind}_segmentation.nii.gz", _in_file_numbers(part), part.image)
            write_json(analysis, folder / "measurements.json")
            write_csv(analysis, folder / "measurements.csv")
            write_report(analysis, folder / "report.html")
        run = dict(analysis.run)
        run["timings_s"] = {**run["timings_s"], **clock.seconds}
        (folder / "run.json").write_text(json.dumps(run, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return target


def _in_file_numbers(part: Part) -> NDArray[np.uint8]:
    """Labels as files hold them: an LGE stack in EMIDEC's numbers, which know no right ventricle."""
    scheme = part.segmentation.scheme
    if scheme.name != LGE_RV.name:
        return part.segmentation.labels
    return convert(part.segmentation.labels, scheme, LGE, {"rv_cavity": "background"})


def _free_name(output: Path, name: str) -> Path:
    for number in range(1, MAX_OUTPUT_NAMES):
        target = output / (name if number == 1 else f"{name}-{number}")
        if not target.exists():
            return target
    raise OutputError(f"{output} holds {MAX_OUTPUT_NAMES} results of one name.", "Choose another output folder.")


def analyse(path: Path | str, output: Path | str, options: AnalyseOptions = AnalyseOptions()) -> tuple[Analysis, Path]:
    """Analyse one study and write its folder: what `cmrseg analyse` does, from Python.

    Returns:
        the analysis and the folder that was written.

    Raises:
        CmrsegError: the study was refused, the bundle is damaged, or the result could not be written.
    """
    analysis = Analyser(options)(Path(path))
    return analysis, write(analysis, Path(output))
