"""Stored pixels to intensities: rescale, sign, bits, transfer syntaxes; against arithmetic done by hand."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import cine, codes, expected, for_all, refusal, save
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from cmrseg.io.dicom import read_dicom


def first_image(folder: Path) -> np.ndarray:
    return read_dicom(folder).images[0].data[0, 0]


def test_rescale_is_applied_image_by_image(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "RescaleIntercept", "-12.5"))
    for (z, _), ds in images.items():
        ds.RescaleSlope = f"{0.25 * (z + 1)}"
    data = read_dicom(save(tmp_path, images.values())).images[0].data
    slopes = 0.25 * np.arange(1, 6, dtype=np.float32)
    np.testing.assert_allclose(data, expected() * slopes[None, :, None, None] - 12.5)


@pytest.mark.parametrize(
    ("bits", "signed", "stored", "meant"),
    [
        (12, 1, [0x0FFF, 0x0800, 0x07FF, 0x0001], [-1, -2048, 2047, 1]),
        (12, 0, [0x0FFF, 0x0800, 0x07FF, 0x0001], [4095, 2048, 2047, 1]),
        (16, 1, [0xFFFF, 0x8000, 0x7FFF, 0x0001], [-1, -32768, 32767, 1]),
        (16, 0, [0xFFFF, 0x8000, 0x7FFF, 0x0001], [65535, 32768, 32767, 1]),
        # Overlay bits above the stored ones are no part of the value.
        (12, 0, [0xF123, 0x8001, 0x7FFF, 0x1000], [0x123, 1, 0xFFF, 0]),
    ],
)
def test_bits_and_sign(tmp_path: Path, bits: int, signed: int, stored: list[int], meant: list[int]) -> None:
    def edit(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, signed
        ds.PixelData = np.resize(np.array(stored, "<u2"), 48).tobytes()

    np.testing.assert_array_equal(first_image(save(tmp_path, for_all(cine(), edit).values())), np.resize(meant, (6, 8)))


def test_eight_bits(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = bytes(range(200, 248))

    np.testing.assert_array_equal(
        first_image(save(tmp_path, for_all(cine(), edit).values())), np.arange(200, 248).reshape(6, 8)
    )


def test_monochrome1_is_turned_over(tmp_path: Path) -> None:
    images = for_all(cine(), lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    np.testing.assert_array_equal(first_image(save(tmp_path, images.values())), 4095 - expected()[0, 0])


def test_one_blank_image_is_reported(tmp_path: Path) -> None:
    images = cine()
    images[3, 2].PixelData = bytes(96)
    study = read_dicom(save(tmp_path, images.values()))
    assert [(f.code, f.severity, f.frame, f.slice) for f in study.findings] == [("blank_images", "review", 2, 3)]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_other_transfer_syntaxes(tmp_path: Path, syntax: str) -> None:
    def edit(ds: Dataset) -> None:
        if syntax == RLELossless:
            ds.compress(RLELossless, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax

    np.testing.assert_array_equal(first_image(save(tmp_path, for_all(cine(), edit).values())), expected()[0, 0])


def test_big_endian(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"

    np.testing.assert_array_equal(first_image(save(tmp_path, for_all(cine(), edit).values())), expected()[0, 0])


@pytest.mark.parametrize("meta", [True, False], ids=["meta", "bare"])
def test_without_preamble(tmp_path: Path, meta: bool) -> None:
    for file in save(tmp_path, cine().values(), name="{:04d}").iterdir():
        raw = file.read_bytes()
        start = 132 if meta else 132 + 12 + int.from_bytes(raw[140:144], "little")
        file.write_bytes(raw[start:])
    np.testing.assert_array_equal(read_dicom(tmp_path).images[0].data, expected())


def test_deflated(tmp_path: Path) -> None:
    for file in save(tmp_path, cine().values()).iterdir():
        raw = file.read_bytes()
        end = 132 + 12 + int.from_bytes(raw[140:144], "little")
        old, new = b"UI\x14\x001.2.840.10008.1.2.1\x00", b"UI\x16\x001.2.840.10008.1.2.1.99"
        meta = bytearray(raw[132:end].replace(old, new))
        meta[8:12] = (len(meta) - 12).to_bytes(4, "little")
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        file.write_bytes(raw[:132] + bytes(meta) + packer.compress(raw[end:]) + packer.flush())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []


def test_a_compression_without_decoder_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(ds: Dataset) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1

    class Missing:
        is_available = False

    monkeypatch.setattr("cmrseg.io.dicom.pixels.get_decoder", lambda syntax: Missing())
    error = refusal(save(tmp_path, for_all(cine(), edit).values()))
    assert error.code == "unreadable"
    assert "JPEG Lossless" in error.cause
    assert "pip install cmrseg[jpeg]" in error.remedy


def test_pixels_that_are_not_what_their_compression_says(tmp_path: Path) -> None:
    def edit(ds: Dataset) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        (whole,) = generate_frames(ds.PixelData, number_of_frames=1)
        ds.PixelData = encapsulate([whole[:100]])

    error = refusal(save(tmp_path, for_all(cine(), edit).values()))
    assert error.code == "unreadable"
    assert "file 0001" in error.cause
