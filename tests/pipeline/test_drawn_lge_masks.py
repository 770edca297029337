"""`cmrseg measure` on LGE masks: from files to numbers."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scar_rings import MUSCLE, SCAR, Ring, geometry_of, image_of, segmentation_of, without_scar
from typer.testing import CliRunner

from cmrseg.cli.common import EXIT_DONE, EXIT_REVIEW
from cmrseg.cli.main import app
from cmrseg.errors import InputRefused, UsageError
from cmrseg.labels import LGE, LGE_RV, MYOPS, convert
from cmrseg.pipeline.drawn_masks import measure_masks
from cmrseg.study import Segmentation

RING = Ring()


def write(path: Path, array_zyx: np.ndarray, affine: np.ndarray, zooms: tuple[float, float, float]) -> Path:
    """A NIfTI file whose affine and pixdim are set apart from each other."""
    image = nib.Nifti1Image(np.ascontiguousarray(array_zyx.transpose(2, 1, 0)), affine)
    image.header.set_sform(affine, code=2)
    image.header.set_qform(None, code=0)
    image.header.set_zooms(zooms)
    nib.save(image, path)
    return path


@pytest.fixture
def truth() -> Segmentation:
    return segmentation_of(RING.labels())


def files(
    folder: Path, truth: Segmentation, masks: np.ndarray | None = None, *, unit: bool = True
) -> tuple[Path, Path]:
    """An LGE file and its masks; with `unit` as EMIDEC has them, with an affine of unit scale."""
    folder.mkdir(parents=True, exist_ok=True)
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine = np.eye(4) if unit else lps_to_ras @ truth.geometry.affine
    labels = truth.labels if masks is None else masks
    image = write(folder / "heart_lge.nii.gz", image_of(truth).data[0], affine, RING.spacing_mm)
    return image, write(folder / "masks.nii.gz", labels[0].astype(np.int16), affine, RING.spacing_mm)


def test_an_affine_of_unit_scale_gives_right_millilitres(tmp_path, truth):
    labels = convert(truth.labels, LGE_RV, LGE, {"rv_cavity": "background"})
    analysis = measure_masks(*files(tmp_path, truth, labels), "lge")
    measured = analysis.parts[0].measurements
    assert measured["scar_volume_ml"] == pytest.approx(RING.scar_ml, rel=0.01)
    assert measured["lge_lv_mass_g"] == pytest.approx(1.05 * RING.muscle_ml, rel=0.01)
    assert "aha_not_oriented" in [f.code for f in analysis.verdict.findings]


def test_an_oblique_stack_in_any_order_gives_the_same_segments(tmp_path, truth):
    image, _ = files(tmp_path, truth, unit=False)
    affine = nib.load(image).affine.copy()
    affine[:3, 3] += affine[:3, 2] * (RING.slices - 1)
    affine[:3, 2] *= -1
    flipped = write(tmp_path / "apex_first.nii.gz", truth.labels[0, ::-1].astype(np.int16), affine, RING.spacing_mm)
    measured = measure_masks(image, flipped, "lge_rv").parts[0].measurements
    # scar from 130 to 220 degrees: septal segments 2 (120 to 180) and 3
    assert measured["transmurality_mean_aha08_percent"] == pytest.approx(50, abs=4)
    assert measured["transmurality_mean_aha11_percent"] == 0


def test_myops_numbers_with_oedema_as_muscle(tmp_path, truth):
    numbers = {**MYOPS.numbers, "no_reflow": 0}
    labels = np.zeros(truth.labels.shape, np.int16)
    for name, number in LGE_RV.numbers.items():
        labels[truth.labels == number] = numbers[name]
    labels[0, :, :50][truth.labels[0, :, :50] == MUSCLE] = MYOPS["oedema"]
    measured = measure_masks(*files(tmp_path, truth, labels, unit=False), "myops").parts[0].measurements
    assert measured["scar_volume_ml"] == pytest.approx(RING.scar_ml, rel=0.01)
    assert measured["lge_lv_mass_g"] == pytest.approx(1.05 * RING.muscle_ml, rel=0.01)


def test_the_command_finds_the_scar_and_writes_emidec_numbers(tmp_path, truth):
    image, masks = files(tmp_path, truth, without_scar(truth).labels, unit=False)
    arguments = ["measure", str(image), str(masks), "-o", str(tmp_path / "out"), "--scheme", "lge_rv", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--scar-method", "fwhm"])
    assert result.exit_code in (EXIT_DONE, EXIT_REVIEW), result.output
    folder = tmp_path / "out" / "heart_lge"
    numbers = json.loads((folder / "measurements.json").read_text())
    assert numbers["scar_volume_ml"] == pytest.approx(RING.scar_ml, rel=0.02)
    assert numbers["ed_frame"] is None
    written = np.asarray(nib.load(folder / "lge_segmentation.nii.gz").dataobj).transpose(2, 1, 0)
    assert np.mean((written == SCAR) == (truth.labels[0] == SCAR)) > 0.999
    assert written.max() == SCAR  # the right ventricle is 5, which EMIDEC's scheme does not know
    run = json.loads((folder / "run.json").read_text())
    assert run["settings"] == {"scheme": "lge_rv", "scar_method": "fwhm", "remote": "automatic"}
    assert "scar_method" in [f["code"] for f in numbers["findings"]]
    report = (folder / "report.html").read_text()
    assert "Scar by fwhm" in report
    assert 'data-key="scar_mass_g"' in report


def test_outlined_remote_muscle_is_used(tmp_path, truth):
    image, masks = files(tmp_path, truth, without_scar(truth).labels, unit=False)
    remote = ((truth.labels[0] == MUSCLE) & (RING.polar()[1] > 270)).astype(np.int16)
    path = write(tmp_path / "remote.nii.gz", remote, nib.load(image).affine, RING.spacing_mm)
    analysis = measure_masks(image, masks, "lge_rv", scar_method="5sd", remote_path=path)
    assert analysis.run["settings"]["remote"] == "given"
    message = next(f.message for f in analysis.verdict.findings if f.code == "scar_method")
    assert "as outlined" in message
    short = write(tmp_path / "short.nii.gz", remote[1:], nib.load(image).affine, RING.spacing_mm)
    with pytest.raises(InputRefused) as refused:
        measure_masks(image, masks, "lge_rv", scar_method="5sd", remote_path=short)
    assert refused.value.code == "mask_mismatch"


def test_what_makes_no_sense_is_refused(tmp_path, truth):
    image, masks = files(tmp_path, truth, unit=False)
    with pytest.raises(UsageError, match="scheme"):
        measure_masks(image, masks, "scar")
    with pytest.raises(UsageError, match="LGE only"):
        measure_masks(image, masks, "cine", scar_method="fwhm")
    with pytest.raises(UsageError, match="none was named"):
        measure_masks(image, masks, "lge_rv", remote_path=masks)
    with pytest.raises(UsageError, match="fhwm"):
        measure_masks(image, masks, "lge_rv", scar_method="fhwm")
    with pytest.raises(InputRefused) as refused:
        measure_masks(image, masks, "lge")  # 5 is no number of EMIDEC's
    assert refused.value.code == "labels"


def test_myops_numbers_know_no_no_reflow_and_a_threshold_looks_for_it(tmp_path, truth):
    labels = convert(truth.labels, LGE_RV, LGE_RV, {"no_reflow": "scar"})
    numbers = np.zeros(labels.shape, np.int16)
    for name, number in MYOPS.numbers.items():
        if name in LGE_RV.numbers:
            numbers[labels == LGE_RV[name]] = number
    given = files(tmp_path, truth, numbers, unit=False)
    plain = measure_masks(*given, "myops").parts[0]
    assert list(plain.segmentation.not_assessed) == ["no_reflow"]
    assert plain.measurements["no_reflow_mass_g"] is None
    assert plain.measurements["scar_mass_g"] > 0
    found = measure_masks(*given, "myops", scar_method="ewa").parts[0]
    assert not found.segmentation.not_assessed
    assert found.measurements["no_reflow_mass_g"] is not None


def test_masks_without_muscle_are_rejected(tmp_path, truth):
    empty = np.zeros_like(truth.labels)
    analysis = measure_masks(*files(tmp_path, truth, empty, unit=False), "lge", scar_method="gmm")
    assert analysis.verdict.status == "reject"
    assert all(m.value is None for m in analysis.parts[0].measurements.values)


@pytest.mark.data
def test_no_reflow_of_a_real_infarct_is_counted(data_dir):
    case = data_dir / "emidec" / "samplePositive"
    masks = next((case / "Contours").glob("*.nii.gz"))
    measured = measure_masks(next((case / "Images").glob("*.nii.gz")), masks, "lge").parts[0].measurements
    file = nib.load(masks)
    voxel_g = 1.05 * float(np.prod(file.header.get_zooms()[:3])) / 1000
    labels = np.asarray(file.dataobj)
    assert measured["scar_mass_g"] == pytest.approx(voxel_g * np.isin(labels, (3, 4)).sum())
    assert measured["no_reflow_mass_g"] == pytest.approx(voxel_g * (labels == 4).sum())


def test_geometry_of_the_rings_has_known_directions(truth):
    assert geometry_of(truth.labels, RING.spacing_mm).orientation_known
