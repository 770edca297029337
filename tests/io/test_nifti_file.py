"""Bytes that are not what they say: refused with a cause, and without reading what a header only promises."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.nifti import read_nifti
from cmrseg.io.nifti_file import load
from cmrseg.phantom import Phantom, write_nifti


@pytest.fixture
def plain(tmp_path: Path, tiny_phantom: Phantom) -> bytes:
    write_nifti(tiny_phantom, tmp_path / "source.nii")
    return (tmp_path / "source.nii").read_bytes()


def code_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputRefused) as caught:
        read_nifti(path)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value.code


def patched(content: bytes, offset: int, values: list[float], dtype: str) -> bytes:
    new = np.array(values, dtype).tobytes()
    return content[:offset] + new + content[offset + len(new) :]


def test_the_content_decides_about_compression_and_not_the_name(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "plain.nii.gz").write_bytes(plain)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(plain))
    np.testing.assert_array_equal(load(tmp_path / "plain.nii.gz").values, load(tmp_path / "packed.nii").values)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 100, 347, 348, 351, 352, 353, 10000, -1])
def test_cut_files(tmp_path: Path, plain: bytes, length: int) -> None:
    assert code_of(tmp_path / "a.nii", plain[:length]) == "unreadable"
    packed = gzip.compress(plain)
    assert code_of(tmp_path / "a.nii.gz", packed[: length if length < 0 else length % len(packed)]) == "unreadable"


def test_longer_than_the_header_says(tmp_path: Path, plain: bytes) -> None:
    assert code_of(tmp_path / "a.nii", plain + b"\0") == "unreadable"
    assert code_of(tmp_path / "a.nii.gz", gzip.compress(plain + b"\0")) == "unreadable"
    assert code_of(tmp_path / "b.nii.gz", gzip.compress(plain) + b"garbage") == "unreadable"


def test_the_gzip_checksum_is_checked(tmp_path: Path, plain: bytes) -> None:
    packed = bytearray(gzip.compress(plain, compresslevel=0))
    packed[20000] ^= 1  # stored, not deflated: only the checksum can tell
    assert code_of(tmp_path / "a.nii.gz", bytes(packed)) == "unreadable"


@pytest.mark.parametrize(
    ("what", "offset", "values", "dtype", "code"),
    [
        ("no header size", 0, [0], "<i4", "unreadable"),
        ("wrong magic", 344, [0x0069], "<u2", "unreadable"),  # "i": the header of a two-file image
        ("no dimensions", 40, [0], "<i2", "unreadable"),
        ("nine dimensions", 40, [9], "<i2", "unreadable"),
        ("dimension of zero", 42, [0], "<i2", "unreadable"),
        ("negative dimension", 44, [-64], "<i2", "unreadable"),
        ("32767 cubed", 42, [32767, 32767, 32767], "<i2", "too_large"),
        ("4096 x 4096 x 100", 42, [4096, 4096, 100], "<i2", "too_large"),
        ("400 phases", 48, [400], "<i2", "too_large"),
        ("unknown type", 70, [3], "<i2", "unreadable"),
        ("complex", 70, [32, 64], "<i2", "unreadable"),
        ("colour", 70, [128, 24], "<i2", "unreadable"),
        ("wide float", 70, [1536, 128], "<i2", "unreadable"),
        ("bits contradict the type", 72, [8], "<i2", "unreadable"),
        ("image inside the header", 108, [100], "<f4", "unreadable"),
        ("image at NaN", 108, [np.nan], "<f4", "unreadable"),
        ("image past the end", 108, [1e9], "<f4", "unreadable"),
        ("image half a voxel off", 108, [353], "<f4", "unreadable"),
        ("infinite slope", 112, [np.inf, 0], "<f4", "unreadable"),
        ("negative slope", 112, [-1, 0], "<f4", "unreadable"),
        ("infinite intercept", 112, [1, np.inf], "<f4", "unreadable"),
        ("slope that overflows", 112, [3e38, 0], "<f4", "nonfinite"),
    ],
)
def test_damaged_headers(tmp_path: Path, plain: bytes, what: str, offset: int, values, dtype: str, code: str) -> None:
    assert code_of(tmp_path / "a.nii", patched(plain, offset, values, dtype)) == code


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(tmp_path: Path, plain: bytes, bad: float) -> None:
    n = (len(plain) - 352) // 2
    data = np.arange(n, dtype="<f4")
    data[n // 2] = bad
    header = patched(plain[:352], 70, [16, 32], "<i2")
    assert code_of(tmp_path / "a.nii", header + data.tobytes()) == "nonfinite"


def test_blank_images_and_blank_phases(tmp_path: Path, plain: bytes) -> None:
    assert code_of(tmp_path / "a.nii", plain[:352] + bytes(len(plain) - 352)) == "empty_image"
    phase = (len(plain) - 352) // 6
    assert code_of(tmp_path / "b.nii", plain[:-phase] + bytes(phase)) == "empty_image"


def test_other_files(tmp_path: Path) -> None:
    for name, content in {"text.nii": b"not an image at all\n" * 100, "zip.nii.gz": b"PK\3\4" + bytes(500)}.items():
        assert code_of(tmp_path / name, content) == "unreadable"


def test_a_compressed_bomb_is_refused_from_its_header(tmp_path: Path, plain: bytes) -> None:
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(patched(plain[:352], 42, [4096, 4096, 400, 100], "<i2"))
        for _ in range(64):
            stream.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputRefused) as caught:
        read_nifti(tmp_path / "bomb.nii.gz")
    assert caught.value.code == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_a_small_header_before_a_bomb_stops_reading(tmp_path: Path, plain: bytes) -> None:
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(plain)
        for _ in range(64):
            stream.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputRefused, match="longer than its header"):
        read_nifti(tmp_path / "bomb.nii.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_missing_and_forbidden(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as caught:
        load(tmp_path / "none.nii")
    assert caught.value.code == "not_found"
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(InputRefused) as caught:
        load(tmp_path / "folder.nii")
    assert caught.value.code == "unreadable"
