"""Slices that could belong to the stack: made part of it, or named; never left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import DISTANCE_MM, NORMAL, PHASES, SLICES, Cine, cine, codes, expected, image, refusal, save
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import map_coordinates

from cmrseg.io.dicom import read_dicom
from cmrseg.phantom import Phantom, write_dicom
from cmrseg.study import Study

LAST = 6
Edit = Callable[[Dataset], object]


def in_one_series(**named: object) -> Cine:
    return cine(range(LAST + 1), **named)


def per_slice(slices=range(LAST + 1), **named: object) -> Cine:
    """A series per slice."""
    found: Cine = {}
    for z in slices:
        for (_, t), ds in cine([z], series=f"s{z}", number=20 + z, description="cine sax", **named).items():
            found[z, t] = ds
    return found


def at(slices: set[int], images: Cine, edit: Edit) -> Cine:
    for (z, _), ds in images.items():
        if z in slices:
            edit(ds)
    return images


def whole(study: Study) -> NDArray[np.float32]:
    return study.images[0].data


def message(study: Study, code: str) -> str:
    return next(f.message for f in study.findings if f.code == code)


def signed(ds: Dataset) -> None:
    ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15


def wider(ds: Dataset) -> None:
    """The same scene with rows 1.6 mm apart instead of 1.5, from the same corner."""
    rows, columns = np.meshgrid(np.arange(ds.Rows) * 1.6 / 1.5, np.arange(ds.Columns), indexing="ij")
    wider = map_coordinates(ds.pixel_array.astype(float), [rows, columns], order=1, mode="nearest")
    ds.PixelData = np.rint(wider).astype("<u2").tobytes()
    ds.PixelSpacing = [1.6, 2.0]


def tilted(degrees: float) -> Edit:
    """Turn the plane about its own row through the middle of the image."""

    def edit(ds: Dataset) -> None:
        cosines = np.array(ds.ImageOrientationPatient, float)
        x, y = cosines[:3], cosines[3:]
        half_y, turn = (ds.Rows - 1) / 2 * float(ds.PixelSpacing[0]), np.radians(degrees)
        turned = np.cos(turn) * y + np.sin(turn) * np.cross(x, y)
        ds.ImageOrientationPatient = [f"{v:.9f}" for v in (*x, *turned)]
        corner = np.array(ds.ImagePositionPatient, float) + half_y * (y - turned)
        ds.ImagePositionPatient = [f"{v:.6f}" for v in corner]

    return edit


def moved(mm: float) -> Edit:
    def edit(ds: Dataset) -> None:
        ds.ImagePositionPatient = [f"{v:.6f}" for v in np.array(ds.ImagePositionPatient, float) + mm * NORMAL]

    return edit


@pytest.mark.parametrize("make", [in_one_series, per_slice])
@pytest.mark.parametrize("slices", [{5, 6}, {0}, {3}, {1, 2, 3}])
def test_how_pixels_are_stored_plays_no_role(tmp_path: Path, make: Callable[[], Cine], slices: set[int]) -> None:
    study = read_dicom(save(tmp_path, at(slices, make(), signed).values()))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    assert codes(study) == []


@pytest.mark.parametrize("odd", [lambda z, t: z == 2 and t % 2, lambda z, t: t % 2])
def test_some_phases_stored_signed(tmp_path: Path, odd: Callable[[int, int], bool]) -> None:
    images = in_one_series()
    for place, ds in images.items():
        if odd(*place):
            signed(ds)
    np.testing.assert_array_equal(whole(read_dicom(save(tmp_path, images.values()))), expected(range(LAST + 1)))


def eight_bits(divisor: int) -> Edit:
    def edit(ds: Dataset) -> None:
        ds.PixelData = (ds.pixel_array // divisor).astype(np.uint8).tobytes()
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7

    return edit


def test_eight_bits_of_the_same_values_are_read_and_of_another_scale_named(tmp_path: Path) -> None:
    images = in_one_series()
    for (z, t), ds in images.items():
        ds.PixelData = (np.arange(48, dtype="<u2") + 20 * z + t).tobytes()
    plain = read_dicom(save(tmp_path / "16", images.values()))
    mixed = read_dicom(save(tmp_path / "8", at({5, 6}, images, eight_bits(1)).values()))
    np.testing.assert_array_equal(whole(mixed), whole(plain))
    assert codes(mixed) == []
    study = read_dicom(save(tmp_path / "view", at({5, 6}, in_one_series(), eight_bits(16)).values()))
    assert [(f.code, f.severity) for f in study.findings] == [("other_scale", "review")]


@pytest.mark.parametrize("make", [in_one_series, per_slice])
def test_derived_slices_continue_the_stack_and_are_named(tmp_path: Path, make: Callable[[], Cine]) -> None:
    def derive(ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "M"]

    study = read_dicom(save(tmp_path, at({5, 6}, make(), derive).values()))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    # The slices of the small cine run from base to apex.
    assert message(study, "derived_images").startswith("Slices 6, 7:")


@pytest.mark.parametrize("make", [in_one_series, per_slice])
@pytest.mark.parametrize(("slices", "numbers"), [({5, 6}, "6, 7"), ({0}, "1"), ({3}, "4"), ({0, 3}, "1, 4")])
def test_slices_of_another_field_of_view_are_resampled(
    tmp_path: Path, make: Callable[[], Cine], slices: set[int], numbers: str
) -> None:
    study = read_dicom(save(tmp_path, at(slices, make(), wider).values()))
    truth = expected(range(LAST + 1))
    assert study.images[0].geometry.spacing_xyz_mm == pytest.approx((2.0, 1.5, DISTANCE_MM), abs=1e-5)
    same = [z for z in range(LAST + 1) if z not in slices]
    np.testing.assert_array_equal(whole(study)[:, same], truth[:, same])
    # The pixels are a ramp, which interpolation keeps but for rounding; the last row lies at the edge.
    assert np.abs(whole(study)[:, :, :-1] - truth[:, :, :-1]).max() <= 1.0
    assert [(f.code, f.severity) for f in study.findings] == [("slices_resampled", "review")]
    assert f"{numbers} (series" in study.findings[0].message
    assert "1.6 x 2" in study.findings[0].message


def test_a_larger_matrix_of_the_same_pixels_gives_the_very_values(tmp_path: Path) -> None:
    def larger(ds: Dataset) -> None:
        padded = np.pad(ds.pixel_array, ((2, 3), (1, 4)))
        corner = np.array(ds.ImagePositionPatient, float)
        cosines = np.array(ds.ImageOrientationPatient, float)
        ds.ImagePositionPatient = [f"{v:.9f}" for v in corner - 1 * 2.0 * cosines[:3] - 2 * 1.5 * cosines[3:]]
        ds.Rows, ds.Columns, ds.PixelData = *padded.shape, padded.tobytes()

    study = read_dicom(save(tmp_path, at({0, 1, 6}, in_one_series(), larger).values()))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    assert "11 x 13 pixels" in message(study, "slices_resampled")


@pytest.mark.parametrize("make", [in_one_series, per_slice])
@pytest.mark.parametrize("degrees", [1.0, 2.5])
def test_a_small_tilt_is_levelled(tmp_path: Path, make: Callable[[], Cine], degrees: float) -> None:
    def far(ds: Dataset) -> None:
        """Large, so that a tilt moves the corner that the header tells."""
        ds.PixelSpacing = [4.9, 4.9]

    images = at(set(range(LAST + 1)), make(), far)
    study = read_dicom(save(tmp_path, at({5, 6}, images, tilted(degrees)).values()))
    assert whole(study).shape[1] == LAST + 1
    assert np.abs(whole(study) - expected(range(LAST + 1))).max() <= 1.0
    assert codes(study) == ["slices_resampled"]


@pytest.mark.parametrize(
    ("edit", "difference"),
    [
        (tilted(6), "tilted by 6.0 degrees"),
        (lambda ds: setattr(ds, "SeriesDescription", "base once more"), "another name"),
    ],
)
def test_what_cannot_join_is_named(tmp_path: Path, edit: Edit, difference: str) -> None:
    study = read_dicom(save(tmp_path, at({LAST}, per_slice(), edit).values()))
    assert whole(study).shape[1] == LAST
    assert [(f.code, f.severity) for f in study.findings] == [("slices_left_out", "review")]
    assert "series 26, 1 slice(s): 1 beyond the apex" in study.findings[0].message
    assert difference in study.findings[0].message


def test_a_slice_off_the_even_distance_is_refused(tmp_path: Path) -> None:
    error = refusal(save(tmp_path, at({LAST}, per_slice(), moved(3)).values()))
    assert (error.code, "10.00, 13.00 mm, from the base" in error.cause) == ("geometry", True)


def test_a_slice_of_few_images_is_named(tmp_path: Path) -> None:
    images = {place: ds for place, ds in per_slice().items() if place[0] < LAST or place[1] < 2}
    assert "2 image(s) per slice instead of 9" in message(
        read_dicom(save(tmp_path, images.values())), "slices_left_out"
    )


def test_a_slice_without_a_position_is_named(tmp_path: Path) -> None:
    study = read_dicom(save(tmp_path, at({LAST}, per_slice(), lambda ds: ds.pop("ImagePositionPatient")).values()))
    assert "series 26, 9 image(s): no usable ImagePositionPatient" in message(study, "slices_left_out")


def test_a_gap_between_the_stack_and_what_is_left_is_no_reason_for_silence(tmp_path: Path) -> None:
    images = {place: ds for place, ds in per_slice().items() if place[0] != 4}
    study = read_dicom(save(tmp_path, at({5, 6}, images, wider).values()))
    assert "series 25-26, 2 slice(s): 2 beyond the apex" in message(study, "slices_left_out")


@pytest.mark.parametrize("style", ["siemens", "ge", "philips-classic", "series-per-slice"])
def test_every_vendor_style_keeps_basal_slices_of_another_field_of_view(
    tmp_path: Path, tiny_phantom: Phantom, style: str
) -> None:
    from pydicom import dcmread

    files = write_dicom(tiny_phantom, tmp_path, style=style)  # type: ignore[arg-type]
    places = sorted({float(dcmread(f, stop_before_pixels=True).SliceLocation) for f in files})
    for file in files:
        ds = dcmread(file)
        if float(ds.SliceLocation) in places[-3:]:
            ds.PixelSpacing = [3.2, 3.2]
            ds.save_as(file)
    study = read_dicom(tmp_path)
    assert whole(study).shape == tiny_phantom.image.data.shape
    assert "Slices 1, 2, 3" in message(study, "slices_resampled")


# ---- acquired again


def again(slices: set[int], *, time: str | None = "104500", **named: object) -> Cine:
    """The slices once more as a series of their own, 50 brighter, later than the 10:15:30 of the others."""
    images = cine(slices, **{"series": "again", "number": 30, "description": "cine sax repeat", **named})
    for ds in images.values():
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 50).tobytes()
        if time:
            ds.AcquisitionTime = time
    return images


def brighter(slices: set[int]) -> NDArray[np.float32]:
    truth = expected(range(LAST + 1))
    truth[:, sorted(slices)] += 50
    return truth


@pytest.mark.parametrize("make", [in_one_series, per_slice])
@pytest.mark.parametrize("slices", [{4}, {0}, {1, 2}, {2, 3, 4}, {1, 5}])
def test_the_later_breath_hold_is_used(tmp_path: Path, make: Callable[..., Cine], slices: set[int]) -> None:
    named = {"description": "cine sax"} if make is in_one_series else {}
    save(tmp_path, make(**named).values())
    save(tmp_path / "again", again(slices).values())
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(whole(study), brighter(slices))
    assert [(f.code, f.severity) for f in study.findings] == [("slices_repeated", "review")]
    assert f"{PHASES * len(slices)} images" in study.findings[0].message


def test_an_earlier_breath_hold_is_not_used(tmp_path: Path) -> None:
    save(tmp_path, in_one_series(description="cine sax").values())
    study = read_dicom(save(tmp_path, again({4}, time="100000").values()))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    assert codes(study) == ["slices_repeated"]


@pytest.mark.parametrize("time", [None, "101530"])
def test_breath_holds_of_one_time_are_refused_with_the_files_to_take_out(tmp_path: Path, time: str | None) -> None:
    def drop(ds: Dataset) -> None:
        if time is None:
            del ds.AcquisitionTime

    save(tmp_path, at(set(range(7)), in_one_series(description="cine sax"), drop).values())
    save(tmp_path, at({4}, again({4}, time=time), drop).values())
    error = refusal(tmp_path)
    assert error.code == "duplicate_slices"
    assert "Slice 5 was acquired more than once (series 5 and 30)" in error.cause
    assert "series 30, files 64-72" in error.remedy


def test_a_copy_of_a_slice_in_another_series_is_no_other_breath_hold(tmp_path: Path) -> None:
    save(tmp_path, in_one_series(description="cine sax").values())
    save(tmp_path, cine({4}, series="copy", number=30, description="cine sax").values())
    np.testing.assert_array_equal(whole(read_dicom(tmp_path)), expected(range(LAST + 1)))


@pytest.mark.parametrize("slices", [{4}, {1, 2}, set(range(LAST + 1))])
def test_acquired_again_inside_the_series(tmp_path: Path, slices: set[int]) -> None:
    save(tmp_path, in_one_series().values())
    for (z, t), ds in again(slices, series="cine", number=5, description="").items():
        ds.InstanceNumber, ds.TriggerTime = 500 + 20 * z + t, round(float(ds.TriggerTime) * 1.04, 2)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{z}.{t}"
        save(tmp_path, [ds])
    study = read_dicom(tmp_path)
    np.testing.assert_array_equal(whole(study), brighter(slices))
    assert "slices_repeated" in codes(study)


def test_acquired_again_inside_the_series_without_times_is_refused_with_its_files(tmp_path: Path) -> None:
    save(tmp_path, in_one_series().values())
    more = again({4}, time=None, series="cine", number=5, description="")
    error = refusal(save(tmp_path, at({4}, more, lambda ds: setattr(ds, "TriggerTime", 7 + ds.TriggerTime)).values()))
    assert error.code == "duplicate_slices"
    assert "Slice 5 holds 18 images where the others have 9" in error.cause
    assert "files 37-45, 64-72" in error.remedy


@pytest.mark.parametrize("make", [in_one_series, per_slice])
@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (moved(2), "between its slices (2.0 mm from a slice)"),
        (moved(-4), "between its slices (4.0 mm from a slice)"),
        (tilted(8), "at the place of slice 5 (tilted by 8.0 degrees)"),
        (lambda ds: setattr(ds, "NominalInterval", "450"), "at the place of slice 5 (133 beats per minute instead of"),
    ],
)
def test_a_breath_hold_that_does_not_fit_is_named_and_the_stack_kept(
    tmp_path: Path, make: Callable[..., Cine], edit: Edit, where: str
) -> None:
    save(tmp_path, make(description="cine sax").values() if make is in_one_series else make().values())
    study = read_dicom(save(tmp_path, at({4}, again({4}), edit).values()))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    assert codes(study) == ["slices_left_out"]
    assert where in study.findings[0].message


def test_a_breath_hold_that_was_broken_off_is_named(tmp_path: Path) -> None:
    save(tmp_path, in_one_series(description="cine sax").values())
    study = read_dicom(save(tmp_path, [ds for (_, t), ds in again({4}).items() if t < 6]))
    np.testing.assert_array_equal(whole(study), expected(range(LAST + 1)))
    assert "6 image(s) per slice instead of 9" in message(study, "slices_left_out")


def test_a_breath_hold_of_another_field_of_view_is_used(tmp_path: Path) -> None:
    save(tmp_path, in_one_series(description="cine sax").values())
    study = read_dicom(save(tmp_path, at({4}, again({4}), wider).values()))
    assert np.abs(whole(study) - brighter({4}))[:, :, :-1].max() <= 1.0
    assert codes(study) == ["slices_repeated", "slices_resampled"]


# ---- late enhancement, numbers


def late(slices: range = range(SLICES), **values: object) -> list[Dataset]:
    found = []
    for z in slices:
        ds = image(z, 0, series="lge", number=40, description="LGE sax", instance=z + 1)
        ds.InversionTime, ds.AcquisitionTime = "280", f"1030{z:02d}"
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        found.append(ds)
    return found


def test_lge_slices_of_another_field_of_view_or_sign_are_kept(tmp_path: Path) -> None:
    images = late()
    signed(images[2])
    wider(images[4])
    study = read_dicom(save(tmp_path, images))
    assert whole(study).shape[1] == SLICES
    assert codes(study) == ["slices_resampled"]


def test_an_lge_slice_again_as_a_series_of_its_own(tmp_path: Path) -> None:
    save(tmp_path, late())
    (ds,) = late(range(2, 3), AcquisitionTime="110000", SeriesInstanceUID="1.2.3", SeriesNumber=44)
    ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") + 50).tobytes()
    study = read_dicom(save(tmp_path, [ds]))
    truth = expected(phases=1)
    truth[:, 2] += 50
    np.testing.assert_array_equal(whole(study), truth)
    assert codes(study) == ["slices_repeated"]


def test_an_lge_slice_beside_the_stack_is_named(tmp_path: Path) -> None:
    save(tmp_path, late())
    (ds,) = late(range(2, 3), AcquisitionTime="110000", SeriesInstanceUID="1.2.3", SeriesNumber=44)
    moved(2.5)(ds)
    study = read_dicom(save(tmp_path, [ds]))
    np.testing.assert_array_equal(whole(study), expected(phases=1))
    assert codes(study) == ["slices_left_out"]


@pytest.mark.parametrize("first", [1, 1001, 64])
@pytest.mark.parametrize("make", [in_one_series, per_slice])
def test_numbers_that_run_on_or_begin_elsewhere_are_no_loss(
    tmp_path: Path, make: Callable[[], Cine], first: int
) -> None:
    images = make()
    for number, ds in enumerate(images.values(), first):
        ds.InstanceNumber = number
    assert codes(read_dicom(save(tmp_path, images.values()))) == []


def test_numbers_missing_inside_the_stack_are_counted_over_its_series(tmp_path: Path) -> None:
    images = per_slice()
    for number, ds in enumerate(images.values(), 1):
        ds.InstanceNumber = number + (PHASES if number > 3 * PHASES else 0)
    assert "9 of 72 instance numbers" in message(read_dicom(save(tmp_path, images.values())), "numbers_missing")
