"""The bytes of one NIfTI image: a raw header and a flat block of numbers, or a refusal.

The header is taken as it is written, without the silent repairs that general readers make, because a repaired header
is how a damaged file turns into a wrong volume. Both single-file forms are read (NIfTI-1 ``n+1``, NIfTI-2 ``n+2``) and
both of two files (``.hdr`` and ``.img``), in either byte order, plain or gzipped; which of them it is, the content
decides and not the suffix.

Some slips of known writers are read, with a finding, where a second statement of the file tells what was meant and
the length of the file agrees with it to the byte: ``bitpix`` beside a clear data type, an image that starts at 0,
phases in the fifth dimension or beyond those counted. Everything else that contradicts itself is refused.

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
from cmrseg.study import Finding

#: Limits on what a header may announce; the largest cardiac studies stay far below.
MAX_IN_PLANE = 4096
MAX_SLICES = 500
MAX_FRAMES = 200
MAX_VOXELS = 512 * 1024**2  # 2 GiB as float32

_EXPORT_AGAIN = "Export or copy the file again, and compare its checksum with the original."
_CONVERT_ANALYZE = (
    "Analyze images do not say where they lie: convert the original series to NIfTI (.nii.gz) again. If it is no "
    "Analyze image, the file is damaged; copy it again."
)
_SAVE_AGAIN = "Convert the original series again, or save the image again with the program that made it."
#: Header class, magic bytes in one file and in two, and least start of the image, by the size that the header states.
_HEADERS: dict[int, tuple[Any, bytes, bytes, int]] = {
    348: (nib.Nifti1Header, b"n+1\0", b"ni1\0", 352),
    540: (nib.Nifti2Header, b"n+2\0", b"ni2\0", 544),
}
#: Names of an image in two files: of its header and of its numbers.
PAIR_SUFFIXES = {".hdr": ".img", ".img": ".hdr"}
#: The fifth dimension of these intents holds components of a voxel and not phases: matrices, displacements, colours.
_COMPONENT_INTENTS = (1004, 1005, 1006, 1008, 1009, 1010, 2003, 2004)
#: So few in the fifth dimension may be components whatever the intent.
_MOST_COMPONENTS = 4
_NUMBER_KINDS = "iuf"  # signed, unsigned, floating: what an image is made of
_CHUNK = 1 << 20


@dataclass(frozen=True)
class NiftiFile:
    """What one file holds.

    Args:
        header: the header as it stands on disk (`nibabel.Nifti1Header` or `Nifti2Header`), in its own byte order.
        values: the numbers in the file's type and order, shape (dim1, dim2, dim3, dim4); dim4 is 1 for a 3-D file.
        n_dimensions: ``dim[0]`` of the header without trailing ones beyond the fourth: 2 (one slice), 3 or 4.
        paths: the file, or header and image of a pair.
        findings: slips of the header that were understood.
    """

    header: Any
    values: NDArray[Any]
    n_dimensions: int
    paths: tuple[Path, ...]
    findings: tuple[Finding, ...] = ()


def load(path: Path) -> NiftiFile:
    """Read one NIfTI image whole.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file; of a pair the ``.hdr`` or the ``.img`` file, either gzipped or not.

    Returns:
        Header and unscaled values.

    Raises:
        InputRefused: `not_found`; `unreadable` (cut, corrupt, longer than it says, not NIfTI, a type that is no image);
            `too_large` (from the header alone); `geometry` (one dimension, or more than four).
    """
    with _refusals():
        paths = files_of(path)
        with _open(paths[0]) as stream:
            header, magic = _read_header(stream)
            if len(paths) == 1:
                return _load_values(stream, header, magic, paths)
        if magic not in [kind[2] for kind in _HEADERS.values()]:
            raise InputRefused(
                "unreadable", "The .hdr file is not that of a NIfTI pair: its magic bytes are wrong.", _CONVERT_ANALYZE
            )
        with _open(paths[1]) as stream:
            return _load_values(stream, header, magic, paths)


def announced(path: Path) -> tuple[Any, tuple[int, int, int, int]]:
    """Header of an image and the shape that it states, without the numbers; a cut file is not noticed.

    Raises:
        InputRefused: as `load`, as far as the header tells.
    """
    with _refusals(), _open(files_of(path)[0]) as stream:
        header, _ = _read_header(stream)
        return header, _shape(header, [])[0]


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that make up an image: one, or the header and the image of a pair.

    Raises:
        InputRefused: `not_found` for half a pair, `ambiguous` where the other half is there twice.
    """
    name = path.name.lower().removesuffix(".gz")
    own = next((suffix for suffix in PAIR_SUFFIXES if name.endswith(suffix)), None)
    if own is None:
        return (path,)
    other = PAIR_SUFFIXES[own]
    wanted = name[: -len(own)] + other
    folder = path.parent if path.parent.is_dir() else Path()
    found = [p for p in sorted(folder.iterdir()) if p.name.lower().removesuffix(".gz") == wanted and p.is_file()]
    if not found:
        raise InputRefused(
            "not_found",
            f"The image is one of two files, and the {other} file that belongs to it is not beside it.",
            "Give both files in one folder, or convert them to one .nii.gz file.",
        )
    if len(found) > 1:
        raise InputRefused("ambiguous", f"Two {other} files have the name of this pair.", "Remove one of them.")
    return (path, found[0]) if own == ".hdr" else (found[0], path)


def _load_values(stream: IO[bytes], header: Any, magic: bytes, paths: tuple[Path, ...]) -> NiftiFile:
    """The numbers behind a header, in the same stream or at the beginning of a second one."""
    slips: list[str] = []
    shape, n_dimensions = _shape(header, slips)
    dtype = _dtype(header, slips)
    start = 0 if len(paths) == 2 else int(header["sizeof_hdr"])
    starts = _starts(header, magic, start, slips)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    _read_exactly(stream, starts[0] - start, "header extensions")
    try:
        content = _read_exactly(stream, n_bytes, "image")
    except InputRefused as error:
        raise _with_bits(error, header, dtype) from error
    left = stream.read(max(start_ - starts[0] for start_ in starts) or 1)
    if left and len(starts) > 1 and not stream.read(1) and len(left) == starts[1] - starts[0]:
        content, left = (content + left)[len(left) :], b""
    frames = _more_frames(header, shape, n_dimensions)
    if left and frames > 1 and not slips:
        content += left + _read_exactly(stream, n_bytes * (frames - 1) - len(left), "image")
        left = stream.read(1)
        shape, n_dimensions = (*shape[:3], frames), 4
        slips.append(f"it counts 3 dimensions and names {frames} phases in the fourth")
    if left:
        raise _with_bits(
            InputRefused("unreadable", "The NIfTI file is longer than its header says.", _EXPORT_AGAIN), header, dtype
        )
    values = np.frombuffer(content, dtype).reshape(shape, order="F")
    findings = tuple(
        Finding(
            "header_slip",
            "info",
            f"The NIfTI header is not in order ({slip}); the length of the file tells what was meant.",
        )
        for slip in slips
    )
    return NiftiFile(header, values, n_dimensions, paths, findings)


def _more_frames(header: Any, shape: tuple[int, int, int, int], n_dimensions: int) -> int:
    """Phases that the header names in the fourth dimension though it counts three; 1 for none."""
    stated = int(header["dim"][4])
    voxels = int(np.prod(shape[:3], dtype=np.int64))
    return stated if n_dimensions == 3 and 1 < stated <= MAX_FRAMES and voxels * stated <= MAX_VOXELS else 1


def _with_bits(error: InputRefused, header: Any, dtype: np.dtype[Any]) -> InputRefused:
    """The refusal of a wrong length, which says so where the header contradicts itself on its data type."""
    if int(header["bitpix"]) == dtype.itemsize * 8:
        return error
    return InputRefused(
        "unreadable",
        f"The NIfTI header contradicts itself: the data type has {dtype.itemsize * 8} bits a voxel, bitpix says "
        f"{int(header['bitpix'])}, and the length of the file does not fit the data type.",
        _SAVE_AGAIN,
    )


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the file system and the decompression raise into refusals."""
    try:
        yield
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


def _read_header(stream: IO[bytes]) -> tuple[Any, bytes]:
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
    kind, *magics, _ = _HEADERS[size]
    block = bytes(start + _read_exactly(stream, size - 4, "header"))
    header = kind(block, endianness=order, check=False)
    found = block[344:348] if size == 348 else block[4:8]
    if found not in magics:
        raise InputRefused("unreadable", "The file is not a NIfTI image: its magic bytes are wrong.", _CONVERT_ANALYZE)
    return header, found


def _shape(header: Any, slips: list[str]) -> tuple[tuple[int, int, int, int], int]:
    dim = [int(n) for n in header["dim"]]
    sizes = dim[1 : dim[0] + 1]
    while len(sizes) > 4 and sizes[-1] in (0, 1):
        sizes.pop()
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in sizes):
        raise InputRefused("unreadable", "The NIfTI header holds impossible dimensions.", _EXPORT_AGAIN)
    if len(sizes) == 5 and sizes[3] == 1 and not _has_components(header, sizes[4]):
        slips.append("its phases stand in the fifth dimension")
        header["pixdim"][4] = header["pixdim"][5]
        del sizes[3]
    if len(sizes) not in (2, 3, 4):
        raise InputRefused(
            "geometry",
            f"The NIfTI image has {len(sizes)} dimensions; a stack has 3 (x, y, slice) or 4 (x, y, slice, phase).",
            "Save the stack of slices, with its phases as fourth dimension, in one file.",
        )
    x, y, z, t = (*sizes, 1, 1)[:4]
    if max(x, y) > MAX_IN_PLANE or z > MAX_IN_PLANE or t > MAX_FRAMES or x * y * z * t > MAX_VOXELS:
        raise InputRefused(
            "too_large",
            f"The NIfTI header announces {x} x {y} x {z} x {t} voxels, more than any cardiac study holds.",
            "Give the short-axis stack alone; if it is this file, its header is damaged.",
        )
    return (x, y, z, t), len(sizes)


def _has_components(header: Any, n: int) -> bool:
    """True when a fifth dimension may hold the components of each voxel."""
    return n <= _MOST_COMPONENTS or int(header["intent_code"]) in _COMPONENT_INTENTS


def _dtype(header: Any, slips: list[str]) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (KeyError, nib.spatialimages.HeaderDataError) as error:
        raise InputRefused("unreadable", "The NIfTI header names no known data type.", _SAVE_AGAIN) from error
    if dtype.kind not in _NUMBER_KINDS or dtype.itemsize > 8:
        raise InputRefused(
            "unreadable",
            f"The NIfTI data type ({dtype}) is not that of a grey-scale image.",
            "Save the magnitude image as integers or floats, not as colour or complex numbers.",
        )
    if int(header["bitpix"]) != dtype.itemsize * 8:
        slips.append(f"bitpix is {int(header['bitpix'])} for a data type of {dtype.itemsize * 8} bits")
    return dtype


def _starts(header: Any, magic: bytes, header_size: int, slips: list[str]) -> tuple[int, ...]:
    """Where the image may start in its file, the likeliest last; the length of the file decides between two."""
    offset = float(header["vox_offset"])
    _, single, _, least = _HEADERS[int(header["sizeof_hdr"])]
    if header_size == 0:
        least = 0
    if header_size and (offset in (0, header_size) or magic != single):
        slips.append(f"the image of a single file starts at {offset:g}" if magic == single else "magic bytes of a pair")
        return header_size, least
    if not (np.isfinite(offset) and least <= offset <= least + 64 * 1024**2 and offset == int(offset)):
        raise InputRefused("unreadable", "The NIfTI header points to an impossible start of the image.", _EXPORT_AGAIN)
    return (int(offset),)
