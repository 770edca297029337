"""One DICOM file to a pydicom dataset, within bounds.

pydicom's own `dcmread` inflates deflated files without a limit and trusts element lengths when it allocates, so the
file meta information is read here first and the rest is given to `pydicom.filereader.read_dataset`.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import tags
from cmrseg.io.signature import PREFIX_END, has_value_representation, is_big_endian

#: No cardiac object unpacks to more; an enhanced cine of 15 slices, 30 phases and 384 x 384 pixels has 130 MB.
MAX_INFLATED_BYTES = 256 * 2**20
PIXEL_TAGS = frozenset((Tag(0x7FE0, 0x0010), Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009)))
TRANSFER_SYNTAX = Tag(0x0002, 0x0010)


@dataclass(frozen=True)
class Parsed:
    """A dataset and the bytes that follow what was read: without pixels, those of the pixel data element."""

    dataset: Dataset
    bytes_left: int


class _Bounded:
    """A file of which a read never asks for more bytes than it holds, whatever an element's length claims."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int = -1) -> bytes:
        return self._file.read(self.left() if count is None or count < 0 else min(count, self.left()))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def left(self) -> int:
        """Bytes after the current place."""
        return max(0, self._size - self._file.tell())


@contextmanager
def quiet_parser() -> Iterator[None]:
    """Silence pydicom: its warnings and log lines quote the values it finds odd, and those can name a patient."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def parse(file: BinaryIO, size: int, *, pixels: bool) -> Parsed:
    """Read a DICOM file.

    Args:
        file: opened for reading, at its start.
        size: its length in bytes.
        pixels: False stops before the pixel data.

    Returns:
        The dataset, whose `file_meta` always names a transfer syntax, and what is left of the file.

    Raises:
        InputRefused: code `too_large`, when a deflated file unpacks beyond `MAX_INFLATED_BYTES`.
        tags.PARSER_ERRORS: whatever pydicom raises on damaged bytes; the caller names it.
    """
    bounded = _Bounded(file, size)
    bounded.seek(PREFIX_END if bounded.read(PREFIX_END)[128:] == b"DICM" else 0)
    # pydicom asks its source for read, seek and tell only.
    meta = FileMetaDataset(
        read_dataset(
            cast(BinaryIO, bounded),
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, vr, length: tag.group != 2,
        )
    )
    syntax = UID(tags.text(tags.value(meta, TRANSFER_SYNTAX)))
    if syntax == DeflatedExplicitVRLittleEndian:
        unpacked = _inflated(bounded.read())
        bounded = _Bounded(io.BytesIO(unpacked), len(unpacked))
    elif not syntax:
        syntax = _guessed_syntax(bounded)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset = read_dataset(cast(BinaryIO, bounded), implicit, little, stop_when=None if pixels else _at_pixels)
    dataset.set_original_encoding(implicit, little, convert_encodings(dataset.get("SpecificCharacterSet")))
    if TRANSFER_SYNTAX not in meta or meta.TransferSyntaxUID != syntax:
        meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    return Parsed(dataset, bounded.left())


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in PIXEL_TAGS


def _guessed_syntax(source: _Bounded) -> UID:
    """Explicit or implicit VR and the order of bytes, as the first element shows."""
    here = source.tell()
    start = source.read(6)
    source.seek(here)
    if not has_value_representation(start):
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if is_big_endian(start) else ExplicitVRLittleEndian


def _inflated(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    result = unpacker.decompress(packed, MAX_INFLATED_BYTES)
    if unpacker.unconsumed_tail:
        raise InputRefused(
            "too_large",
            f"A deflated file unpacks to more than {MAX_INFLATED_BYTES // 2**20} MiB.",
            "Export the series again without compression.",
        )
    return result
