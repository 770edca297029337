"""NIfTI files of one slice each, or of one phase each, as the stack that they were before a converter parted them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused
from cmrseg.geometry import Geometry
from cmrseg.io.nifti import NiftiVolume, noticed_of, scaled
from cmrseg.io.nifti_file import NiftiFile, load
from cmrseg.io.nifti_geometry import frame_times_of, plane_of
from cmrseg.io.slices import SAME_PLACE_MM, slice_step
from cmrseg.study import Finding

#: Fewer parallel slices are views and no stack.
MIN_SLICES = 3
#: Directions of parallel slices differ by less (cosine); 0.01 is half a degree.
_SAME_DIRECTION = 0.01
_SAME_PIXEL = 0.001
#: Neighbouring phases of one heart beat look alike; images of two persons do not.
_LEAST_CORRELATION = 0.8
_REMEDY = "Put the files of one complete stack into a folder of their own, or convert the original series again."


@dataclass(frozen=True)
class SliceFile:
    """A file of one slice.

    Args:
        path: the file.
        n_phases: images of the slice.
        shape_xy: columns and rows.
        affine: to LPS mm; its third column is the unit normal.
        known: whether its directions are believed.
    """

    path: Path
    n_phases: int
    shape_xy: tuple[int, int]
    affine: NDArray[np.float64]
    known: bool


def parallel_groups(slices: Sequence[SliceFile]) -> list[list[SliceFile]]:
    """Slices of one orientation together, single images apart from those with phases; largest group first."""
    groups: list[list[SliceFile]] = []
    for one in sorted(slices, key=lambda s: s.path.as_posix()):
        for group in groups:
            apart = np.abs(_directions(group[0]) - _directions(one)).max()
            if apart < _SAME_DIRECTION and (group[0].n_phases == 1) == (one.n_phases == 1):
                group.append(one)
                break
        else:
            groups.append([one])
    return sorted(groups, key=len, reverse=True)


def stack_of(slices: Sequence[SliceFile], read: Callable[[Path], NiftiFile] = load) -> NiftiVolume:
    """One stack of parallel slices, in the order of their places along the normal.

    Args:
        slices: two or more, parallel.
        read: gives the content of a file.

    Raises:
        InputRefused: `uneven_phases`, `duplicate_slices`, `slice_gap`; `geometry` for slices that differ in pixels, are
            unevenly spaced or not above each other; as `cmrseg.io.nifti.read_nifti` for each file.
    """
    _refuse_unlike(slices)
    first = slices[0].affine
    normal = first[:3, 2]
    ordered = sorted(slices, key=lambda s: float(s.affine[:3, 3] @ normal))
    files = [read(one.path) for one in ordered]
    ordered, files = _without_copies(ordered, files, normal)
    origins = np.array([one.affine[:3, 3] for one in ordered])
    if len(ordered) < 2:
        raise InputRefused("no_spacing", "All files hold the same slice, which gives no volume.", _REMEDY)
    step = slice_step(origins, normal, _REMEDY)
    affine = np.eye(4)
    affine[:3, :2] = np.median([one.affine[:3, :2] for one in ordered], axis=0)
    affine[:3, 2] = step
    affine[:3, 3] = origins.mean(axis=0) - (len(ordered) - 1) / 2 * step
    geometry = Geometry(affine, (*slices[0].shape_xy, len(ordered)), all(one.known for one in ordered))
    data = np.stack([scaled(file)[:, :, 0].transpose(2, 1, 0) for file in files], axis=1)
    times = [frame_times_of(file.header, len(data)) for file in files]
    findings = {f.code: f for _, found in times for f in found} | {f.code: f for file in files for f in file.findings}
    known_times = [time for time, _ in times if time is not None]
    message = f"{len(slices)} files of one slice each were put together by their positions."
    return NiftiVolume(
        data,
        geometry,
        np.median(known_times, axis=0) if len(known_times) == len(files) else None,
        None,
        (Finding("files_joined", "info", message), *findings.values(), *noticed_of(data)),
    )


def slice_of(path: Path, header: Any, shape: tuple[int, int, int, int]) -> SliceFile:
    """What a file of one slice says of its place.

    Raises:
        InputRefused: as `cmrseg.io.nifti_geometry.plane_of`.
    """
    affine, known = plane_of(header)
    return SliceFile(path, shape[3], shape[:2], affine, known)


def phase_numbers(paths: Sequence[Path]) -> list[float] | None:
    """Numbers of files that are the phases of one heart beat by their names (``t01``, ``frame_3``), else None.

    The names must be the same but for one number, behind a word for time, and the numbers must be evenly spaced.
    """
    pattern = re.compile(r"(?:(?<![a-z])t|time|frame|phase|vol|volume|trig|trigger)[-_ ]?(\d+)", re.I)
    found = [list(pattern.finditer(path.name)) for path in paths]
    if len(paths) < MIN_SLICES or any(not matches for matches in found):
        return None
    rests = {
        path.name[: m[-1].start(1)] + "#" + path.name[m[-1].end(1) :] for path, m in zip(paths, found, strict=True)
    }
    numbers = [float(matches[-1][1]) for matches in found]
    steps = np.diff(sorted(numbers))
    if len(rests) > 1 or len({path.parent for path in paths}) > 1 or (steps <= 0).any():
        return None
    return numbers if np.abs(steps - np.median(steps)).max() <= 0.1 * float(np.median(steps)) else None


def phases_of(volumes: Sequence[NiftiVolume]) -> NiftiVolume:
    """One cine of volumes that hold a phase each, in their order.

    Raises:
        InputRefused: `geometry` where their grids differ; `mixed_patients` where they do not show one heart.
    """
    first = volumes[0]
    if any(len(v.data) != 1 or not v.geometry.agrees_with(first.geometry) for v in volumes):
        raise InputRefused("geometry", "The files are numbered as phases but lie on different grids.", _REMEDY)
    for one, other in pairwise(volumes):
        if float(np.corrcoef(one.data.ravel(), other.data.ravel())[0, 1]) < _LEAST_CORRELATION:
            raise InputRefused("mixed_patients", "The files are numbered as phases but do not show one heart.", _REMEDY)
    message = f"{len(volumes)} files of one phase each were put together in the order of their numbers."
    unknown = Finding(
        "frame_times_unknown",
        "info",
        "The files do not say how far apart the phases are in time; volumes do not depend on it.",
    )
    findings = {f.code: f for volume in volumes for f in volume.findings}
    data = np.concatenate([v.data for v in volumes])
    return NiftiVolume(
        data,
        first.geometry,
        None,
        first.origin,
        (Finding("files_joined", "info", message), unknown, *findings.values()),
    )


def _directions(one: SliceFile) -> NDArray[np.float64]:
    return np.asarray(one.affine[:3, :2] / np.linalg.norm(one.affine[:3, :2], axis=0))


def _refuse_unlike(slices: Sequence[SliceFile]) -> None:
    """Refuse parallel slices that differ in phases or pixels: a stack without the few would be short, unseen."""
    phases = Counter(one.n_phases for one in slices)
    usual = phases.most_common(1)[0][0]
    odd = [f"{one.path.name} ({one.n_phases})" for one in slices if one.n_phases != usual]
    if odd:
        raise InputRefused(
            "uneven_phases",
            f"{len(slices) - len(odd)} of {len(slices)} slices have {usual} phases, the others do not: {_some(odd)}.",
            _REMEDY,
        )
    kinds = [(one.shape_xy, tuple(np.linalg.norm(one.affine[:3, :2], axis=0))) for one in slices]
    shape, pixel = max(kinds, key=lambda k: sum(_alike(k, other) for other in kinds))
    odd = [one.path.name for one, own in zip(slices, kinds, strict=True) if not _alike(own, (shape, pixel))]
    if odd:
        raise InputRefused(
            "geometry",
            f"{len(odd)} of {len(slices)} parallel slices have another matrix or pixel size: {_some(odd)}.",
            _REMEDY,
        )


def _alike(one: tuple[tuple[int, int], tuple[float, ...]], other: tuple[tuple[int, int], tuple[float, ...]]) -> bool:
    return one[0] == other[0] and bool(np.allclose(one[1], other[1], rtol=_SAME_PIXEL))


def _without_copies(
    slices: Sequence[SliceFile], files: Sequence[NiftiFile], normal: NDArray[np.float64]
) -> tuple[list[SliceFile], list[NiftiFile]]:
    """Slices in order, each place once; refuses two different images of one place."""
    kept: list[SliceFile] = []
    read: list[NiftiFile] = []
    for one, file in zip(slices, files, strict=True):
        if kept and float((one.affine[:3, 3] - kept[-1].affine[:3, 3]) @ normal) <= SAME_PLACE_MM:
            if not np.array_equal(scaled(file), scaled(read[-1])):
                raise InputRefused(
                    "duplicate_slices",
                    f"Two different files claim the same place: {kept[-1].path.name} and {one.path.name}.",
                    "Keep one of the two: " + _REMEDY,
                )
            continue
        kept.append(one)
        read.append(file)
    return kept, read


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
