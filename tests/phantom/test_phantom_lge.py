"""The LGE stack of a phantom's heart: on its own slices in the same patient, with masses that follow from its spec."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from cmrseg.labels import LGE_RV
from cmrseg.phantom import (
    STYLES,
    LgePhantom,
    Phantom,
    make_lge,
    make_phantom,
    tiny,
    write_dicom,
    write_lge_masks,
    write_lge_nifti,
)
from cmrseg.phantom.enhancement import EnhancementSpec, Lesion
from cmrseg.phantom.lge import lge_spec
from cmrseg.phantom.spec import MYOCARDIUM_G_PER_ML
from cmrseg.quantify.lge import measure_lge

QUARTER = Lesion(angle_degrees=90.0, width_degrees=90.0, length=2.0, transmurality=1.0, taper=0.0, roughness=0.0)


@pytest.fixture(scope="module")
def lge(tiny_phantom: Phantom) -> LgePhantom:
    return make_lge(tiny_phantom)


def test_the_masses_are_those_of_the_shape() -> None:
    """A scar over a quarter of every ring: mass by the exact areas of the cross-sections."""
    fine = make_phantom(tiny(phases=1, pixel_spacing_xy_mm=(1.5, 1.5), shape_xy=(128, 128)))
    quarter = make_lge(fine, EnhancementSpec(lesions=(QUARTER,)))
    # Exact areas of the same heart at the levels of the LGE slices.
    areas = make_phantom(lge_spec(fine.spec)).truth.discs.lv_myocardium
    assert quarter.truth["lge_lv_mass_g"] == pytest.approx(float(areas[0]) * MYOCARDIUM_G_PER_ML, rel=1e-3)
    assert quarter.truth["scar_percent"] == pytest.approx(25.0, abs=1.0)
    measured = measure_lge(quarter.segmentation, quarter.image)
    assert measured["scar_mass_g"] == pytest.approx(quarter.truth["scar_mass_g"], rel=0.02)
    assert measured["lge_lv_mass_g"] == pytest.approx(quarter.truth["lge_lv_mass_g"], rel=1e-6)


def test_it_shares_the_patient_and_not_the_slices(lge: LgePhantom, tiny_phantom: Phantom) -> None:
    cine, late = tiny_phantom.image.geometry, lge.image.geometry
    assert late.normal_lps == pytest.approx(cine.normal_lps)
    assert late.spacing_xyz_mm == pytest.approx((2.4, 2.4, 14.0))
    heights = [g.to_lps([0, 0, z]) @ cine.normal_lps for g in (cine, late) for z in range(g.shape_xyz[2])]
    gaps = np.diff(np.sort(heights))
    assert gaps.min() > 4.0 - 1e-6  # 0.3 of 14 mm
    centres = []
    for geometry, mask in (
        (cine, tiny_phantom.segmentation.labels[tiny_phantom.truth.ed_frame] == 3),
        (late, lge.segmentation.labels[0] == LGE_RV["lv_cavity"]),
    ):
        z, y, x = np.nonzero(mask)
        centres.append(geometry.to_lps(np.column_stack([x, y, z])).mean(axis=0))
    across = centres[0] - centres[1]
    across -= (across @ cine.normal_lps) * cine.normal_lps
    assert np.linalg.norm(across) < 1.0


def test_the_default_heart_has_a_scar_with_a_dark_core(lge: LgePhantom) -> None:
    assert set(np.unique(lge.segmentation.labels)) == {0, 1, 2, 3, 4, 5}
    assert 10 < lge.truth["scar_percent"] < 40
    assert 0 < lge.truth["no_reflow_mass_g"] < 0.5 * lge.truth["scar_mass_g"]
    assert (lge.segmentation.labels == LGE_RV["lv_myocardium"]).any(axis=(2, 3)).all()


def test_the_twin_shows_the_same_scar_on_an_offset(lge: LgePhantom) -> None:
    magnitude, signed = (e.image.data[0] for e in (lge.magnitude, lge.phase_sensitive))
    assert np.array_equal(lge.magnitude.segmentation.labels, lge.phase_sensitive.segmentation.labels)
    cavity = lge.segmentation.labels[0] == LGE_RV["lv_cavity"]
    assert np.median(signed[cavity] - lge.offset) == pytest.approx(np.median(magnitude[cavity]), rel=0.02)
    assert (signed - lge.offset).min() < 0 <= magnitude.min()


@pytest.mark.parametrize("style", STYLES)
def test_the_study_is_one_and_its_series_are_as_the_vendor_writes_them(
    style: str, lge: LgePhantom, tiny_phantom: Phantom, tmp_path: Path
) -> None:
    paths = write_dicom(tiny_phantom, tmp_path, style, lge=lge)  # type: ignore[arg-type]
    files = [pydicom.dcmread(path) for path in paths]
    assert len({ds.SOPInstanceUID for ds in files}) == len(files)
    assert len({ds.StudyInstanceUID for ds in files}) == len({ds.FrameOfReferenceUID for ds in files}) == 1
    late = [ds for ds in files if ds.SeriesDescription.startswith("LGE")]
    n = lge.image.n_slices
    series = {"siemens": 2, "ge": 1, "philips-classic": 1, "series-per-slice": 2 * n, "enhanced": 1}
    assert len({ds.SeriesInstanceUID for ds in late}) == series.get(style, 2)
    assert sum(int(ds.get("NumberOfFrames", 1)) for ds in late) == 2 * n
    assert all(np.max(ds.pixel_array) < 2 ** (ds.BitsStored - ds.PixelRepresentation) for ds in files)


def test_the_same_bytes_again(lge: LgePhantom, tiny_phantom: Phantom, tmp_path: Path) -> None:
    one, two = (write_dicom(tiny_phantom, tmp_path / n, "siemens", extras=True, lge=lge) for n in "ab")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert np.array_equal(make_lge(tiny_phantom).image.data, lge.image.data)


def test_nifti(lge: LgePhantom, tmp_path: Path) -> None:
    write_lge_nifti(lge, tmp_path / "lge.nii.gz")
    write_lge_masks(lge, tmp_path / "masks.nii.gz")
    image, masks = (nib.load(tmp_path / name) for name in ("lge.nii.gz", "masks.nii.gz"))
    assert np.array_equal(np.asarray(image.dataobj).T, lge.image.data[0])
    assert np.array_equal(np.asarray(masks.dataobj).T, lge.segmentation.labels[0])
    np.testing.assert_allclose(image.affine, np.diag([-1, -1, 1, 1]) @ lge.image.geometry.affine, atol=1e-3)
