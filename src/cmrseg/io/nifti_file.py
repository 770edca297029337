"""The bytes of one NIfTI file: a raw header and a flat block of numbers, or a refusal.

The header is taken as it is written, without the silent repairs that general readers make, because a repaired header
is how a damaged file turns into a wrong volume. Both single-file forms are read (NIfTI-1 ``n+1``, NIfTI-2 ``n+2``),
in either byte order, plain or gzipped; which of them it is, the content decides and not the suffix.

Nothing is allocated before the header has been judged, and a gzip stream is read to its end: only there stands the
checksum that tells a flipped bit.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused

#: Limits on what a header may announce; the largest cardiac studies stay far below.
MAX_IN_PLANE = 4096
MAX_SLICES = 500
MAX_FRAMES = 200
MAX_VOXELS = 512 * 1024**2  # 2 GiB as float32

_EXPORT_AGAIN = "Export or copy the file again, and compare its checksum with the original."
#: Header class, magic bytes and least start of the image, by the size that the header states of itself.
_HEADERS: dict[int, tuple[Any, bytes, int]] = {
    348: (nib.Nifti1Header, b"n+1\0", 352),
    540: (nib.Nifti2Header, b"n+2\0", 544),
}
_NUMBER_KINDS = "iuf"  # signed, unsigned, floating: what an image is made of
_CHUNK = 1 << 20


@dataclass(frozen=True)
class NiftiFile:
    """What one file holds.

    Args:
        header: the header as it stands on disk (`nibabel.Nifti1Header` or `Nifti2Header`), in its own byte order.
        values: the numbers in the file's type and order, shape (dim1, dim2, dim3, dim4); dim4 is 1 for a 3-D file.
        n_dimensions: ``dim[0]`` of the header without trailing ones beyond the fourth: 3 or 4.
    """

    header: Any
    values: NDArray[Any]
    n_dimensions: int


def load(path: Path) -> NiftiFile:
    """Read one NIfTI file whole.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.

    Returns:
        Header and unscaled values.

    Raises:
        InputRefused: `not_found`; `unreadable` (cut, corrupt, longer than it says, not NIfTI, a type that is no image);
            `too_large` (from the header alone); `geometry` (not 3-D or 4-D).
    """
    try:
        with _open(path) as stream:
            header, header_size = _read_header(stream)
            shape, n_dimensions = _shape(header)
            dtype = _dtype(header)
            offset = _offset(header, header_size)
            n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            _read_exactly(stream, offset - header_size, "header extensions")
            content = _read_exactly(stream, n_bytes, "image")
            if stream.read(1):
                raise InputRefused("unreadable", "The NIfTI file is longer than its header says.", _EXPORT_AGAIN)
    except FileNotFoundError as error:
        raise InputRefused("not_found", "There is no such file.", "Check the path.") from error
    except PermissionError as error:
        raise InputRefused("unreadable", "The file may not be read.", "Ask for permission to read it.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputRefused("unreadable", "The compressed file is cut short or damaged.", _EXPORT_AGAIN) from error
    except OSError as error:
        raise InputRefused(
            "unreadable", f"The file could not be read ({type(error).__name__}).", "Check the disk."
        ) from error
    values = np.frombuffer(content, dtype).reshape(shape, order="F")
    return NiftiFile(header, values, n_dimensions)


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as plain:
        start = plain.read(2)
        plain.seek(0)
        if start == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=plain, mode="rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield plain


def _read_exactly(stream: IO[bytes], n_bytes: int, what: str) -> bytearray:
    """The next `n_bytes`; memory grows with what is there, not with what the header promises."""
    content = bytearray()
    while len(content) < n_bytes:
        chunk = stream.read(min(_CHUNK, n_bytes - len(content)))
        if not chunk:
            raise InputRefused(
                "unreadable",
                f"The NIfTI file ends inside its {what}: {len(content)} of {n_bytes} bytes are there.",
                _EXPORT_AGAIN,
            )
        content += chunk
    return content


def _read_header(stream: IO[bytes]) -> tuple[Any, int]:
    start = stream.read(4)
    size = order = None
    if len(start) == 4:
        for candidate_order in "<>":
            (candidate,) = struct.unpack(candidate_order + "i", start)
            if candidate in _HEADERS:
                size, order = candidate, candidate_order
    if size is None:
        cause = "The file is empty." if not start else "The file is not a NIfTI file: it does not start with a header."
        raise InputRefused("unreadable", cause, "Give a NIfTI file (.nii, .nii.gz) or a DICOM folder.")
    kind, magic, _ = _HEADERS[size]
    block = bytes(start + _read_exactly(stream, size - 4, "header"))
    header = kind(block, endianness=order, check=False)
    found = block[344:348] if size == 348 else block[4:8]
    if found != magic:
        raise InputRefused(
            "unreadable",
            "The file is not a single-file NIfTI image: its magic bytes are wrong.",
            "Convert Analyze or two-file NIfTI (.hdr and .img) to one .nii.gz file.",
        )
    return header, size


def _shape(header: Any) -> tuple[tuple[int, int, int, int], int]:
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
        raise InputRefused("unreadable", "The NIfTI header holds impossible dimensions.", _EXPORT_AGAIN)
    sizes = dim[1 : dim[0] + 1]
    while len(sizes) > 4 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) not in (3, 4):
        raise InputRefused(
            "geometry",
            f"The NIfTI image has {len(sizes)} dimensions; a stack has 3 (x, y, slice) or 4 (x, y, slice, phase).",
            "Save the stack of slices, with its phases as fourth dimension, in one file.",
        )
    x, y, z, t = (*sizes, 1)[:4]
    if max(x, y) > MAX_IN_PLANE or z > MAX_IN_PLANE or t > MAX_FRAMES or x * y * z * t > MAX_VOXELS:
        raise InputRefused(
            "too_large",
            f"The NIfTI header announces {x} x {y} x {z} x {t} voxels, more than any cardiac study holds.",
            "Give the short-axis stack alone; if it is this file, its header is damaged.",
        )
    return (x, y, z, t), len(sizes)


def _dtype(header: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (KeyError, nib.spatialimages.HeaderDataError) as error:
        raise InputRefused("unreadable", "The NIfTI header names no known data type.", _EXPORT_AGAIN) from error
    if dtype.kind not in _NUMBER_KINDS or dtype.itemsize > 8:
        raise InputRefused(
            "unreadable",
            f"The NIfTI data type ({dtype}) is not that of a grey-scale image.",
            "Save the magnitude image as integers or floats, not as colour or complex numbers.",
        )
    if int(header["bitpix"]) != dtype.itemsize * 8:
        raise InputRefused("unreadable", "The NIfTI header contradicts itself on its data type.", _EXPORT_AGAIN)
    return dtype


def _offset(header: Any, header_size: int) -> int:
    offset = float(header["vox_offset"])
    least = _HEADERS[header_size][2]
    if not (np.isfinite(offset) and least <= offset <= least + 64 * 1024**2 and offset == int(offset)):
        raise InputRefused("unreadable", "The NIfTI header points to an impossible start of the image.", _EXPORT_AGAIN)
    return int(offset)
