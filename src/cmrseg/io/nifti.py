"""NIfTI images and masks to arrays [T, Z, Y, X] in LPS, and masks back onto the grid they came from.

A file's array (x, y, z[, t]) is only transposed, never flipped: the geometry follows the file, so that writing back
is the exact inverse. What is believed of a header stands in `cmrseg.io.nifti_geometry`, what is refused of a file's
bytes in `cmrseg.io.nifti_file`.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, OutputError
from cmrseg.geometry import Geometry
from cmrseg.io.nifti_file import PAIR_SUFFIXES, NiftiFile, load
from cmrseg.io.nifti_geometry import RAS_LPS, frame_times_of, grid_of, has_directions, same_voxels
from cmrseg.labels import CINE, LGE, SCHEMES, LabelScheme, convert
from cmrseg.study import Finding, Image

SUFFIXES = (".nii.gz", ".nii")

#: Below this ratio one axis changes clearly less than another; noise alone gives 1.
_CLEARLY_LESS = 0.8
_A_FEW = 4096
#: Masks of the heart have fewer labels than this, and none larger; programs without names count them from 1.
_MOST_LABELS = 16
_SMALL_LABEL = 31
_LARGEST_LABEL = 2221.5
_OFF_A_LABEL = 0.02
_INTENT_LABEL = 1002  # NIFTI_INTENT_LABEL
_UNITS_MM_SEC = 2 | 8
_MASK_REMEDY = (
    "Save the masks with the affine and the header of the image that they were drawn on, e.g. with nibabel as "
    "Nifti1Image(masks, image.affine, image.header)."
)


@dataclass(frozen=True)
class NiftiOrigin:
    """What is needed to write masks back onto a NIfTI file's own grid.

    Args:
        header: raw header of the file (of the first one, when a stack was made of several).
        axes: which file axis became X, Y and Z.
        n_dimensions: 3 or 4.
    """

    header: Any
    axes: tuple[int, int, int]
    n_dimensions: int


@dataclass(frozen=True)
class NiftiVolume:
    """One NIfTI image.

    Args:
        data: float32[T, Z, Y, X], slope and intercept applied.
        geometry: in LPS mm.
        frame_times_ms: float64[T] from the first phase on; None when the file does not say.
        origin: for `write_labels`; None where no single file has this grid.
        findings: what was noticed and accepted.
    """

    data: NDArray[np.float32]
    geometry: Geometry
    frame_times_ms: NDArray[np.float64] | None
    origin: NiftiOrigin | None
    findings: tuple[Finding, ...]


def is_nifti(path: Path) -> bool:
    """True when the name ends as a NIfTI file's does."""
    return path.name.lower().endswith(SUFFIXES)


def is_pair(path: Path) -> bool:
    """True when the name ends as one of the two files of an image in two files does (``.hdr``, ``.img``)."""
    return path.name.lower().removesuffix(".gz").endswith(tuple(PAIR_SUFFIXES))


def stem(path: Path) -> str:
    """File name without its NIfTI suffix, or without that of a pair."""
    for suffix in (*SUFFIXES, *(f"{end}{packed}" for end in PAIR_SUFFIXES for packed in (".gz", ""))):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def read_nifti(path: Path) -> NiftiVolume:
    """Read a 3-D (x, y, slice) or 4-D (x, y, slice, phase) image.

    Args:
        path: NIfTI-1 or NIfTI-2 in one file, plain or gzipped.

    Raises:
        InputRefused: `not_found`, `unreadable`, `too_large`, `no_spacing`, `geometry`, `nonfinite`, `empty_image`.
    """
    return volume_of(load(path))


def volume_of(file: NiftiFile) -> NiftiVolume:
    """The image of a file that was loaded, as `read_nifti` gives it."""
    if file.n_dimensions < 3:
        raise InputRefused(
            "geometry",
            "The file holds one slice (x, y); a stack has 3 dimensions (x, y, slice) or 4 (x, y, slice, phase).",
            "Give the whole short-axis stack, in one file or as a folder with one file per slice.",
        )
    grid = grid_of(file.header, file.values.shape[:3])
    data = np.ascontiguousarray(scaled(file).transpose(3, *(grid.axes[k] for k in (2, 1, 0))))
    noticed = noticed_of(data)
    _refuse_swapped_phases(data)
    times, time_findings = frame_times_of(file.header, len(data))
    origin = NiftiOrigin(file.header, grid.axes, file.n_dimensions)
    findings = file.findings + grid.findings + time_findings + noticed
    return NiftiVolume(data, grid.geometry, times, origin, findings)


def looks_like_masks(data: NDArray[Any]) -> bool:
    """True when an array holds label numbers instead of grey values: few of them, small or known to a label scheme.

    Args:
        data: any shape, finite; an empty array gives False. Numbers may be off by what a save with slope and intercept
            rounds, as in `cmrseg.labels.convert`.
    """
    few = data.ravel()[:: max(1, data.size // _A_FEW)]  # tells most images from masks at once
    if not _whole(few) or len(np.unique(np.rint(few))) > _MOST_LABELS:
        return False
    low, high = (float(data.min()), float(data.max())) if data.size else (-1.0, -1.0)
    if low < -0.5 or high > _LARGEST_LABEL or not _whole(data):
        return False
    numbers = np.flatnonzero(np.bincount(np.rint(data).astype(np.intp).ravel()))
    known = {number for scheme in SCHEMES.values() for number in scheme.numbers.values()}
    small = data.size >= _A_FEW and (numbers[-1] <= _SMALL_LABEL or numbers.tolist() == [0, 255])
    return len(numbers) <= _MOST_LABELS and (bool(small) or set(numbers.tolist()) <= known)


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool((np.abs(values - np.rint(values)) <= _OFF_A_LABEL).all())


def read_labels(
    path: Path, scheme: LabelScheme, target: LabelScheme | None = None, merge: Mapping[str, str] | None = None
) -> tuple[NDArray[np.uint8], Geometry]:
    """Read masks.

    Args:
        path: NIfTI file of label numbers.
        scheme: what its numbers mean.
        target: scheme to return them in; the same by default.
        merge: names to turn into other names first, as in `cmrseg.labels.convert`.

    Returns:
        uint8[T, Z, Y, X] and the grid. All background is a valid answer.

    Raises:
        InputRefused: as `read_nifti`; `labels` for fractions and for numbers the scheme does not know.
    """
    file = load(path)
    grid = grid_of(file.header, file.values.shape[:3])
    labels = convert(scaled(file), scheme, target or scheme, merge)
    return np.ascontiguousarray(labels.transpose(3, *(grid.axes[k] for k in (2, 1, 0)))), grid.geometry


def read_labels_of(
    path: Path,
    image: Image,
    scheme: LabelScheme,
    target: LabelScheme | None = None,
    merge: Mapping[str, str] | None = None,
) -> tuple[NDArray[np.uint8], Geometry]:
    """Read masks that belong to an image.

    Args:
        path: NIfTI file of label numbers.
        image: what they were drawn on. Where its directions are not believed, masks that lie on its very voxels
            (`cmrseg.io.nifti_geometry.same_voxels`) get its grid.
        scheme, target, merge: as in `read_labels`.

    Returns:
        uint8[T, Z, Y, X] and the grid, which is not yet compared with the image's.

    Raises:
        InputRefused: as `read_labels`, with a remedy for masks; `mask_mismatch` where the image has no directions to
            place the masks by.
    """
    file = load(path)
    origin = image.origin
    try:
        if isinstance(origin, NiftiOrigin) and not image.geometry.orientation_known:
            if same_voxels(origin.header, file.header):
                labels = convert(scaled(file), scheme, target or scheme, merge)
                return np.ascontiguousarray(labels.transpose(3, *(origin.axes[k] for k in (2, 1, 0)))), image.geometry
            if _same_shape(origin.header, file.header) and not has_directions(origin.header):
                raise InputRefused(
                    "mask_mismatch",
                    "The masks do not lie on the image's grid: the file of the image gives no directions, and voxel "
                    "size, direction or origin of the masks are not those that programs give such an image.",
                    _MASK_REMEDY,
                )
        return read_labels(path, scheme, target, merge)
    except InputRefused as error:
        if error.code in ("no_spacing", "geometry"):
            raise InputRefused(
                error.code, f"The grid of the masks cannot be used. {error.cause}", _MASK_REMEDY
            ) from error
        raise


def write_labels(path: Path, labels: NDArray[np.uint8], image: Image, scheme: LabelScheme | None = None) -> None:
    """Write masks onto the grid of the image they were made on.

    For an image read from NIfTI the header's affines, codes, voxel sizes and units are kept byte for byte and the
    axes go back to the file's order; free text of the header is dropped, since it can name a patient. For any other
    image the affine is made from the geometry. A single frame of a 3-D file stays 3-D, and LGE of DICOM becomes 3-D.
    The same masks give the same bytes.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        labels: uint8[T, Z, Y, X] in the numbers of `scheme`.
        image: what was segmented.
        scheme: named in the header, so that the file explains itself; by default that of the image's kind.

    Raises:
        OutputError: the file could not be written.
    """
    if labels.dtype != np.uint8 or labels.shape != image.data.shape:
        raise ValueError(f"expected uint8{list(image.data.shape)}, got {labels.dtype}{list(labels.shape)}")
    scheme = scheme or (LGE if image.kind == "lge" else CINE)
    origin = image.origin if isinstance(image.origin, NiftiOrigin) else None
    header = _header_of_origin(origin) if origin else _header_of_geometry(image)
    axes = origin.axes if origin else (0, 1, 2)
    array_xyzt = labels.transpose(3, 2, 1, 0).transpose(*np.argsort(axes), 3)
    stored = origin.n_dimensions if origin else (3 if image.kind == "lge" else 4)
    n_dimensions = 4 if len(labels) > 1 else stored
    _describe(header, array_xyzt.shape, n_dimensions, scheme)
    content = header.binaryblock + bytes(4) + array_xyzt.tobytes(order="F")
    if path.name.lower().endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as stream:
            stream.write(content)
        content = packed.getvalue()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"The masks could not be written ({type(error).__name__}).", "Check space and permissions."
        ) from error


def _same_shape(first: Any, second: Any) -> bool:
    return bool(first["dim"][1:4].tolist() == second["dim"][1:4].tolist())


def scaled(file: NiftiFile) -> NDArray[np.float32]:
    """The values of a file as float32, shape as there, with slope and intercept; a slope of 0 or NaN means none."""
    slope, intercept = float(file.header["scl_slope"]), float(file.header["scl_inter"])
    if np.isnan(slope) or slope == 0:
        slope, intercept = 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
        raise InputRefused(
            "unreadable",
            "The intensity scale of the NIfTI header is negative or infinite.",
            "Convert the original series again.",
        )
    with np.errstate(over="ignore", invalid="ignore"):
        if (slope, intercept) == (1.0, 0.0):
            return file.values.astype(np.float32)
        return (file.values.astype(np.float64) * slope + intercept).astype(np.float32)


def noticed_of(data: NDArray[np.float32]) -> tuple[Finding, ...]:
    """What is noticed of the values [T, Z, Y, X] of an image.

    Raises:
        InputRefused: `nonfinite`, `empty_image`.
    """
    if not np.isfinite(data).all():
        raise InputRefused(
            "nonfinite", "The image holds NaN or infinity.", "Convert the original series again, without masking."
        )
    flat = data.reshape(len(data), -1)
    blank = np.flatnonzero(flat.max(axis=1) == flat.min(axis=1))
    if blank.size:
        which = "The image" if blank.size == len(data) else f"Phase {blank[0] + 1} of {len(data)}"
        raise InputRefused("empty_image", f"{which} is blank: all its voxels are equal.", "Give the image itself.")
    slices = np.argwhere(data.min(axis=(2, 3)) == data.max(axis=(2, 3)))
    if not len(slices):
        return ()
    message = f"{len(slices)} image(s) of the stack are blank; nothing can be found there."
    return (Finding("blank_images", "review", message, frame=int(slices[0][0]), slice=int(slices[0][1])),)


def _refuse_swapped_phases(data: NDArray[np.float32]) -> None:
    """Refuse (x, y, phase, slice) order.

    Neighbouring phases look alike, and so do the last and the first, since the heart beats and the chest stays; the
    first and the last slice of a short-axis stack show different parts of the body. When the axis read as slices
    changes less than the one read as time, from one to the next and from end to end, they are swapped.
    """
    n_frames, n_slices = data.shape[:2]
    if n_frames < 4 or n_slices < 4:
        return
    across_frames = float(np.abs(np.diff(data, axis=0)).mean())
    across_slices = float(np.abs(np.diff(data, axis=1)).mean())
    round_the_slices = float(np.abs(data[:, -1] - data[:, 0]).mean())
    if max(across_slices, round_the_slices) < _CLEARLY_LESS * across_frames:
        raise InputRefused(
            "geometry",
            "The third and the fourth axis of the file look swapped: its slices follow each other like phases.",
            "Save the image in the order x, y, slice, phase.",
        )


def _header_of_origin(origin: NiftiOrigin) -> Any:
    header = origin.header.as_byteswapped("<")
    header["magic"] = b"n+1" if int(header["sizeof_hdr"]) == 348 else b"n+2"
    for name in ("db_name", "aux_file", "intent_name", "data_type"):
        if name in header.keys():  # noqa: SIM118 - the header has no __contains__
            header[name] = b""
    return header


def _header_of_geometry(image: Image) -> Any:
    header_class: Any = nib.Nifti1Header
    header = header_class(endianness="<")
    affine = RAS_LPS @ image.geometry.affine
    header.set_data_shape(image.data.shape[::-1])
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1, strip_shears=True)
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["xyzt_units"] = _UNITS_MM_SEC
    times = image.frame_times_ms
    header["pixdim"][4] = 0.0 if times is None or len(times) < 2 else float(np.diff(times).mean()) / 1000.0
    return header


def _describe(header: Any, shape_xyzt: tuple[int, ...], n_dimensions: int, scheme: LabelScheme) -> None:
    short = {"rv_cavity": "RV", "lv_myocardium": "MYO", "lv_cavity": "LV", "no_reflow": "MVO"}
    numbers = " ".join(f"{scheme[n]}={short.get(n, n)}" for n in scheme.foreground_names)
    header["dim"] = [n_dimensions, *shape_xyzt[:n_dimensions], *([1] * (7 - n_dimensions))]
    header["datatype"], header["bitpix"] = 2, 8
    header["vox_offset"] = int(header["sizeof_hdr"]) + 4
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    header["cal_min"], header["cal_max"] = 0.0, 0.0
    header["intent_code"] = _INTENT_LABEL
    header["descrip"] = f"cmrseg {scheme.name} {numbers}".encode()[:79]
