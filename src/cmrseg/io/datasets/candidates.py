"""The images among the NIfTI files of a folder: one in a file, or one in several that a converter parted."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmrseg.errors import InputRefused
from cmrseg.io.datasets import names
from cmrseg.io.nifti import NiftiVolume, is_nifti, looks_like_masks, scaled, stem, volume_of
from cmrseg.io.nifti_file import NiftiFile, announced, load
from cmrseg.io.nifti_slices import MIN_SLICES, SliceFile, parallel_groups, phase_numbers, phases_of, slice_of, stack_of
from cmrseg.io.walk import files_below

#: What a header says of place and size.
_PLACE = (
    *("sform_code", "srow_x", "srow_y", "srow_z", "pixdim"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)
_HEADER_SIZES = (348, 540)
#: Files that were looked into are kept up to this size in all, so that they are not read twice.
_KEPT_BYTES = 1 << 29


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image in one file or in several that belong together.

    Args:
        paths: its files; of a pair the header.
        shown: their paths from the folder.
        header: raw header of the first.
        shape: x, y, slices and phases of the whole, as the headers say.
        volume: reads it.
    """

    paths: tuple[Path, ...]
    shown: tuple[Path, ...]
    header: Any
    shape: tuple[int, int, int, int]
    volume: Callable[[], NiftiVolume]

    @property
    def n_slices(self) -> int:
        """Slices of the stack."""
        return self.shape[2]

    @property
    def n_phases(self) -> int:
        """Images of each slice."""
        return self.shape[3]

    @property
    def named_lge(self) -> bool:
        """True when its name says LGE, whether it can be that or not."""
        return names.named_lge(self.shown[0])

    @property
    def lge(self) -> bool:
        """True when its name says LGE and it can be that."""
        return self.n_phases == 1 and self.named_lge

    @property
    def other(self) -> bool:
        """True when its name says another series."""
        return all(names.named_other(path) for path in self.shown)

    @property
    def cine(self) -> bool:
        """True when its name says cine, or a phase of one."""
        return names.named_cine(self.shown[0])

    @property
    def short_axis(self) -> bool:
        """True when its name says short axis."""
        return names.named_short_axis(self.shown[0])


class Files:
    """NIfTI files, the small ones kept once they were read."""

    def __init__(self) -> None:
        self._kept: dict[Path, NiftiFile] = {}
        self._room = _KEPT_BYTES

    def load(self, path: Path) -> NiftiFile:
        """As `cmrseg.io.nifti_file.load`."""
        if path in self._kept:
            return self._kept[path]
        file = load(path)
        if file.values.nbytes <= self._room:
            self._room -= file.values.nbytes
            self._kept[path] = file
        return file

    def one(self, path: Path, shown: Path) -> Candidate:
        """The image of one file."""
        header, shape = announced(path)
        return Candidate(
            paths=(path,), shown=(shown,), header=header, shape=shape, volume=lambda: volume_of(self.load(path))
        )

    def copies(self, paths: Sequence[Path]) -> set[Path]:
        """Packed and unpacked copies of an image beside an earlier one of the same name, equal in values and place."""
        alike: dict[Path, list[Path]] = defaultdict(list)
        for path in paths:
            alike[path.with_name(stem(path).lower())].append(path)
        result: set[Path] = set()
        for first, *others in alike.values():
            result |= {path for path in others if self._digest(path) == self._digest(first)}
        return result

    def _digest(self, path: Path) -> bytes:
        """Hash of an image's values and of what its header says of its place."""
        file = self.load(path)
        place = [file.header[name].tobytes() for name in _PLACE]
        return hashlib.sha256(b"".join([*place, scaled(file).tobytes()])).digest()

    def hold_masks(self, path: Path, *, named: bool) -> bool:
        """True when a file holds label numbers, or, named as masks, probabilities or nothing that can be read.

        Raises:
            InputRefused: as `load`, for a file that is not named as masks.
        """
        try:
            file = self.load(path)
        except InputRefused:
            if named:
                return True
            raise
        few = file.values.ravel(order="K")[:: max(1, file.values.size // 4096)]
        if not named and len(np.unique(few)) > 256:
            return False
        values = scaled(file)
        if not np.isfinite(values).all():
            return named
        return looks_like_masks(values) or (named and float(values.min()) >= 0 and float(values.max()) <= 1)


def images_below(folder: Path, *, deep: bool = True) -> list[Path]:
    """NIfTI files of a folder, whatever they hold, sorted; of pairs the headers; hidden ones do not count.

    Args:
        folder: where to look.
        deep: at any depth, else only what lies in the folder itself.
    """
    paths = files_below(folder) if deep else [p for p in sorted(folder.iterdir()) if p.is_file()]
    seen = [p for p in paths if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    return [p for p in seen if is_nifti(p) or is_pair_header(p)]


def is_pair_header(path: Path) -> bool:
    """True for the header of an image in two files, NIfTI or Analyze; False too when it cannot be read."""
    if not path.name.lower().removesuffix(".gz").endswith(".hdr"):
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return False
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    return start[:2] == b"\x1f\x8b" or bool(sizes & set(_HEADER_SIZES))


def candidates(folder: Path, *, deep: bool = True) -> list[Path]:
    """NIfTI files that are not masks by name and content, sorted; what is not named as masks is not opened."""
    files = Files()
    paths = images_below(folder, deep=deep)
    return [p for p in paths if not (names.named_mask(p.relative_to(folder)) and files.hold_masks(p, named=True))]


def joined(files: Files, shown: Mapping[Path, Path]) -> list[Candidate]:
    """The images of some files: slices joined to stacks, phases joined to cines, everything else as it is.

    Args:
        files: reads them.
        shown: their paths, with the same from the folder.

    Raises:
        InputRefused: as `announced`, and `no_position` for files of one slice without a place.
    """
    alone = {path: files.one(path, shown[path]) for path in shown}
    whole = [one for one in alone.values() if one.n_slices > 1]
    found = [*_of_phases([one for one in whole if one.n_phases == 1])]
    used = {path for one in found for path in one.paths}
    found += [one for one in whole if one.paths[0] not in used]
    by_name: dict[tuple[bool, bool], list[Candidate]] = defaultdict(list)
    for one in alone.values():
        if one.n_slices == 1:
            by_name[(one.named_lge, one.other)].append(one)
    for (_, other), alike in by_name.items():
        found += alike if other else _of_slices(files, alike)
    return found


def _of_slices(files: Files, alike: Sequence[Candidate]) -> Iterator[Candidate]:
    """Stacks of files of one slice each; those that belong to none stay alone."""
    slices: list[SliceFile] = []
    if len(alike) >= MIN_SLICES:
        slices = [slice_of(one.paths[0], one.header, one.shape) for one in alike]
    by_path = {one.paths[0]: one for one in alike}
    for group in parallel_groups(slices):
        if len(group) >= MIN_SLICES:
            parts = [by_path.pop(one.path) for one in group]
            yield _several(
                parts, (*parts[0].shape[:2], len(parts), parts[0].n_phases), partial(stack_of, group, files.load)
            )
    yield from by_path.values()


def _of_phases(single: Sequence[Candidate]) -> Iterator[Candidate]:
    """Cines of files that hold one phase each, as their names tell."""
    alike: dict[str, list[Candidate]] = defaultdict(list)
    for one in single:
        if not one.named_lge and not one.other:
            alike[names.letters(one.shown[0])].append(one)
    for parts in alike.values():
        numbers = phase_numbers([one.paths[0] for one in parts])
        if numbers is not None:
            ordered = [one for _, one in sorted(zip(numbers, parts, strict=True), key=lambda pair: pair[0])]
            yield _several(ordered, (*ordered[0].shape[:3], len(ordered)), partial(_phases, ordered))


def _several(
    parts: Sequence[Candidate], shape: tuple[int, int, int, int], volume: Callable[[], NiftiVolume]
) -> Candidate:
    return Candidate(
        paths=tuple(one.paths[0] for one in parts),
        shown=tuple(one.shown[0] for one in parts),
        header=parts[0].header,
        shape=shape,
        volume=volume,
    )


def _phases(parts: Sequence[Candidate]) -> NiftiVolume:
    return phases_of([one.volume() for one in parts])
