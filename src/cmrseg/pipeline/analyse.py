"""The one straight line: read, segment, measure, check, report. Every command that analyses walks it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cmrseg
from cmrseg.blas import one_blas_thread
from cmrseg.errors import BundleError, InputRefused, RefusalCode, UsageError
from cmrseg.io import read
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock, named_study
from cmrseg.pipeline.write import write
from cmrseg.segment import bundle as bundles
from cmrseg.segment.bundle import Bundle
from cmrseg.segment.engine import Pipeline, SegmentOptions, segment
from cmrseg.segment.runtime import Runtime, check_runtime, usable_cores
from cmrseg.study import Analysis, Finding, Image, Kind, Segmentation, Study
from cmrseg.text import json_text, printable


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


def analyse(path: Path | str, output: Path | str, options: AnalyseOptions = AnalyseOptions()) -> tuple[Analysis, Path]:
    """Analyse one study and write its folder: what `cmrseg analyse` does, from Python.

    Returns:
        the analysis and the folder that was written.

    Raises:
        CmrsegError: the study was refused, the bundle is damaged, or the result could not be written.
    """
    analysis = Analyser(options)(Path(path))
    return analysis, write(analysis, Path(output))
