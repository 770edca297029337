"""Masks of a method beside the masks of a data set: which file belongs to which patient, and what does not fit."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.cine import CineScore, compare_frames, labelled_phases, score_missing
from cmrseg.evaluate.metrics import EMPTY_MASKS, EmptyMasks
from cmrseg.evaluate.taxonomy import Tag, error_tags
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.nifti import is_nifti, read_labels, stem
from cmrseg.io.read import os_errors_become_refusals
from cmrseg.labels import CINE, MNMS, LabelScheme
from cmrseg.pipeline.drawn_masks import reordered

Layout = Literal["acdc", "mnms", "folder"]
LAYOUTS: tuple[Layout, ...] = ("acdc", "mnms", "folder")
#: Numbers that a method's masks may be in.
SCHEMES = {scheme.name: scheme for scheme in (CINE, MNMS)}
#: What `cmrseg analyse` and `cmrseg measure` call their masks.
RESULT = "cine_segmentation.nii.gz"
_ONE_FRAME = re.compile(r"(?P<case>.+)_(?P<frame>ED|ES|frame\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Mismatch:
    """A patient, or a file, that could not be compared.

    Args:
        case_id: the patient.
        code: of `cmrseg.errors.REFUSAL_CODES`, or ``no_truth`` for masks of somebody whom the data set does not hold.
        cause: what does not fit.
    """

    case_id: str
    code: str
    cause: str


@dataclass(frozen=True)
class Evaluation:
    """A method's masks compared with a data set's.

    Args:
        scores: one per patient that could be compared, in the order of case ids.
        tags: errors of each of them, by case id.
        mismatches: who could not be compared, and why.
        truth_hashes: SHA-256 of the truth's labels, by case id: equal for two patients who were given one truth.
    """

    scores: tuple[CineScore, ...]
    tags: dict[str, tuple[Tag, ...]]
    mismatches: tuple[Mismatch, ...]
    truth_hashes: dict[str, str] = field(default_factory=dict)


def evaluate_masks(
    masks: Path,
    truth: Path,
    layout: Layout = "acdc",
    *,
    scheme: str = "cine",
    only: Collection[str] | None = None,
    missing_as_missed: bool = False,
    policy: EmptyMasks = EMPTY_MASKS,
) -> Evaluation:
    """Score every patient of a data set that a method gave masks for.

    Args:
        masks: folder of results of `cmrseg analyse` (``<case>/cine_segmentation.nii.gz``), or of label files:
            ``<case>.nii.gz``, or one file per labelled frame, ``<case>_ED.nii.gz`` or ``<case>_frame01.nii.gz``.
        truth: root of the data set.
        layout: of the data set; ``folder`` is a folder of label files as above, in cine numbers.
        scheme: numbers of the method's masks, ``cine`` or ``mnms``.
        only: case ids to evaluate; all by default.
        missing_as_missed: a patient without masks is scored as one whose every structure was missed, and not left out.
        policy: what empty masks give.

    Returns:
        Scores, error tags, and everything that did not fit, by name.

    Raises:
        UsageError: no such folder, layout or scheme, or a data set without any of the patients.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"There is no label scheme {scheme!r} for cine masks.", f"Schemes: {', '.join(SCHEMES)}.")
    if not masks.is_dir():
        raise UsageError(f"{masks} is not a folder.", "Give the folder that holds the masks of all patients.")
    cases = [c for c in truth_cases(truth, layout) if only is None or c.case_id in only]
    if not cases:
        raise UsageError(f"No patient to evaluate was found in {truth}.", f"Check the folder and --layout {layout}.")
    scores: list[CineScore] = []
    tags: dict[str, tuple[Tag, ...]] = {}
    mismatches: list[Mismatch] = []
    hashes: dict[str, str] = {}
    for case in cases:
        try:
            with os_errors_become_refusals():
                expected = read_truth(case, layout)
                found = _found_or_none(masks, case.case_id, expected, SCHEMES[scheme])
        except InputRefused as error:
            mismatches.append(Mismatch(case.case_id, error.code, error.cause))
            continue
        if found is None:
            mismatches.append(Mismatch(case.case_id, "not_found", "There are no masks of this patient."))
            if not missing_as_missed:
                continue
            scores.append(score_missing(case, expected, "not_found", policy))
            found = np.zeros_like(expected.labels)
        else:
            scores.append(compare_frames(case, found, expected, policy))
        tags[case.case_id] = error_tags(found, expected)
        content = f"{expected.labels.shape}".encode() + np.ascontiguousarray(expected.labels).tobytes()
        hashes[case.case_id] = hashlib.sha256(content).hexdigest()
    if only is None:
        known = {case.case_id for case in cases}
        extra = sorted(mask_ids(masks) - known)
        mismatches += [Mismatch(i, "no_truth", "The data set holds no patient of this name.") for i in extra]
    return Evaluation(tuple(scores), tags, tuple(mismatches), hashes)


def detect_layout(root: Path) -> Layout:
    """Layout of a data set, told by its patients; ``folder`` where it is neither ACDC's nor M&Ms'."""
    return next(layout for layout in LAYOUTS if layout == "folder" or truth_cases(root, layout))


def truth_cases(root: Path, layout: Layout) -> list[Case]:
    """Patients of a data set, in the order of their ids; empty where there are none; UsageError: no such layout."""
    if layout not in LAYOUTS:
        raise UsageError(f"There is no layout {layout!r}.", f"Layouts: {', '.join(LAYOUTS)}.")
    if layout == "folder":
        return [Case(case_id, root) for case_id in sorted(mask_ids(root))]
    cases: list[Case] = importlib.import_module(f"cmrseg.io.datasets.{layout}").cases(root)
    return cases


def read_truth(case: Case, layout: Layout) -> Truth:
    """Masks of one patient of a data set; InputRefused as the layout's reader raises it."""
    if layout != "folder":
        truth: Truth = importlib.import_module(f"cmrseg.io.datasets.{layout}").truth(case.path)
        return truth
    stacks = [read_labels(path, CINE) for path in mask_files(case.path, case.case_id).values()]
    geometry = stacks[0][1]
    labels = np.concatenate([_on_grid(stack, grid, geometry) for stack, grid in stacks])
    frames = tuple(int(k) for k in np.flatnonzero(labels.reshape(len(labels), -1).any(axis=1)))
    if not frames:
        raise InputRefused("not_found", "The masks of the data set are empty.", "Leave this patient out.")
    return Truth(labels[list(frames)], frames, geometry)


def mask_ids(root: Path) -> set[str]:
    """Case ids that a folder holds masks of; files whose names begin with a dot do not count."""
    if not root.is_dir():
        return set()
    found = {path.parent.name for path in root.glob(f"*/{RESULT}")}
    for path in root.iterdir():
        if path.is_file() and is_nifti(path) and not path.name.startswith("."):
            match = _ONE_FRAME.fullmatch(stem(path))
            found.add(match["case"] if match else stem(path))
    return {name for name in found if not name.startswith(".")}


def mask_files(root: Path, case_id: str) -> dict[str, Path]:
    """Mask files of one patient by what they hold: ``""`` (all frames), or ``ed``, ``es``, ``frame01`` in that order.

    Empty where there are none.

    Raises:
        InputRefused: `ambiguous`, when masks of this patient lie there in two ways.
    """
    whole = [p for p in (root / case_id / RESULT, root / f"{case_id}.nii.gz", root / f"{case_id}.nii") if p.is_file()]
    single: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.iterdir() if p.is_file() and is_nifti(p)):
        match = _ONE_FRAME.fullmatch(stem(path))
        if match and match["case"] == case_id:
            single.setdefault(match["frame"].lower(), []).append(path)
    named_twice = any(len(paths) > 1 for paths in single.values())
    both_ways = bool(single.keys() & {"ed", "es"}) and not single.keys() <= {"ed", "es"}
    if len(whole) > 1 or (whole and single) or named_twice or both_ways:
        raise InputRefused("ambiguous", "Masks of this patient lie there in more than one way.", "Keep one of them.")
    if whole:
        return {"": whole[0]}
    return {frame: single[frame][0] for frame in sorted(single, key=lambda f: (len(f), f))}


def read_masks(root: Path, case_id: str, truth: Truth, scheme: LabelScheme) -> NDArray[np.uint8]:
    """A method's masks of one patient at the labelled frames of the truth.

    Args:
        root: folder of the masks.
        case_id: the patient.
        truth: what they are compared with: its grid must be theirs, but for the order of axes.
        scheme: numbers of the masks.

    Returns:
        uint8[K, Z, Y, X] in numbers of `labels.CINE`, in the order of the truth's frames.

    Raises:
        InputRefused: `not_found`, `ambiguous`, `mask_mismatch` (another grid, other frames), `labels`; and what
            `cmrseg.io.nifti.read_labels` raises.
    """
    files = mask_files(root, case_id)
    if not files:
        raise InputRefused("not_found", "There are no masks of this patient.", "Check the names of the files.")
    stacks = []
    for path in files.values():
        labels, geometry = read_labels(path, scheme, CINE)
        stacks.append(_on_grid(labels, geometry, truth.geometry))
    if "" in files:
        return _labelled_frames(stacks[0], truth.frames)
    if len(stacks) != len(truth.frames) or any(len(stack) != 1 for stack in stacks):
        raise InputRefused(
            "mask_mismatch",
            f"There are masks of {', '.join(files)}, and the truth labels {len(truth.frames)} frames.",
            "Give one 3-D file for each labelled frame.",
        )
    phases = labelled_phases(truth)
    places = [phases.get(name, k) for k, name in enumerate(files)]
    return np.concatenate([stacks[places.index(k)] for k in range(len(places))])


def _found_or_none(root: Path, case_id: str, truth: Truth, scheme: LabelScheme) -> NDArray[np.uint8] | None:
    return read_masks(root, case_id, truth, scheme) if mask_files(root, case_id) else None


def _on_grid(labels_TZYX: NDArray[np.uint8], geometry: Geometry, target: Geometry) -> NDArray[np.uint8]:
    labels_TZYX, geometry = reordered(labels_TZYX, geometry, target)
    if not geometry.agrees_with(target):
        shapes = [" x ".join(map(str, grid.shape_xyz)) for grid in (geometry, target)]
        spacings = [" x ".join(f"{mm:.3g}" for mm in grid.spacing_xyz_mm) for grid in (geometry, target)]
        raise InputRefused(
            "mask_mismatch",
            f"The masks lie on another grid ({shapes[0]} voxels of {spacings[0]} mm) than the truth "
            f"({shapes[1]} voxels of {spacings[1]} mm), or at another place.",
            "Bring them onto the grid of the image with nearest neighbour first.",
        )
    return labels_TZYX


def _labelled_frames(labels_TZYX: NDArray[np.uint8], frames: Sequence[int]) -> NDArray[np.uint8]:
    if max(frames) < len(labels_TZYX):
        return labels_TZYX[list(frames)]
    if len(labels_TZYX) == len(frames):
        return labels_TZYX
    raise InputRefused(
        "mask_mismatch",
        f"The masks have {len(labels_TZYX)} frames; the truth labels {len(frames)}, "
        f"the last of them frame {max(frames)}.",
        "Give masks of the whole cine, or of its labelled frames.",
    )
