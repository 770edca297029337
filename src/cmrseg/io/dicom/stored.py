"""Stored pixel values as they were meant: which bits are theirs, and which pixels lie outside the image.

Headers contradict themselves here, and other readers read on. Where the values themselves show what was meant they are
read, and a finding says so; where they do not, the file is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RLELossless

from cmrseg.errors import InputRefused
from cmrseg.io.dicom import tags
from cmrseg.io.dicom.phases import EXPORT_AGAIN
from cmrseg.io.dicom.records import Header
from cmrseg.study import Finding

PADDING = Tag("PixelPaddingValue")
PADDING_LIMIT = Tag("PixelPaddingRangeLimit")
LARGEST = Tag("LargestImagePixelValue")
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_BITS_ALLOCATED, OVERLAY_BIT_POSITION = 0x0100, 0x0102
#: Padding nearer to the darkest pixel than this share of the image's range is as dark as air already.
NEAR_DARKEST = 0.01

Values = NDArray[Any]


def complete(dataset: Dataset, header: Header) -> None:
    """Give a dataset what pydicom asks for before it decodes: a colour space, and for plain pixels all bits."""
    if tags.text(dataset.get("PhotometricInterpretation")).upper() != "MONOCHROME1":
        # One sample per pixel, all that gets here, is monochrome.
        dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, int(header.signed)
    dataset.BitsStored = header.bits_allocated if _plain(header, dataset) else header.bits_stored
    dataset.HighBit = dataset.BitsStored - 1


def as_meant(
    dataset: Dataset, header: Header, images: Mapping[int, NDArray[np.generic]]
) -> tuple[dict[int, Values], Counter[str]]:
    """The images of a file without bits that are not theirs and without padding.

    Args:
        dataset: of the file, after `complete`.
        header: what it says of its pixels.
        images: [Y, X] by frame as pydicom decodes them.

    Returns:
        Images by frame, and how many of them show what `findings` tells.

    Raises:
        InputRefused: `unreadable` when the values do not show which bits are theirs.
    """
    remarks: Counter[str] = Counter()
    low, high = _padding(dataset, header)
    result: dict[int, Values] = {}
    for index, image in images.items():
        if image.dtype.kind == "f":
            result[index] = image
            continue
        raw = image.astype(np.int64)
        outside = (low <= raw) & (raw <= high)
        values = raw
        if _plain(header, dataset):
            values, remark = _own_bits(np.where(outside, 0, raw), header, dataset)
            remarks.update([remark] if remark else [])
            values = np.where(outside, raw, values)
        result[index], padded = _without_padding(values, outside | ((low <= values) & (values <= high)), header)
        remarks["padding"] += padded
    return result, remarks


def findings(remarks: Mapping[str, int]) -> Iterable[Finding]:
    """What a reader of the result should know of the pixels; nothing for no remarks."""
    if n_images := remarks.get("high bit", 0):
        yield Finding(
            "pixel_bits",
            "info",
            f"BitsStored and HighBit contradict each other in {n_images} image(s); the values show which are used.",
        )
    if n_images := remarks.get("masked", 0) + remarks.get("kept", 0):
        what = "were left out as graphics" if remarks.get("masked", 0) else "are read, as LargestImagePixelValue asks"
        yield Finding("pixel_bits", "review", f"{n_images} image(s) use bits above those of BitsStored; these {what}.")
    if n_images := remarks.get("padding", 0):
        yield Finding(
            "pixel_padding",
            "info",
            f"PixelPaddingValue marks pixels outside the image in {n_images} image(s); they count as its darkest.",
        )


def _plain(header: Header, dataset: Dataset) -> bool:
    """True when pixels are stored bit by bit; the other compressions keep numbers, not bits."""
    return not header.compressed or bool(dataset.file_meta.TransferSyntaxUID == RLELossless)


def _own_bits(raw: Values, header: Header, dataset: Dataset) -> tuple[Values, str]:
    """The bits that belong to the values, and what was odd: ``high bit``, ``masked``, ``kept`` or nothing."""
    bits, top = header.bits_stored, header.high_bit + 1
    if not 1 < top <= header.bits_allocated:
        # No bit of the pixel, or none but the lowest: the element was never set.
        return _own_bits(raw, replace(header, high_bit=bits - 1), dataset)[0], "high bit"
    overlays = _overlay_bits(dataset, header)
    values = _lowest(raw, bits, header.signed)
    if top == bits:
        more = (raw != values) & (raw >> bits != 0)
        if overlays or not more.any():
            return values, ""
        return (raw, "kept") if _largest(dataset, header) > values.max() else (values, "masked")
    if bits < top <= header.bits_allocated and not (raw & ((1 << (top - bits)) - 1)).any():
        return _lowest(raw >> (top - bits), bits, header.signed), "high bit"
    narrow = _lowest(raw, max(min(top, bits), 1), header.signed)
    if np.array_equal(narrow, _lowest(raw, max(top, bits), header.signed)) or (overlays and top < bits):
        return narrow, "high bit"
    raise InputRefused(
        "unreadable",
        f"File {header.number:04d} says high bit {header.high_bit} with {bits} bits stored, and its pixels use both.",
        EXPORT_AGAIN,
    )


def _lowest(raw: Values, bits: int, signed: bool) -> Values:
    """The lowest bits as a number, the highest of them its sign."""
    values = raw & ((1 << bits) - 1)
    return np.where(values >> (bits - 1) & 1, values - (1 << bits), values) if signed else values


def _largest(dataset: Dataset, header: Header) -> int:
    """The greatest value that the file says its pixels have; 0 when it does not say."""
    return _stored_number(tags.value(dataset, LARGEST), header) or 0


def _overlay_bits(dataset: Dataset, header: Header) -> bool:
    """True when the file says that graphics lie in bits of the pixels."""
    for group in OVERLAY_GROUPS:
        position = tags.whole(tags.value(dataset, Tag(group, OVERLAY_BIT_POSITION)))
        allocated = tags.whole(tags.value(dataset, Tag(group, OVERLAY_BITS_ALLOCATED)))
        if allocated == header.bits_allocated and position:
            return True
    return False


def _padding(dataset: Dataset, header: Header) -> tuple[int, int]:
    """Lowest and highest stored value of padding; an empty range, 1 to 0, where the file has none."""
    value = _stored_number(tags.value(dataset, PADDING), header)
    if value is None:
        return 1, 0
    limit = _stored_number(tags.value(dataset, PADDING_LIMIT), header)
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _stored_number(found: object, header: Header) -> int | None:
    """A value of ambiguous VR in the representation of the pixels, whichever it was written in."""
    if isinstance(found, bytes):
        value: int | None = int.from_bytes(found[:2], "little")
    else:
        value = tags.whole(found)
    if value is None:
        return None
    value &= (1 << header.bits_allocated) - 1
    return value - (1 << header.bits_allocated) if header.signed and value >> (header.bits_allocated - 1) else value


def _without_padding(values: Values, outside: NDArray[np.bool_], header: Header) -> tuple[Values, bool]:
    """Padding as dark as the darkest pixel, so that no window and no threshold sees it; and whether any was changed.

    Padding within the range of the image changes nothing that is measured, and may be image after all: it stays.
    """
    if not outside.any():
        return values, False
    if outside.all():
        return np.zeros_like(values), True
    low, high = int(values[~outside].min()), int(values[~outside].max())
    slack = max(NEAR_DARKEST * (high - low), 1.0)
    far = outside & ((values < low - slack) | (values > high + (slack if header.inverted else 0)))
    return np.where(far, high if header.inverted else low, values), bool(far.any())
