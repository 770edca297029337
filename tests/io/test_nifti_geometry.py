"""Wicked headers: each with the one answer it must get. A header is written raw, so that nothing repairs it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.nifti import NiftiVolume, read_nifti
from cmrseg.study import Finding

SHAPE = (6, 5, 12, 3)
#: RAS affine of 1.5 x 1.5 x 8 mm voxels in a plain axial position.
AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.5, 0, 50], [0, 0, 8, -60], [0, 0, 0, 1.0]])
MM_SEC, MM_MS, METRE, MICRON = 2 | 8, 2 | 16, 1 | 8, 3 | 8


def header_of(shape=SHAPE, affine=AFFINE, *, sform: int = 1, qform: int = 1) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_sform(affine, sform)
    header.set_qform(affine, qform)
    header["pixdim"][1:5] = [*np.linalg.norm(affine[:3, :3], axis=0), 0.04]
    header["xyzt_units"] = MM_SEC
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    return header


def write(path: Path, header: nib.Nifti1Header) -> Path:
    shape = tuple(int(n) for n in header["dim"][1 : header["dim"][0] + 1])
    data = np.random.default_rng(0).integers(0, 1000, shape).astype("<i2")
    path.write_bytes(header.binaryblock + bytes(4) + data.tobytes(order="F"))
    return path


def read(tmp_path: Path, header: nib.Nifti1Header) -> NiftiVolume:
    return read_nifti(write(tmp_path / "a.nii", header))


def noticed(volume: NiftiVolume) -> list[Finding]:
    """Findings besides the one that every header in AFFINE's axial position gets."""
    first, *others = volume.findings
    assert first.code == "orientation_unknown"
    return others


def rotated(degrees: float, axis: int = 2) -> np.ndarray:
    a, b = [k for k in range(3) if k != axis]
    turn = np.eye(4)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[[a, a, b, b], [a, b, a, b]] = [c, -s, s, c]
    return turn @ AFFINE


def sheared(degrees: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 2] = 8.0 * np.array([np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))])
    return affine


def wicked(name: str) -> nib.Nifti1Header:
    """A header with one thing wrong."""
    h = header_of()
    unset = header_of(sform=0, qform=0)
    only_s, only_q = header_of(qform=0), header_of(sform=0)
    unit = header_of(affine=np.diag([-1.0, -1.0, 1.0, 1.0]), qform=0)
    match name:
        case "zero slice distance":
            h["pixdim"][3] = 0
        case "negative pixel size":
            h["pixdim"][1] = -1.5
        case "NaN pixel size":
            unset["pixdim"][2] = np.nan
            return unset
        case "infinite slice distance":
            unset["pixdim"][3] = np.inf
            return unset
        case "all zero, no codes":
            unset["pixdim"][1:4] = 0
            return unset
        case "all ones, no codes":
            unset["pixdim"][1:4] = 1
            return unset
        case "all ones, unit affine":
            return unit
        case "unit affine, slice distance 1 mm":
            unit["pixdim"][1:4] = [1.5, 1.5, 1]
            return unit
        case "slice distance 1 mm in few slices":
            return header_of(affine=AFFINE @ np.diag([1, 1, 1 / 8, 1]))
        case "all ones, 60 slices, identity":
            return header_of((6, 5, 60), np.eye(4))
        case "unit affine, pixels not square":
            unit["pixdim"][1:4] = [1.5, 3.0, 8]
            return unit
        case "pixdim in metres without saying so":
            unset["pixdim"][1:4] = [0.0015, 0.0015, 0.008]
            return unset
        case "micrometres in a unit of mm":
            return header_of(affine=AFFINE @ np.diag([1000, 1000, 1000, 1]))
        case "metres declared, mm written":
            h["xyzt_units"] = METRE
        case "micrometres declared, mm written":
            h["xyzt_units"] = MICRON
        case "slice distance of 60 mm":
            return header_of(affine=AFFINE @ np.diag([1, 1, 60 / 8, 1]))
        case "unknown unit code":
            h["xyzt_units"] = 5 | 8
        case "unknown sform code":
            h["sform_code"] = 77
        case "negative qform code":
            h["qform_code"] = -1
        case "affine twice pixdim":
            only_s["pixdim"][1:4] *= 2
            return only_s
        case "slice distance differs from affine by 5 %":
            only_s["pixdim"][3] *= 1.05
            return only_s
        case "unit affine beside a set qform":
            both = header_of(affine=np.diag([-1.0, -1.0, 1.0, 1.0]))
            both["pixdim"][1:4] = [1.5, 1.5, 8]
            return both
        case "unit affine that is oblique":
            only_s.set_sform(rotated(30) @ np.diag([1 / 1.5, 1 / 1.5, 1 / 8, 1]), 1)
            return only_s
        case "singular affine":
            only_s["srow_z"] = only_s["srow_x"]
            return only_s
        case "two columns the same":
            for row in ("srow_x", "srow_y", "srow_z"):
                only_s[row][1] = only_s[row][0]
            return only_s
        case "NaN in the affine":
            only_s["srow_y"][3] = np.nan
            return only_s
        case "infinity in the affine":
            only_s["srow_x"][0] = np.inf
            return only_s
        case "all-zero affine with its code set":
            only_s["srow_x"] = only_s["srow_y"] = only_s["srow_z"] = 0
            return only_s
        case "sform and qform 90 degrees apart":
            h.set_sform(rotated(90), 1)
        case "sform and qform 5 degrees apart":
            h.set_sform(rotated(5), 1)
        case "sform and qform mirror each other":
            h.set_sform(AFFINE @ np.diag([1, 1, -1, 1]), 1)
        case "sheared by 3 degrees":
            return header_of(affine=sheared(3), qform=0)
        case "sheared by 30 degrees":
            return header_of(affine=sheared(30), qform=0)
        case "quaternion longer than one":
            only_q["quatern_b"] = 2
            return only_q
        case "quaternion NaN":
            only_q["quatern_c"] = np.nan
            return only_q
        case "qfac of 7":
            only_q["pixdim"][0] = 7
            return only_q
        case "NaN offset of the qform":
            only_q["qoffset_z"] = np.nan
            return only_q
        case "two dimensions":
            return header_of((30, 20))
        case "five dimensions":
            return header_of((6, 5, 4, 3, 2))
        case _:
            raise KeyError(name)
    return h


WICKED = {
    "no_spacing": [
        "zero slice distance",
        "negative pixel size",
        "NaN pixel size",
        "infinite slice distance",
        "all zero, no codes",
        "all ones, no codes",
        "all ones, unit affine",
        "unit affine, slice distance 1 mm",
        "slice distance 1 mm in few slices",
        "all ones, 60 slices, identity",
        "unit affine, pixels not square",
        "pixdim in metres without saying so",
        "micrometres in a unit of mm",
        "metres declared, mm written",
        "micrometres declared, mm written",
        "slice distance of 60 mm",
        "two columns the same",
    ],
    "geometry": [
        "unknown unit code",
        "unknown sform code",
        "negative qform code",
        "affine twice pixdim",
        "slice distance differs from affine by 5 %",
        "unit affine beside a set qform",
        "unit affine that is oblique",
        "singular affine",
        "NaN in the affine",
        "infinity in the affine",
        "all-zero affine with its code set",
        "sform and qform 90 degrees apart",
        "sform and qform 5 degrees apart",
        "sform and qform mirror each other",
        "sheared by 3 degrees",
        "sheared by 30 degrees",
        "quaternion longer than one",
        "quaternion NaN",
        "qfac of 7",
        "NaN offset of the qform",
        "two dimensions",
        "five dimensions",
    ],
}


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in WICKED.items() for name in names])
def test_wicked_headers_are_refused_by_name(tmp_path: Path, code: str, name: str) -> None:
    with pytest.raises(InputRefused) as caught:
        read(tmp_path, wicked(name))
    assert (caught.value.code, bool(caught.value.cause), bool(caught.value.remedy)) == (code, True, True)


def test_the_header_that_the_wicked_ones_were_made_from_is_read(tmp_path: Path) -> None:
    volume = read(tmp_path, header_of())
    np.testing.assert_allclose(volume.geometry.affine, np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE)
    assert noticed(volume) == []


@pytest.mark.parametrize(("unit", "factor"), [(METRE, 0.001), (MICRON, 1000.0), (8, 1.0)])
def test_units_of_length_are_converted(tmp_path: Path, unit: int, factor: float) -> None:
    header = header_of(affine=AFFINE * np.array([[factor]] * 3 + [[1]]))
    header["xyzt_units"] = unit
    geometry = read(tmp_path, header).geometry
    assert geometry.spacing_xyz_mm == pytest.approx((1.5, 1.5, 8.0), rel=1e-6)
    np.testing.assert_allclose(geometry.affine[:3, 3], [-40, -50, -60], rtol=1e-6)


def test_no_code_gives_sizes_without_directions(tmp_path: Path) -> None:
    volume = read(tmp_path, header_of(sform=0, qform=0))
    np.testing.assert_allclose(volume.geometry.affine, np.diag([1.5, 1.5, 8, 1]))
    assert not volume.geometry.orientation_known
    assert [f.code for f in volume.findings] == ["orientation_unknown"]


def test_a_unit_affine_in_metres_is_a_placeholder_too(tmp_path: Path) -> None:
    header = header_of(affine=np.diag([-1.0, -1.0, 1.0, 1.0]), qform=0)
    header["pixdim"][1:4] = [0.0015, 0.0015, 0.008]
    header["xyzt_units"] = METRE
    volume = read(tmp_path, header)
    assert volume.geometry.spacing_xyz_mm == pytest.approx((1.5, 1.5, 8.0), rel=1e-6)
    assert not volume.geometry.orientation_known


def test_one_millimetre_that_was_measured_is_believed(tmp_path: Path) -> None:
    turned = rotated(20) @ np.diag([1 / 1.5, 1 / 1.5, 1 / 8, 1])
    assert read(tmp_path, header_of((6, 5, 60), turned)).geometry.spacing_xyz_mm == pytest.approx((1, 1, 1), rel=1e-5)


@pytest.mark.parametrize("degrees", [0.05, 1.5])
def test_slight_shear_is_accepted_with_and_without_a_qform(tmp_path: Path, degrees: float) -> None:
    header = header_of(affine=sheared(degrees))
    geometry = read(tmp_path, header).geometry
    # The distance between slices is the height of the sheared box, not the length of its edge.
    assert geometry.spacing_xyz_mm[2] == pytest.approx(8.0 * np.cos(np.radians(degrees)), rel=1e-6)
    assert geometry.shear_degrees == pytest.approx(degrees, abs=0.01)


def test_two_positions_are_noted_and_the_sform_is_used(tmp_path: Path) -> None:
    header = header_of()
    header["qoffset_x"] += 25
    volume = read(tmp_path, header)
    assert volume.geometry.affine[0, 3] == pytest.approx(-40)
    assert [(f.code, "25 mm" in f.message) for f in noticed(volume)] == [("two_positions", True)]


def test_a_slice_axis_that_comes_first_is_read_as_z(tmp_path: Path) -> None:
    moved = AFFINE[:, [2, 0, 1, 3]]
    volume = read(tmp_path, header_of((12, 6, 5), moved))
    assert volume.data.shape == (1, 12, 5, 6)
    np.testing.assert_allclose(volume.geometry.affine, np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE, atol=1e-6)
    assert [f.code for f in noticed(volume)] == ["slice_axis"]


@pytest.mark.parametrize(
    ("step", "unit", "expected"),
    [(0.04, 8, 40.0), (40, 16, 40.0), (40000, 24, 40.0), (40, 8, None), (0.04, 0, None), (1, 8, None), (0, 8, None)],
)
def test_phase_interval(tmp_path: Path, step: float, unit: int, expected: float | None) -> None:
    header = header_of()
    header["pixdim"][4], header["xyzt_units"] = step, 2 | unit
    volume = read(tmp_path, header)
    if expected is None:
        assert volume.frame_times_ms is None
        assert [f.code for f in noticed(volume)] == ["frame_times_unknown"]
    else:
        np.testing.assert_allclose(volume.frame_times_ms, [0, expected, 2 * expected], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_mutated_headers_are_refused_or_change_nothing(tmp_path: Path) -> None:
    """One to three bytes of a header with all three statements of the grid, anywhere but in the intensity scale."""
    path = write(tmp_path / "a.nii", header_of(affine=rotated(25, 0)))
    whole, content = read_nifti(path), path.read_bytes()
    places = np.array([p for p in range(348) if not 112 <= p < 120])
    generator = np.random.default_rng(1)
    n_refused = 0
    for _ in range(600):
        damaged = bytearray(content)
        for position in generator.choice(places, int(generator.integers(1, 4))):
            flipped = damaged[position] ^ (1 << int(generator.integers(8)))
            damaged[position] = flipped if generator.random() < 0.5 else int(generator.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            volume = read_nifti(path)
        except InputRefused:
            n_refused += 1
            continue
        np.testing.assert_array_equal(volume.data, whole.data)
        assert volume.geometry.spacing_xyz_mm == pytest.approx(whole.geometry.spacing_xyz_mm, rel=0.0101)
        np.testing.assert_allclose(volume.geometry.normal_lps, whole.geometry.normal_lps, atol=0.045)  # 2.5 degrees
    assert 100 < n_refused < 500
