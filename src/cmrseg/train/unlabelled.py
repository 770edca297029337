"""Images without labels for pre-training: every frame and slice that can be read, less the patients left out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmrseg.errors import InputRefused, UsageError
from cmrseg.io import read
from cmrseg.io.datasets import acdc, mnms
from cmrseg.io.datasets.candidates import candidates
from cmrseg.io.nifti import is_nifti
from cmrseg.io.signature import is_dicom
from cmrseg.segment.preprocess import InputSpec, image_centre
from cmrseg.study import Study

#: Parts of a split whose patients pre-training must not see.
LEFT_OUT_PARTS = ("validation", "test")


@dataclass(frozen=True)
class UnlabelledStudy:
    """One study below a folder of data.

    Args:
        path: what `cmrseg.io.read` is given.
        names: folder of data, folders on the way from there, and its own name: each may be a patient's id.
        inside: folders of DICOM below it, which may be patients too.
    """

    path: Path
    names: tuple[str, ...]
    inside: tuple[Path, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Every name on the way to it, with and without the suffixes of a file."""
        return frozenset((*self.names, self.names[-1].removesuffix(".gz").removesuffix(".nii")))

    @property
    def shown(self) -> str:
        """How records name it."""
        return "/".join(self.names)

    def parts(self) -> list[UnlabelledStudy]:
        """The folders directly inside, as studies of their own."""
        return [
            UnlabelledStudy(p, (*self.names, p.name), tuple(q for q in self.inside if p in q.parents))
            for p in self.inside
            if p.parent == self.path
        ]


@dataclass(frozen=True)
class DataRecord:
    """What a pre-training run saw and did not see; goes to data.json and into the encoder bundle."""

    folders: tuple[str, ...]
    """Names of the folders of data."""
    studies: tuple[str, ...]
    """Studies that were used, as ``folder/path``."""
    slices: int
    """Slices of all their frames."""
    left_out: tuple[str, ...]
    """Ids of the patients that were to be left out."""
    studies_left_out: tuple[str, ...]
    """Studies found and left out because of that."""
    refused: dict[str, int]
    """Studies that could not be read, by the code of the refusal."""


@dataclass(frozen=True)
class UnlabelledBank:
    """Windows of all studies in memory.

    Args:
        stacks: for each study float16[n, L, L] in 0..1, every frame and slice; not joined, so that memory holds
            each once.
        place_N2: study and slice of each of the N windows.
    """

    stacks: tuple[NDArray[np.float16], ...]
    place_N2: NDArray[np.int64]

    @classmethod
    def of(cls, stacks: Sequence[NDArray[np.float16]]) -> UnlabelledBank:
        """The bank of these stacks."""
        places = [np.stack([np.full(len(s), k), np.arange(len(s))], axis=1) for k, s in enumerate(stacks)]
        return cls(tuple(stacks), np.concatenate(places) if places else np.zeros((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.place_N2)

    def batch(self, chosen: NDArray[np.int64]) -> Tensor:
        """Windows float32[B, 1, L, L] of the chosen slices."""
        windows = np.stack([self.stacks[study][k] for study, k in self.place_N2[chosen]])
        return torch.from_numpy(windows.astype(np.float32))[:, None]


def left_out_patients(split: Path) -> frozenset[str]:
    """Ids under ``validation`` and ``test`` of a split.json.

    Raises:
        UsageError: not a split, or one that leaves nobody out.
    """
    try:
        values = json.loads(split.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{split.name} cannot be read as JSON.", "Give the split.json of a training run.") from error
    parts = [values.get(part, []) for part in LEFT_OUT_PARTS] if isinstance(values, dict) else []
    ids = [i for part in parts if isinstance(part, list) for i in part]
    if not ids or not all(isinstance(i, str) and i for i in ids):
        raise UsageError(
            f"{split.name} names no patients under {' or '.join(LEFT_OUT_PARTS)}.",
            "Give the split.json of a training run.",
        )
    return frozenset(ids)


def find_studies(root: Path) -> list[UnlabelledStudy]:
    """Studies below a folder: data-set patients, single NIfTI images that are not masks, and folders of DICOM.

    A folder that holds DICOM files, however deep, and no NIfTI is one study until reading shows that it is not; so
    give the folder above the patients.

    Raises:
        UsageError: the folder does not exist.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}.", "Give folders that hold studies.")
    return list(_below(UnlabelledStudy(root.resolve(), (root.resolve().name,)), top=True))


def _below(here: UnlabelledStudy, *, top: bool = False) -> Iterator[UnlabelledStudy]:
    """Studies at or below a folder; the top one is a study only if images lie directly in it."""
    path = here.path
    if acdc.is_case(path) or mnms.is_case(path):
        yield here
        return
    images = candidates(path, deep=False)
    if images:
        yield from (UnlabelledStudy(p, (*here.names, p.name)) for p in images)
        return
    files = [p for p in (path.iterdir() if top else path.rglob("*")) if p.is_file()]
    if any(is_dicom(p) for p in files) and not any(is_nifti(p) for p in files):
        yield replace(here, inside=tuple(sorted(p for p in path.rglob("*") if p.is_dir())))
        return
    for deeper in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if not deeper.is_symlink():
            yield from _below(UnlabelledStudy(deeper, (*here.names, deeper.name)))


def _apart(study: UnlabelledStudy, left_out: frozenset[str]) -> Iterator[UnlabelledStudy]:
    """The study, or its parts where a patient to leave out may be one of them."""
    if not left_out & study.ids and left_out & {p.name for p in study.inside}:
        for part in study.parts():
            yield from _apart(part, left_out)
    else:
        yield study


def load_unlabelled(
    roots: Sequence[Path], left_out: frozenset[str], spec: InputSpec, cache_size: int, report: Callable[[str], None]
) -> tuple[UnlabelledBank, DataRecord]:
    """Read every study below the folders and keep its windows, cut round the middle of the image.

    Patients left out are recognised by their id among the folders on the way to a study, and again by their pixels:
    a copy of one of their frames under another name is refused.

    Args:
        roots: folders of data.
        left_out: ids of patients that must not be seen.
        spec: pixel size of the windows.
        cache_size: side of the windows in pixels.
        report: takes lines of progress.

    Raises:
        UsageError: nothing to train on; none of the patients to leave out is there, so that ids and folders may not
            belong together; or an image of theirs stands under another name.
    """
    found = [part for root in roots for study in find_studies(root) for part in _apart(study, left_out)]
    hidden = [study for study in found if left_out & study.ids]
    secret = _secret_marks(hidden, left_out)
    refused: Counter[str] = Counter()
    window = replace(spec, size=cache_size)
    stacks: list[NDArray[np.float16]] = []
    used: list[str] = []
    pending = [study for study in reversed(found) if not left_out & study.ids]
    while pending:
        study = pending.pop()
        content, code = _read(study)
        if content is None:
            pending += reversed(study.parts())
            refused[code] += not study.inside
            continue
        if secret & _marks(content):
            raise UsageError(
                f"{study.shown} holds a frame of a patient that must be left out.", "Remove the copy from the data."
            )
        windows = _windows(content, window)
        if len(windows):
            stacks.append(windows)
            used.append(study.shown)
    if not stacks:
        raise UsageError("No image to train on was found.", "Give folders that hold short-axis studies.")
    record = DataRecord(
        folders=tuple(root.resolve().name for root in roots),
        studies=tuple(used),
        slices=sum(map(len, stacks)),
        left_out=tuple(sorted(left_out)),
        studies_left_out=tuple(study.shown for study in hidden),
        refused={code: n for code, n in sorted(refused.items()) if n},
    )
    report(
        f"{len(used)} studies, {record.slices} slices; {len(hidden)} studies left out; refused: "
        + (", ".join(f"{n} {code}" for code, n in record.refused.items()) or "none")
    )
    return UnlabelledBank.of(stacks), record


def _secret_marks(hidden: Sequence[UnlabelledStudy], left_out: frozenset[str]) -> set[bytes]:
    """Hashes of the frames that must not be seen; UsageError when patients were to be left out and none is there."""
    if left_out and not hidden:
        raise UsageError(
            f"None of the {len(left_out)} patients to leave out is in the data, so the ids may not be those of its "
            "folders.",
            "Check the exclude file; leave it out if the data truly holds none of them.",
        )
    return {mark for study in hidden for mark in _marks(_read(study)[0])}


def _read(study: UnlabelledStudy) -> tuple[Study | None, str]:
    try:
        return read(study.path), ""
    except InputRefused as error:
        return None, error.code


def _marks(study: Study | None) -> set[bytes]:
    """Hash of every frame's pixels."""
    images = study.images if study else ()
    return {hashlib.sha256(frame.tobytes()).digest() for image in images for frame in image.data}


def _windows(study: Study, spec: InputSpec) -> NDArray[np.float16]:
    """Every frame and slice that is not constant, float16[n, L, L], each brought to 0..1."""
    kept = []
    for image in study.images:
        window = spec.window(image.geometry, image_centre(image.geometry))
        for frame in image.data:
            pixels = window.extract(frame)
            low, high = np.percentile(pixels, [0.05, 99.95], axis=(1, 2), keepdims=True)
            scaled = np.clip((pixels - low) / np.maximum(high - low, 1e-6), 0, 1).astype(np.float16)
            kept.append(scaled[(high > low).ravel()])
    size = (0, spec.size, spec.size)
    return np.concatenate(kept) if kept else np.zeros(size, np.float16)
