"""The boxes that the one straight line passes on: Study, Image, Segmentation, Measurements, Verdict.

    path - io.read -> Study - segment -> Segmentation - quantify -> Measurements - qc -> Verdict - report -> files

All are frozen. Images are ``float32[T, Z, Y, X]``, labels ``uint8[T, Z, Y, X]``; a single frame has T = 1. An array
never travels without its Geometry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import LabelScheme
from cmrseg.numbering import place
from cmrseg.text import printable

Kind = Literal["cine", "lge"]
Severity = Literal["info", "review", "reject"]
Ventricle = Literal["lv", "rv"]
VENTRICLES: tuple[Ventricle, ...] = ("lv", "rv")
FileFate = Literal["used", "not used", "no image", "not DICOM", "unreadable"]


@dataclass(frozen=True)
class Finding:
    """Something a reader of the result should know.

    Args:
        code: short, stable name for machines, e.g. ``"rv_jump"``.
        severity: ``info`` changes nothing, ``review`` asks a person to look, ``reject`` withholds trust.
        message: one or two plain sentences: what was seen, what was expected, and why it matters. No patient data;
            frames and slices are counted as in `cmrseg.numbering`.
        kind: the stack it is about; None for the whole study.
        frame: index of the frame it is about, from 0; None for no single one.
        slice: index of the slice, from 0 in the order of the image's array; None for no single one.
        ventricle: whose numbers it speaks against, ``"lv"`` or ``"rv"``; None for both.
    """

    code: str
    severity: Severity
    message: str
    kind: Kind | None = field(default=None, kw_only=True)
    frame: int | None = field(default=None, kw_only=True)
    slice: int | None = field(default=None, kw_only=True)
    ventricle: Ventricle | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Patient:
    """What measurement needs to know of the patient; nothing that names them. None where the files do not say.

    Args:
        sex, age_years, height_cm, weight_kg: as they are known.
        unusable: what the files hold in the place of height or weight that is neither, as sentences.
    """

    sex: Literal["F", "M"] | None = None
    age_years: float | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    unusable: str = ""


@dataclass(frozen=True)
class Image:
    """One stack of parallel slices, at one or more phases of the heart beat.

    Args:
        kind: ``"cine"`` or ``"lge"``.
        data: float32[T, Z, Y, X], in the file's own intensities.
        geometry: grid of every frame; its shape is (X, Y, Z).
        frame_times_ms: float64[T] after the R wave, increasing; None when the file does not say.
        heart_rate_bpm: None when the file does not say.
        source: what the stack was made of, for run.json and the report: reader, vendor, phase key, ... No patient data.
        origin: what the reader needs to write masks back onto the input's own grid (e.g. the NIfTI header).
        annotated_frames: frames a data set names by hand, e.g. ``{"ed": 0, "es": 11}``, from 0; information only.
    """

    kind: Kind
    data: NDArray[np.float32]
    geometry: Geometry
    frame_times_ms: NDArray[np.float64] | None = None
    heart_rate_bpm: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    origin: Any = None
    annotated_frames: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_grid(self.data, np.dtype(np.float32), self.geometry)
        if self.frame_times_ms is not None and len(self.frame_times_ms) != len(self.data):
            raise ValueError(f"{len(self.frame_times_ms)} frame times for {len(self.data)} frames")

    @property
    def n_frames(self) -> int:
        """Number of phases, T."""
        return int(self.data.shape[0])

    @property
    def n_slices(self) -> int:
        """Number of slices, Z."""
        return int(self.data.shape[1])


@dataclass(frozen=True, kw_only=True)
class FileGroup:
    """Files of a study that share a fate.

    Args:
        fate: what became of them.
        kind: what they were used for; None for what was not used.
        reason: why, in words, free of patient data.
        series: numbers of the series their images are of; empty where they have none.
        files: their paths from the study's folder; of DICOM their numbers in the order of the paths, ``file 0001``.
        n_images: images in them that share the fate.
    """

    fate: FileFate
    kind: Kind | None
    reason: str
    files: tuple[str, ...]
    n_images: int
    series: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, for run.json."""
        return {**asdict(self), "files": [printable(name) for name in self.files]}


@dataclass(frozen=True)
class Study:
    """What was found at a path.

    Args:
        name: folder name, or file name without its NIfTI suffix; names the output folder.
        path: where it was read from.
        images: the stacks that can be analysed, at most one of each kind.
        patient: what is known for indexing and reference ranges.
        findings: what the reader noticed and accepted.
        inputs: sha256 of each file used, by its path relative to the study; for run.json.
        input_files: path relative to the study of each of `inputs` that goes by a number there.
        uid_sha256: first 16 digits of the SHA-256 of the Study Instance UID, which tells one examination from another
            without naming it; empty where the files have none.
        date: day of the examination, ``2024-03-31``; empty where the files do not say.
        files: what became of every file below the path, each in one group; for run.json.
    """

    name: str
    path: Path
    images: tuple[Image, ...]
    patient: Patient = Patient()
    findings: tuple[Finding, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_files: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    files: tuple[FileGroup, ...] = ()
    uid_sha256: str = field(default="", kw_only=True)
    date: str = field(default="", kw_only=True)

    def image(self, kind: Kind) -> Image | None:
        """The stack of a kind, or None."""
        return next((i for i in self.images if i.kind == kind), None)


@dataclass(frozen=True)
class Segmentation:
    """Labels on an image's own grid.

    Args:
        labels: uint8[T, Z, Y, X] in the numbers of `scheme`.
        scheme: what the numbers mean; `labels.CINE` for every cine.
        geometry: that of the image.
        frame_times_ms: as in the image.
        agreement: mean pairwise Dice between the members of an ensemble, per structure name; empty for one network
            and for masks a person drew.
        agreement_per_frame: the same at every frame, float64[T] per structure name; empty when there is no ensemble.
        method: who made it: bundle name and version, or ``"given masks"``.
        findings: what segmentation noticed, e.g. components it removed.
        drawn: True for masks that were given: a structure that is not there was not asked for, while a network that
            did not find it failed.
        not_assessed: structures of the scheme that its maker cannot tell, with a sentence that says why: that none is
            labelled says nothing of the patient then. Empty where all of the scheme is assessed.
    """

    labels: NDArray[np.uint8]
    scheme: LabelScheme
    geometry: Geometry
    frame_times_ms: NDArray[np.float64] | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    agreement_per_frame: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    method: str = ""
    findings: tuple[Finding, ...] = ()
    drawn: bool = False
    not_assessed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_grid(self.labels, np.dtype(np.uint8), self.geometry)


@dataclass(frozen=True)
class ReferenceRange:
    """Where about 95 % of healthy people lie, mean +- 2 SD; `source` cites table and convention."""

    mean: float
    sd: float
    group: str
    source: str

    @property
    def low(self) -> float:
        """Lower limit, mean - 2 SD."""
        return self.mean - 2 * self.sd

    @property
    def high(self) -> float:
        """Upper limit, mean + 2 SD."""
        return self.mean + 2 * self.sd


@dataclass(frozen=True)
class Measurement:
    """One number with its unit and meaning.

    Args:
        key: flat name with its unit, as in measurements.json: ``lv_edv_ml``.
        value: the number, or None when it cannot be known; then `note` says why.
        unit: as printed: ``mL``, ``g``, ``%``, ``mm``, ``L/min``, ``mL/m2``.
        label: as a cardiologist writes it: ``LV end-diastolic volume``.
        definition: how it was computed, in one sentence.
        source: guideline or paper the definition follows.
        reference: healthy range for this sex and age, or None.
        note: why there is no value, or a caveat.
        error: how far the value typically lies from that of another reader, in its unit, 0 or more; None where that
            was not measured.
    """

    key: str
    value: float | None
    unit: str
    label: str
    definition: str
    source: str
    reference: ReferenceRange | None = None
    note: str = ""
    error: float | None = None

    @property
    def outside(self) -> Literal["", "below", "above"]:
        """Say whether the value lies outside its healthy range by more than its own error: the only test of a flag.

        Empty within that margin, and where there is no finite value or no range; without a known error the margin is 0.
        """
        if self.value is None or self.reference is None or not math.isfinite(self.value):
            return ""
        margin = self.error or 0.0
        if self.value < self.reference.low - margin:
            return "below"
        return "above" if self.value > self.reference.high + margin else ""


@dataclass(frozen=True)
class Measurements:
    """Every number of one segmentation.

    Args:
        kind: which stack they are of.
        values: in the order a report shows them.
        ed_frame: end-diastole, counted from 0; None for LGE.
        es_frame: end-systole, counted from 0; None for LGE, and for a cine of one frame.
        curves_ml: volume of each structure at every frame, float64[T], by label name.
        segment_tables: per AHA segment values, e.g. ``{"wall_thickness_ed_mm": float64[16]}``, NaN where not visible.
        findings: what measuring noticed, e.g. segments that cannot be oriented.
        base_first: True when slice 0 of the array lies at the base of the heart; None where that could not be told.
    """

    kind: Kind
    values: tuple[Measurement, ...]
    ed_frame: int | None = None
    es_frame: int | None = None
    curves_ml: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    segment_tables: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    base_first: bool | None = None

    def __getitem__(self, key: str) -> float | None:
        """Value of a measurement by its key; KeyError when there is no such measurement."""
        for measurement in self.values:
            if measurement.key == key:
                return measurement.value
        raise KeyError(key)


@dataclass(frozen=True)
class Verdict:
    """What quality control says: ``pass``, ``review`` (a person must look) or ``reject`` (do not use the numbers)."""

    status: Literal["pass", "review", "reject"]
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, findings: tuple[Finding, ...]) -> Verdict:
        """The verdict that the gravest finding asks for; ``pass`` without findings."""
        severities = {f.severity for f in findings}
        if "reject" in severities:
            return cls("reject", findings)
        return cls("review" if "review" in severities else "pass", findings)

    def of_ventricle(self, ventricle: Ventricle) -> Verdict:
        """The verdict on one ventricle's numbers: without the findings that are about the other one alone."""
        return Verdict.of(tuple(f for f in self.findings if f.ventricle in (None, ventricle)))

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that speak against the numbers: all but mere information."""
        return tuple(f for f in self.findings if f.severity != "info")


@dataclass(frozen=True)
class Part:
    """One analysed stack: the image, what was segmented on it, measured from that, and thought of it."""

    image: Image
    segmentation: Segmentation
    measurements: Measurements
    verdict: Verdict

    @property
    def base_first(self) -> bool | None:
        """True when slice 0 lies at the base: from the masks, else from the file's directions; None when neither."""
        found = self.measurements.base_first
        return self.image.geometry.base_first if found is None else found

    def place(self, frame: int | None, z: int | None) -> str:
        """A frame and a slice, indices from 0 or None, as a person reads them."""
        named = {self.measurements.ed_frame: "end-diastole", self.measurements.es_frame: "end-systole"}
        phases = {at: name for at, name in named.items() if at is not None}
        return place(frame, z, self.image.n_slices, self.base_first, phases)


@dataclass(frozen=True)
class Analysis:
    """All that is known of one study when the line has been walked; what reports are written from.

    Args:
        study: what was read.
        parts: one per analysed stack, cine first.
        run: content of run.json: versions, bundle hashes, input hashes, timings, settings, warnings.
    """

    study: Study
    parts: tuple[Part, ...]
    run: Mapping[str, Any] = field(default_factory=dict)

    def part(self, kind: Kind) -> Part | None:
        """The part of a kind, or None."""
        return next((p for p in self.parts if p.image.kind == kind), None)

    def where(self, finding: Finding) -> str:
        """What a finding is about, as a person reads it, e.g. ``"LGE, slice 3"``; empty for the whole study."""
        part = self.part(finding.kind) if finding.kind else next(iter(self.parts), None)
        named = "LGE" if finding.kind == "lge" else ""
        there = part.place(None if named else finding.frame, finding.slice) if part else ""
        return ", ".join(text for text in (named, there) if text)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all parts, with the findings of all."""
        return Verdict.of(tuple(f for p in self.parts for f in p.verdict.findings))


def _check_grid(array: NDArray[Any], dtype: np.dtype[Any], geometry: Geometry) -> None:
    if array.ndim != 4 or array.dtype != dtype:
        raise ValueError(f"expected {dtype}[T, Z, Y, X], got {array.dtype}{list(array.shape)}")
    if array.shape[1:] != geometry.shape_xyz[::-1]:
        raise ValueError(f"array [Z, Y, X] = {array.shape[1:]} but the grid is (X, Y, Z) = {geometry.shape_xyz}")
