"""The HDF5 layout that ScarNet (arXiv 2501.01372) is trained on: one file per slice, one folder per patient.

    P001/Mag_image/slice_01.h5      data set `image_mag`, rows x columns
    P001/4layer_mask/slice_01.h5    data set `mask`: 1 remote myocardium, 2 LV cavity, 3 scar

Slices follow each other as the numbers in their names do, base or apex first. The layout has no voxel sizes. Write
them to the first slice's `image_mag` as the attribute `spacing_xyz_mm`, three numbers; without it nothing can be
measured and the study is refused. Needs the optional extra ``hdf5``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, UsageError
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import sha256_of
from cmrseg.io.nifti_file import MAX_IN_PLANE
from cmrseg.labels import LGE, SCARNET, convert, without_numbers
from cmrseg.study import Image, Study

IMAGES, MASKS = "Mag_image", "4layer_mask"
SPACING = "spacing_xyz_mm"
_AGAIN = "Write the file again with ScarNet's layout."


def is_case(folder: Path) -> bool:
    """True when the folder is laid out as one patient of ScarNet's data."""
    return bool(_slices(folder / IMAGES))


def cases(root: Path) -> list[Case]:
    """Patients below `root`, at most two folders deep, sorted by folder name; empty when there is none."""
    found = [Case(f.name, f) for f in (root, *root.glob("*/"), *root.glob("*/*/")) if is_case(f)]
    return sorted(found, key=lambda case: (case.case_id, str(case.path)))


def read(folder: Path) -> Study:
    """Read the LGE stack of one patient.

    Raises:
        InputRefused: `not_found`, `unreadable`, `too_large`, `no_spacing`, `geometry` when slices differ in size,
            `nonfinite`, `no_lge` for a single slice, `empty_image`.
        UsageError: h5py is not installed.
    """
    paths = _some_slices(folder / IMAGES)
    data = _stack(paths, "image_mag").astype(np.float32)
    if not np.isfinite(data).all():
        raise InputRefused("nonfinite", "The image holds NaN or infinity.", "Export the slices again.")
    if data.min() == data.max():
        raise InputRefused("empty_image", "The image is blank: all its voxels are equal.", "Give the image itself.")
    image = Image("lge", data[None], _geometry(paths[0], data.shape), source={"reader": "scarnet"})
    inputs = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
    return Study(folder.name, folder, (image,), inputs=inputs)


def truth(folder: Path) -> Truth:
    """Masks of one patient in the numbers of `labels.LGE`; there is no right ventricle in them.

    Raises:
        InputRefused: as `read`; `labels`; `mask_mismatch` when a slice has no masks of its name and size.
        UsageError: h5py is not installed.
    """
    images = _some_slices(folder / IMAGES)
    masks = _some_slices(folder / MASKS)
    image_shape = _stack(images, "image_mag").shape
    drawn = _stack(masks, "mask")
    if [p.name for p in images] != [p.name for p in masks] or drawn.shape != image_shape:
        raise InputRefused("mask_mismatch", "Images and masks differ in names, number or size.", "Copy both again.")
    geometry = _geometry(images[0], image_shape)
    return Truth(convert(drawn, SCARNET, LGE)[None], (0,), geometry, LGE, without_numbers(SCARNET, LGE))


def _slices(folder: Path) -> list[Path]:
    """HDF5 files in the order of the numbers in their names."""

    def key(path: Path) -> list[tuple[int, int | str]]:
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.stem) if part]

    return sorted((p for p in folder.glob("*.h5") if not p.name.startswith(".")), key=key)


def _some_slices(folder: Path) -> list[Path]:
    paths = _slices(folder)
    if not paths:
        raise InputRefused(
            "not_found", f"The patient has no HDF5 file in {folder.name}.", "Give one with both folders."
        )
    if len(paths) < 2:
        raise InputRefused("no_lge", "The patient has a single slice, which gives no volume.", "Give all its slices.")
    return paths


def _stack(paths: list[Path], name: str) -> NDArray[Any]:
    slices = [_read_slice(path, name) for path in paths]
    if len({s.shape for s in slices}) > 1:
        raise InputRefused("geometry", "The slices of this patient differ in size.", "Give each patient a folder.")
    return np.stack(slices)


def _read_slice(path: Path, name: str) -> NDArray[Any]:
    """The array [Y, X] of that name; a leading axis of one is dropped."""
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            found = _data_set(h5py, file, name)
            if max(found.shape, default=0) > MAX_IN_PLANE:
                raise InputRefused("too_large", f"A slice of {max(found.shape)} pixels is no heart.", _AGAIN)
            values: NDArray[Any] = np.asarray(found[()])
    except OSError as error:
        raise InputRefused("unreadable", "A slice is no HDF5 file, or is cut.", _AGAIN) from error
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values) or not values.size:
        raise InputRefused("unreadable", f"The data set {name} is not one slice of real numbers.", _AGAIN)
    return values


def _data_set(h5py: Any, file: Any, name: str) -> Any:
    """The data set of that name, in this very file: links lead to files that nobody gave."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise InputRefused("unreadable", f"A slice holds no data set {name}.", _AGAIN)
    found = file[name]
    if found.is_virtual or found.external:
        raise InputRefused("unreadable", f"The data set {name} keeps its values in another file.", _AGAIN)
    return found


def _geometry(path: Path, shape_zyx: tuple[int, ...]) -> Geometry:
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            stated = _data_set(h5py, file, "image_mag").attrs.get(SPACING)
    except OSError as error:
        raise InputRefused("unreadable", "A slice is no HDF5 file, or is cut.", _AGAIN) from error
    spacing = np.asarray(stated if stated is not None else [])
    if spacing.shape != (3,) or not np.issubdtype(spacing.dtype, np.number):
        raise InputRefused(
            "no_spacing",
            "ScarNet's HDF5 layout has no voxel sizes.",
            f"Write them to image_mag of the first slice as the attribute {SPACING}: x, y and slice distance in mm.",
        )
    z, y, x = shape_zyx
    return Geometry.from_spacing(spacing, (x, y, z))


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UsageError("ScarNet's HDF5 files need h5py.", "Install it: pip install 'cmrseg[hdf5]'.") from error
    return h5py
