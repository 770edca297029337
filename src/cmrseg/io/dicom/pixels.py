"""Pixel data of a chosen grid as float32[T, Z, Y, X], with rescale, and the sha256 of every file it came from."""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import stored, tags
from cmrseg.io.dicom.grid import Grid
from cmrseg.io.dicom.parse import parse
from cmrseg.io.dicom.phases import EXPORT_AGAIN
from cmrseg.io.dicom.records import Frame, Header
from cmrseg.io.dicom.resampling import resampled
from cmrseg.study import Finding

#: More than any short-axis stack: 2 GiB of float32 are 20 slices of 25 phases of 1024 x 1024 pixels.
MAX_STACK_BYTES = 2 * 2**30
DECODER_ERRORS: tuple[type[Exception], ...] = (*tags.PARSER_ERRORS, DecompressionBombError)


def read_pixels(grid: Grid) -> tuple[NDArray[np.float32], dict[str, str], tuple[Finding, ...]]:
    """Read every image of a grid.

    Returns:
        float32[T, Z, Y, X] in rescaled intensities; sha256 by ``file 0001``, the number of the file in the study; and
        what was odd about the stored values.

    Raises:
        InputRefused: `too_large` before anything is read; `unreadable` for a file that is cut, changed or cannot be
            decoded; `nonfinite`; `empty_image` for a constant stack.
    """
    x, y, z = grid.geometry.shape_xyz
    n_bytes = 4 * grid.n_phases * z * y * x
    if n_bytes > MAX_STACK_BYTES:
        raise InputRefused(
            "too_large",
            f"{grid.n_phases} phases of {z} slices of {y} x {x} pixels take {n_bytes / 2**30:.1f} GiB.",
            f"At most {MAX_STACK_BYTES / 2**30:.0f} GiB are read; no cardiac cine is larger.",
        )
    cells: dict[Path, list[tuple[Frame, int, int]]] = defaultdict(list)
    for slice_index, found in enumerate(grid.cells):
        for phase, frame in enumerate(found):
            cells[frame.header.path].append((frame, phase, slice_index))
    data = np.empty((grid.n_phases, z, y, x), np.float32)
    hashes: dict[str, str] = {}
    remarks: Counter[str] = Counter()
    for inside in cells.values():
        header = (inside[0][0].acquired or inside[0][0]).header
        raw = _read_bytes(header)
        hashes[f"file {header.number:04d}"] = hashlib.sha256(raw).hexdigest()
        images, odd = _decode(header, raw, [frame.index for frame, _, _ in inside])
        remarks.update(odd)
        for frame, phase, slice_index in inside:
            data[phase, slice_index] = _rescaled(frame, images[frame.index])
    _refuse_senseless(data)
    return data, dict(sorted(hashes.items())), tuple(stored.findings(remarks))


def same_pixels(first: Frame, second: Frame) -> bool:
    """True when two frames hold the same stored pixels and the same rescale."""
    if (first.slope, first.intercept) != (second.slope, second.intercept):
        return False
    one, other = (
        _decode(f.header, _read_bytes(f.header), [f.index])[0][f.index]
        for f in (first.acquired or first, second.acquired or second)
    )
    return bool(np.array_equal(one, other))


def _read_bytes(header: Header) -> bytes:
    try:
        return header.path.read_bytes()
    except OSError as error:
        raise InputRefused(
            "unreadable", f"File {header.number:04d} cannot be read ({type(error).__name__}).", EXPORT_AGAIN
        ) from None


def _decode(header: Header, raw: bytes, indices: list[int]) -> tuple[dict[int, stored.Values], Counter[str]]:
    """Stored pixel values of the wanted frames of one file, each [Y, X], and what was odd about them."""
    try:
        dataset = parse(io.BytesIO(raw), len(raw), pixels=True).dataset
    except tags.PARSER_ERRORS as error:
        raise _unreadable(header, type(error).__name__) from None
    _refuse_missing_decoder(header, dataset)
    try:
        stored.complete(dataset, header)
        wanted = sorted(set(indices))
        images = list(iter_pixels(dataset, indices=wanted, raw=True))
    except DECODER_ERRORS as error:
        raise _unreadable(header, type(error).__name__) from None
    if len(images) != len(wanted) or any(image.shape != (header.rows, header.columns) for image in images):
        raise _unreadable(header, "the pixels are not those the header announced")
    return stored.as_meant(dataset, header, dict(zip(wanted, images, strict=True)))


def _refuse_missing_decoder(header: Header, dataset: Dataset) -> None:
    """Refuse a compression that no installed package decodes, by its name and with what to install."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise _unreadable(header, "its transfer syntax is unknown") from None
    if not available:
        raise InputRefused(
            "unreadable",
            f"The images are compressed as {syntax.name}, for which no decoder is installed.",
            "pip install cmrseg[jpeg], or export the series uncompressed.",
        )


def _unreadable(header: Header, why: str) -> InputRefused:
    return InputRefused(
        "unreadable", f"The pixel data of file {header.number:04d} is cut or damaged ({why}).", EXPORT_AGAIN
    )


def _rescaled(frame: Frame, pixels: stored.Values) -> NDArray[np.float32]:
    """Stored values to the file's own intensities; MONOCHROME1, where large is dark, is turned over."""
    if frame.acquired is not None:
        return resampled(frame, _rescaled(frame.acquired, pixels))
    values = pixels.astype(np.float32)
    if frame.header.inverted:
        values = np.float32(2**frame.header.bits_stored - 1) - values
    if (frame.slope, frame.intercept) == (1.0, 0.0):
        return values
    return np.asarray(values * np.float32(frame.slope) + np.float32(frame.intercept), np.float32)


def _refuse_senseless(data: NDArray[np.float32]) -> None:
    low, high = float(data.min()), float(data.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputRefused("nonfinite", "The rescaled images hold NaN or infinity.", EXPORT_AGAIN)
    if low == high:
        raise InputRefused("empty_image", "All pixels of the stack have the same value.", EXPORT_AGAIN)
