"""The one straight line: read, segment, measure, check, report. Every command that analyses walks it."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cmrseg
from cmrseg.blas import one_blas_thread
from cmrseg.errors import BundleError, InputRefused, OutputError, RefusalCode, UsageError
from cmrseg.io import read
from cmrseg.io.files import MARKER, output_folder, refuse_unwritable, write_text
from cmrseg.io.nifti import write_labels
from cmrseg.labels import LGE, LGE_RV, convert
from cmrseg.naming import fitted, result_names
from cmrseg.qc import check, check_together
from cmrseg.quantify import measure
from cmrseg.quantify.definitions import ventricle_of_key
from cmrseg.report import write_report
from cmrseg.report.tables import write_csv, write_json
from cmrseg.segment import bundle as bundles
from cmrseg.segment.bundle import Bundle
from cmrseg.segment.engine import Pipeline, SegmentOptions, segment
from cmrseg.segment.runtime import Runtime, check_runtime, usable_cores
from cmrseg.study import VENTRICLES, Analysis, Finding, Image, Kind, Measurements, Part, Segmentation, Study, Verdict
from cmrseg.text import json_text, printable

#: Results of one name in one folder; beyond it something is wrong.
MAX_OUTPUT_NAMES = 1000
#: What a result folder may hold.
RESULT_FILES = (
    *("cine_segmentation.nii.gz", "lge_segmentation.nii.gz", "measurements.json", "measurements.csv", "report.html"),
    MARKER,
)


@dataclass(frozen=True)
class AnalyseOptions:
    """What a user may choose."""

    kind: Kind | None = None
    """Analyse the input as this kind, whatever was detected."""
    bundle: str = ""
    """Name or folder of a bundle, used for stacks of its kind; the ones that ship serve the others."""
    runtime: Runtime = "onnx"
    """What runs the networks."""
    threads: int | None = None
    """CPU threads; all usable cores when None."""
    int8: bool = False
    """Use the quantised networks of the bundles that hold one; one of them must."""
    clean_up: bool = True
    """Keep the largest component of each structure and fill holes."""
    study_date: bool = True
    """Keep the date of the study in the report and in run.json."""


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
    """Analyses any number of studies; the networks of a kind of stack are loaded for the first study that holds one.

    Args:
        options: what the user chose.

    Raises:
        BundleError: the named bundle is missing or damaged, or none holds the quantised network that was asked for.
        UsageError: the bundle is of another kind than was asked for, or there is none for that kind; or there is no
            such runtime.
    """

    def __init__(self, options: AnalyseOptions = AnalyseOptions()) -> None:
        self.options = options
        check_runtime(options.runtime)
        self.bundles = _ChosenBundles(options)
        if options.int8 and not any(bundle.has_int8 for bundle in self.bundles.values()):
            names = " and ".join(bundle.name for bundle in self.bundles.values())
            raise BundleError(f"No quantised network in {names}.", "Leave int8 out.")
        self._pipelines: dict[Kind, Pipeline] = {}

    def __call__(self, path: Path) -> Analysis:
        """Read and analyse one study; nothing is written.

        Raises:
            InputRefused: the study cannot be trusted, holds no stack that a bundle is for, or shows no heart in any.
            BundleError: the bundle of a kind of stack that the study holds is missing or damaged.
        """
        clock = Clock()
        with clock.step("read"):
            study = self.read(path)
        return self.analyse(study, clock)

    @one_blas_thread()
    def read(self, path: Path) -> Study:
        """Read one study under the name that its result will have; raises InputRefused as `cmrseg.io.read`."""
        return named_study(read(path, self.options.kind), path, study_date=self.options.study_date)

    def fingerprint(self, study: Study) -> str:
        """A hash of all that decides the numbers of a study; equal ones need not be analysed again.

        Version, bundles, runtime, settings but for threads, the files that are read, what the reader noticed, and what
        is known of the patient.
        """
        used = [self.bundles[kind] for kind in sorted({image.kind for image in study.images}) if kind in self.bundles]
        decisive = {
            "version": cmrseg.__version__,
            "bundles": [(bundle.sha256, self._int8(bundle)) for bundle in used],
            "runtime": self.options.runtime,
            "settings": {k: v for k, v in self._settings().items() if k != "threads"},
            "inputs": sorted(study.inputs.values()),
            "findings": [(f.code, f.severity, f.message) for f in study.findings],
            "patient": asdict(study.patient),
        }
        return hashlib.sha256(json_text(decisive, ascii_only=True).encode()).hexdigest()

    @one_blas_thread()
    def analyse(self, study: Study, clock: Clock | None = None) -> Analysis:
        """Segment, measure and check a study that was read; nothing is written.

        Args:
            study: from `read`.
            clock: has timed the steps before.

        Raises:
            InputRefused: it holds no stack that a bundle is for, none that the named bundle is for, or shows no heart.
            BundleError: the bundle of a kind of stack that it holds is missing or damaged.
        """
        clock = clock or Clock()
        self._refuse_unserved(study)
        images = [image for image in study.images if image.kind in self.bundles]
        if not images:
            kinds = " or ".join(self.bundles)
            code: RefusalCode = "no_lge" if tuple(self.bundles) == ("lge",) else "no_cine"
            raise InputRefused(code, f"The study holds no {kinds} stack.", "`cmrseg inspect` shows what was found.")
        with clock.step("load"):
            pipelines = {image.kind: self._pipeline(image.kind) for image in images}
        stacks: list[tuple[Image, Segmentation]] = []
        refused: dict[Kind, InputRefused] = {}
        switches = SegmentOptions(clean_up=self.options.clean_up)
        for image in images:
            with clock.step("segment"):
                try:
                    stacks.append((image, segment(image, pipelines[image.kind], switches)))
                except InputRefused as error:
                    refused[image.kind] = error
        if not stacks:
            raise refused[images[0].kind]
        image, segmentation = stacks[0]
        findings = (*segmentation.findings, *_left_out(study, stacks, refused))
        stacks[0] = image, replace(segmentation, findings=findings)
        used = {image.kind: self.bundles[image.kind] for image, _ in stacks}
        networks = {
            "bundles": {
                k: {"name": b.name, "version": b.version, "int8": self._int8(b), "sha256": b.sha256}
                for k, b in used.items()
            },
            "runtime": self.options.runtime,
        }
        return assess(study, stacks, clock, networks, self._settings(), self.fingerprint(study))

    def _refuse_unserved(self, study: Study) -> None:
        """Refuse a study without a stack for the bundle that was named: another bundle's numbers were not asked for."""
        named = self.bundles.named
        if named is None or any(image.kind == named for image in study.images):
            return
        held = " and ".join(f"{_a(image.kind)} stack" for image in study.images)
        raise InputRefused(
            "no_lge" if named == "lge" else "no_cine",
            f"The bundle {printable(self.options.bundle)} is for {_shown(named)} images, and the study holds {held}.",
            "Leave --bundle out, or name a bundle for what the study holds.",
        )

    def _pipeline(self, kind: Kind) -> Pipeline:
        if kind not in self._pipelines:
            bundle = self.bundles[kind]
            pipeline = bundle.pipeline(self.options.runtime, self.options.threads, int8=self._int8(bundle))
            self._pipelines[kind] = pipeline
        return self._pipelines[kind]

    def _int8(self, bundle: Bundle) -> bool:
        return self.options.int8 and bundle.has_int8

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": self.options.kind,
            "clean_up": self.options.clean_up,
            "study_date": self.options.study_date,
            "threads": self.options.threads or usable_cores(),
        }


class _ChosenBundles(Mapping[Kind, Bundle]):
    """The bundle of each kind of stack that will be analysed: the one that was named, else those that ship.

    One that ships is read and verified when it is first asked for.
    """

    def __init__(self, options: AnalyseOptions) -> None:
        self._names = {k: name for k, name in bundles.DEFAULT_BUNDLES.items() if options.kind in (None, k)}
        self._loaded: dict[Kind, Bundle] = {}
        self.named: Kind | None = None
        """Kind of stack of the bundle that was named; None when none was."""
        if options.bundle:
            named = bundles.load(options.bundle)
            if options.kind and named.kind != options.kind:
                raise UsageError(
                    f"The bundle {named.name} is for {named.kind} images, not {options.kind}.",
                    "Name another bundle, or leave --kind out.",
                )
            self.named = named.kind
            self._names[named.kind] = options.bundle
            self._loaded[named.kind] = named
        if not self._names:
            raise UsageError(f"No bundle for {options.kind} images ships with this version.", "Name one with --bundle.")

    def __getitem__(self, kind: Kind) -> Bundle:
        if kind not in self._loaded:
            self._loaded[kind] = bundles.load(self._names[kind])
        return self._loaded[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._names

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _left_out(
    study: Study, stacks: Sequence[tuple[Image, Segmentation]], refused: Mapping[Kind, InputRefused]
) -> tuple[Finding, ...]:
    """Say which stacks of the study were found and not analysed, and why."""
    analysed = {image.kind for image, _ in stacks}
    findings = []
    for kind in (image.kind for image in study.images if image.kind not in analysed):
        held = f"The study also holds {_a(kind)} stack"
        if kind in refused:
            message = f"{held}, which was refused: {refused[kind].cause}"
            findings.append(Finding("not_analysed", "review", message))
        else:
            findings.append(Finding("not_analysed", "info", f"{held}, which was not analysed."))
    return tuple(findings)


def _shown(kind: Kind) -> str:
    return "LGE" if kind == "lge" else kind


def _a(kind: Kind) -> str:
    return f"{'an' if kind == 'lge' else 'a'} {_shown(kind)}"


def named_study(study: Study, path: Path, *, study_date: bool = True) -> Study:
    """A study under the name of its result (`result_names`), without its date where that is not wanted."""
    return replace(study, name=result_names([path])[0], date=study.date if study_date else "")


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
    run = {
        "study": printable(study.name),
        "study_path": printable(study.path),
        "study_uid_sha256": study.uid_sha256,
        "study_date": study.date,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "cmrseg": cmrseg.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "nibabel", "pydicom", "onnxruntime")},
        },
        "device": {"machine": platform.machine(), "system": platform.system(), "cores": usable_cores()},
        **networks,
        "settings": settings,
        "images": {image.kind: _described(image, segmentation) for image, segmentation in stacks},
        "inputs_sha256": {printable(name): value for name, value in study.inputs.items()},
        "input_files": {printable(name): printable(study.input_files.get(name, name)) for name in study.inputs},
        "files": [group.to_json() for group in study.files],
        "fingerprint": fingerprint,
        "timings_s": clock.seconds,
        "warnings": [f"{f.code}: {f.message}" for f in analysis.verdict.reasons],
    }
    return replace(analysis, run=run)


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


def _described(image: Image, segmentation: Segmentation) -> dict[str, Any]:
    return {
        "shape_tzyx": list(image.data.shape),
        "spacing_xyz_mm": [round(v, 6) for v in image.geometry.spacing_xyz_mm],
        "orientation_known": image.geometry.orientation_known,
        "source": {k: _plain(v) for k, v in image.source.items()},
        "not_assessed": dict(segmentation.not_assessed),
    }


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
    target = free_folder(output, analysis.study.name)
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
        write_text(folder / MARKER, json_text(run) + "\n")
    return target


def _in_file_numbers(part: Part) -> NDArray[np.uint8]:
    """Labels as files hold them: an LGE stack in EMIDEC's numbers, which know no right ventricle."""
    scheme = part.segmentation.scheme
    if scheme.name != LGE_RV.name:
        return part.segmentation.labels
    return convert(part.segmentation.labels, scheme, LGE, {"rv_cavity": "background"})


def free_folder(output: Path, name: str) -> Path:
    """The folder that `write` will make for a name.

    Raises:
        OutputError: there are too many of one name, or it could not be written: better known before the work.
    """
    target = _free_name(output, name)
    refuse_unwritable(target, max(RESULT_FILES, key=len))
    return target


def _free_name(output: Path, name: str) -> Path:
    for number in range(1, MAX_OUTPUT_NAMES):
        target = output / (fitted(name, f"-{number}") if number > 1 else name)
        if not os.path.lexists(target):
            return target
    raise OutputError(
        f"{printable(output)} holds {MAX_OUTPUT_NAMES} results of one name.", "Choose another output folder."
    )


def analyse(path: Path | str, output: Path | str, options: AnalyseOptions = AnalyseOptions()) -> tuple[Analysis, Path]:
    """Analyse one study and write its folder: what `cmrseg analyse` does, from Python.

    Returns:
        the analysis and the folder that was written.

    Raises:
        CmrsegError: the study was refused, the bundle is damaged, or the result could not be written.
    """
    analysis = Analyser(options)(Path(path))
    return analysis, write(analysis, Path(output))
