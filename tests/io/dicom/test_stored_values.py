"""Bits and padding about which headers contradict themselves: read where the values tell, refused where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import COLUMNS, ROWS, Cine, cine, codes, expected, for_all, refusal, save
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from cmrseg.io.dicom import read_dicom
from cmrseg.study import Study


def stored(ds: Dataset) -> NDArray[np.int64]:
    return np.frombuffer(ds.PixelData, "<u2").astype(np.int64)


def as_bytes(values: NDArray[np.int64]) -> bytes:
    return (values & 0xFFFF).astype("<u2").tobytes()


def layout(bits: int, high: int, *, signed: bool = False, shift: int = 0, rle: bool = False) -> Cine:
    """The cine with its values moved to higher bits, under a header that says what it says."""

    def edit(ds: Dataset) -> None:
        ds.PixelData = as_bytes(stored(ds) << shift)
        if rle:
            ds.compress(RLELossless, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, high, int(signed)

    return for_all(cine(), edit)


def read(folder: Path, images: Cine) -> Study:
    study = read_dicom(save(folder, images.values()))
    np.testing.assert_array_equal(study.images[0].data, expected())
    return study


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize(
    ("bits", "high", "shift"),
    [
        (16, 11, 0),
        (16, 12, 0),
        (12, 15, 0),
        (12, 15, 4),
        (13, 11, 0),
        (12, 14, 0),
        (12, 0, 0),
        (12, 31, 0),
        (12, 12, 0),
    ],
)
def test_a_high_bit_that_does_not_matter(bits: int, high: int, shift: int, rle: bool, tmp_path: Path) -> None:
    study = read(tmp_path, layout(bits, high, shift=shift, rle=rle))
    assert [(f.code, f.severity, f.kind) for f in study.findings] == [("pixel_bits", "info", "cine")]


@pytest.mark.parametrize(("bits", "high"), [(16, 11), (16, 15), (12, 11), (12, 15)])
def test_negative_values_keep_their_sign(bits: int, high: int, tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.PixelData = as_bytes(np.clip(stored(ds), 0, 3000) - 2000)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, high, 1

    study = read_dicom(save(tmp_path, for_all(cine(), edit).values()))
    np.testing.assert_array_equal(study.images[0].data, np.clip(expected(), 0, 3000) - 2000)


@pytest.mark.parametrize(("bits", "high"), [(16, 11), (12, 14), (10, 15)])
def test_values_that_use_the_bits_in_question_are_refused(bits: int, high: int, tmp_path: Path) -> None:
    images = for_all(layout(bits, high), lambda ds: setattr(ds, "PixelData", as_bytes(stored(ds) * 13 + 1)))
    error = refusal(save(tmp_path, images.values()))
    assert error.code == "unreadable"
    assert f"high bit {high} with {bits} bits stored" in error.cause


def test_graphics_in_the_upper_bits_are_masked(tmp_path: Path) -> None:
    def draw(ds: Dataset) -> None:
        values = stored(ds)
        values[10:20] |= 0x8000
        ds.PixelData = as_bytes(values)

    study = read(tmp_path / "stray", for_all(cine(), draw))
    assert [(f.code, f.severity) for f in study.findings] == [("pixel_bits", "review")]

    def announce(ds: Dataset) -> None:
        draw(ds)
        ds.add_new((0x6000, 0x0100), "US", 16)
        ds.add_new((0x6000, 0x0102), "US", 15)

    assert codes(read(tmp_path / "announced", for_all(cine(), announce))) == []
    study = read(
        tmp_path / "and a wrong high bit", for_all(for_all(cine(), announce), lambda ds: setattr(ds, "BitsStored", 16))
    )
    assert codes(study) == ["pixel_bits"]


def test_more_bits_than_are_said_to_be_stored(tmp_path: Path) -> None:
    """Cut to 10 bits, bright pixels would come out dark."""

    def edit(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit = 10, 9
        ds.add_new("LargestImagePixelValue", "US", int(stored(ds).max()))

    study = read(tmp_path, for_all(cine(), edit))
    assert [(f.code, f.severity) for f in study.findings] == [("pixel_bits", "review")]
    assert "LargestImagePixelValue" in study.findings[0].message


# ---- padding


def padded(
    value: int, *, limit: int | None = None, signed: bool = True, implicit: bool = False, fill: int | None = None
) -> Cine:
    """The cine with two rows of padding."""

    def edit(ds: Dataset) -> None:
        values = stored(ds)
        values[: 2 * COLUMNS] = value if fill is None else fill
        ds.PixelData = as_bytes(values)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, int(signed)
        vr = "SS" if signed else "US"
        ds.add_new("PixelPaddingValue", vr, value)
        if limit is not None:
            ds.add_new("PixelPaddingRangeLimit", vr, limit)
        if implicit:
            ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    return for_all(cine(), edit)


def darkest() -> NDArray[np.float32]:
    """What the padded cine must read as."""
    truth = expected()
    truth[:, :, :2] = truth[:, :, 2:].min(axis=(2, 3), keepdims=True)
    return truth


@pytest.mark.parametrize(
    "how",
    [
        {"value": -2000},
        {"value": -32768, "implicit": True},
        {"value": 65535, "signed": False},
        {"value": 65535, "signed": False, "implicit": True},
        {"value": 30000},
        {"value": -2000, "limit": -1000, "fill": -1500},
        {"value": -1000, "limit": -2000, "fill": -1500},
    ],
    ids=str,
)
def test_padding_counts_as_the_darkest_pixel_of_its_image(how: dict[str, int], tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, padded(**how).values()))  # type: ignore[arg-type]
    np.testing.assert_array_equal(study.images[0].data, darkest())
    assert [(f.code, f.severity) for f in study.findings] == [("pixel_padding", "info")]


def test_padding_above_the_stored_bits(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit = 12, 11

    study = read_dicom(save(tmp_path, for_all(padded(0xFFFF, signed=False), edit).values()))
    np.testing.assert_array_equal(study.images[0].data, darkest())
    assert codes(study) == ["pixel_padding"]


def test_bright_padding_of_inverted_images(tmp_path: Path) -> None:
    images = for_all(padded(65535, signed=False), lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    data = read_dicom(save(tmp_path, images.values())).images[0].data
    np.testing.assert_array_equal(
        data[:, :, :2], np.broadcast_to(data.min(axis=(2, 3), keepdims=True), (*data.shape[:2], 2, COLUMNS))
    )


@pytest.mark.parametrize("value", [0, 1000])
def test_padding_within_the_range_of_the_image_stays(value: int, tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: ds.add_new("PixelPaddingValue", "US", value))
    study = read(tmp_path, images)
    assert codes(study) == []


def test_an_image_of_padding_alone_is_blank(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: ds.add_new("PixelPaddingValue", "US", 65535))
    images[1, 2].PixelData = as_bytes(np.full(ROWS * COLUMNS, 65535))
    study = read_dicom(save(tmp_path, images.values()))
    assert study.images[0].data[2, 1].max() == 0
    assert codes(study) == ["pixel_padding", "blank_images"]
