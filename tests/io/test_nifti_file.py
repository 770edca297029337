"""Bytes that are not what they say: refused with a cause, and without reading what a header only promises."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.nifti import read_labels, read_nifti, write_labels
from cmrseg.io.nifti_file import load
from cmrseg.labels import CINE
from cmrseg.phantom import Phantom, write_nifti
from cmrseg.study import Image


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
    for more in (b"\0", b"\1", bytes(128)):
        assert code_of(tmp_path / "a.nii", plain + more) == "unreadable"
        assert code_of(tmp_path / "a.nii.gz", gzip.compress(plain + more)) == "unreadable"
    assert code_of(tmp_path / "b.nii.gz", gzip.compress(plain) + b"garbage") == "unreadable"


def test_the_gzip_checksum_is_checked(tmp_path: Path, plain: bytes) -> None:
    packed = bytearray(gzip.compress(plain, compresslevel=0))
    packed[20000] ^= 1  # stored, not deflated: only the checksum can tell
    assert code_of(tmp_path / "a.nii.gz", bytes(packed)) == "unreadable"


@pytest.mark.parametrize(
    ("what", "offset", "values", "dtype", "code"),
    [
        ("no header size", 0, [0], "<i4", "unreadable"),
        ("wrong magic", 344, [0x0069], "<u2", "unreadable"),
        ("no magic", 344, [0], "<u4", "unreadable"),
        ("three components in the fifth dimension", 40, [5, 64, 64, 16, 1, 3], "<i2", "geometry"),
        ("five dimensions", 40, [5, 64, 64, 4, 2, 6], "<i2", "geometry"),
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
        ("bits and length contradict the type", 70, [16, 16], "<i2", "unreadable"),
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


def slipped(plain: bytes, slip: str) -> bytes:
    """A file whose header a known writer has left out of order, with the image that it always held."""
    match slip:
        case "bitpix of a wider type":
            return patched(plain, 72, [32], "<i2")
        case "bitpix 0":
            return patched(plain, 72, [0], "<i2")
        case "starts at 0":
            return patched(plain, 108, [0], "<f4")
        case "starts at 348":
            return patched(plain, 108, [348], "<f4")
        case "starts at 0 and does":
            return patched(plain, 108, [0], "<f4")[:348] + plain[352:]
        case "starts at 348 and does":
            return patched(plain, 108, [348], "<f4")[:348] + plain[352:]
        case "magic bytes of a pair":
            return patched(patched(plain, 108, [0], "<f4"), 344, [0x31696E], "<u4")
        case "three dimensions counted":
            return patched(plain, 40, [3], "<i2")
        case "phases in the fifth dimension":
            content = patched(plain, 40, [5, 64, 64, 8, 1, 6], "<i2")
            return patched(content, 92, np.frombuffer(plain[92:96], "<f4").tolist() * 2, "<f4")
        case "vectors of six":
            return patched(slipped(plain, "phases in the fifth dimension"), 68, [1007], "<i2")
        case _:
            raise KeyError(slip)


@pytest.mark.parametrize(
    "slip",
    [
        "bitpix of a wider type",
        "bitpix 0",
        "starts at 0",
        "starts at 348",
        "starts at 0 and does",
        "starts at 348 and does",
        "magic bytes of a pair",
        "three dimensions counted",
        "phases in the fifth dimension",
        "vectors of six",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_slips_of_known_writers_are_read_with_a_finding(tmp_path: Path, plain: bytes, slip: str, packed: bool) -> None:
    whole = read_nifti(tmp_path / "source.nii")
    content = slipped(plain, slip)
    (tmp_path / "a.nii").write_bytes(gzip.compress(content) if packed else content)
    volume = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.data, whole.data)
    assert volume.geometry == whole.geometry
    np.testing.assert_array_equal(volume.frame_times_ms, whole.frame_times_ms)
    assert [f.code for f in volume.findings] == ["header_slip"]


@pytest.mark.parametrize(
    ("offset", "values", "dtype"),
    [
        (40, [7, 64, 64, 8, 6, 1, 1, 1], "<i2"),  # ones beyond the phases
        (40, [6, 64, 64, 8, 6, 0, 0, 0], "<i2"),  # and zeros there
        (112, [0, 0], "<f4"),  # no slope
        (112, [np.nan, np.nan], "<f4"),
        (348, [1, 0, 0, 0], "u1"),  # announces an extension that is not there
        (252, [0, 0], "<i2"),  # neither code set
    ],
)
def test_headers_that_other_writers_make_are_read(tmp_path: Path, plain: bytes, offset: int, values, dtype) -> None:
    whole = read_nifti(tmp_path / "source.nii")
    (tmp_path / "a.nii").write_bytes(patched(plain, offset, values, dtype))
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").data, whole.data)


def test_a_wrong_data_type_is_not_blamed_on_the_copy(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "a.nii").write_bytes(patched(plain, 70, [16], "<i2"))  # float32 beside bitpix 16 and int16 data
    with pytest.raises(InputRefused, match="bitpix") as caught:
        read_nifti(tmp_path / "a.nii")
    assert "checksum" not in caught.value.remedy


def test_zeros_after_a_gzip_stream_are_padding(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(plain) + bytes(1000))
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").data, read_nifti(tmp_path / "source.nii").data)


# ---- images in two files


@pytest.fixture
def pair(tmp_path: Path, plain: bytes) -> tuple[Path, Path]:
    """The image of `plain` as NIfTI pair."""
    header = patched(patched(plain[:348], 108, [0], "<f4"), 344, [0x31696E], "<u4")
    (tmp_path / "two.hdr").write_bytes(header + bytes(4))
    (tmp_path / "two.img").write_bytes(plain[352:])
    return tmp_path / "two.hdr", tmp_path / "two.img"


@pytest.mark.parametrize("given", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_pair_is_read_from_either_file(tmp_path: Path, pair: tuple[Path, Path], given: int, packed: bool) -> None:
    whole = read_nifti(tmp_path / "source.nii")
    paths = list(pair)
    if packed:
        for k, path in enumerate(pair):
            paths[k] = path.with_suffix(path.suffix.upper() + ".GZ")
            paths[k].write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    volume = read_nifti(paths[given])
    np.testing.assert_array_equal(volume.data, whole.data)
    assert volume.geometry == whole.geometry
    assert load(paths[given]).paths == tuple(paths)


def test_masks_of_a_pair_are_one_file(tmp_path: Path, pair: tuple[Path, Path], tiny_phantom: Phantom) -> None:
    volume = read_nifti(pair[0])
    image = Image("cine", volume.data, volume.geometry, volume.frame_times_ms, origin=volume.origin)
    write_labels(tmp_path / "m.nii", tiny_phantom.segmentation.labels, image)
    labels, geometry = read_labels(tmp_path / "m.nii", CINE)
    np.testing.assert_array_equal(labels, tiny_phantom.segmentation.labels)
    assert geometry == volume.geometry


def test_half_a_pair_and_analyze_are_refused_with_their_remedy(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(patched(pair[0].read_bytes(), 344, [0], "<u4"))
    for path in pair:
        with pytest.raises(InputRefused, match="Analyze") as caught:
            read_nifti(path)
        assert ".nii.gz" in caught.value.remedy
    pair[1].rename(tmp_path / "other.img")
    with pytest.raises(InputRefused, match="img file that belongs to it") as caught:
        read_nifti(pair[0])
    assert caught.value.code == "not_found"


def test_a_pair_of_the_wrong_length_is_refused(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    content = pair[1].read_bytes()
    for wrong in (content[:-2], content + b"\1"):
        assert code_of(pair[1], wrong) == "unreadable"


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
