"""Cine and LGE of one study, from DICOM to numbers, with the networks that ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.cli.phantom import LGE_MASKS_NAME, STUDY_NAME, TRUTH_NAME, write_study
from cmrseg.errors import BundleError
from cmrseg.evaluate.metrics import dice
from cmrseg.io.datasets import emidec
from cmrseg.labels import LGE, LGE_RV
from cmrseg.pipeline.analyse import AnalyseOptions, Analyser
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment import bundle as bundles

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heart with an infarct as a DICOM study, its true masks and numbers."""
    out = tmp_path_factory.mktemp("phantom") / "heart"
    write_study(out, "siemens", seed=4, lge=True)
    return out


@pytest.fixture(scope="module")
def result(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command wrote of it."""
    out = tmp_path_factory.mktemp("out")
    ran = RUNNER.invoke(app, ["analyse", str(made / STUDY_NAME), "-o", str(out), "--quiet"])
    assert ran.exit_code in (0, 3), ran.output
    return out / STUDY_NAME


def masks_of(path: Path) -> tuple[np.ndarray, float]:
    """Labels of a file along its world axes, whatever order it stores them in, and the volume of a voxel in mL."""
    file = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    return np.asarray(file.dataobj), float(np.prod(file.header.get_zooms()[:3])) / 1000


def numbers_of(folder: Path) -> dict[str, Any]:
    """Content of measurements.json."""
    found: dict[str, Any] = json.loads((folder / "measurements.json").read_text())
    return found


def test_both_stacks_are_written_and_named_in_run_json(result: Path) -> None:
    masks = {p.name for p in result.glob("*.nii.gz")}
    assert masks == {"cine_segmentation.nii.gz", "lge_segmentation.nii.gz"}
    run = json.loads((result / "run.json").read_text())
    assert {kind: run["bundles"][kind]["name"] for kind in run["bundles"]} == {"cine": "cine", "lge": "lge"}
    assert set(run["images"]) == {"cine", "lge"}


def test_scar_is_counted_in_the_file_that_is_written(result: Path) -> None:
    labels, voxel_ml = masks_of(result / "lge_segmentation.nii.gz")
    assert labels.ndim == 3
    assert set(np.unique(labels)) <= set(LGE.numbers.values())
    scar_ml = np.isin(labels, (LGE["scar"], LGE["no_reflow"])).sum() * voxel_ml
    numbers = numbers_of(result)
    assert numbers["scar_volume_ml"] == pytest.approx(scar_ml, abs=0.01)
    assert numbers["scar_mass_g"] == pytest.approx(scar_ml * MYOCARDIUM_DENSITY_G_ML, abs=0.01)


def test_heart_and_scar_are_those_that_were_made(made: Path, result: Path) -> None:
    (found, _), (true, _) = masks_of(result / "lge_segmentation.nii.gz"), masks_of(made / LGE_MASKS_NAME)
    assert dice(np.isin(found, (2, 3, 4)), LGE_RV.whole_myocardium(true)) >= 0.8
    truth, numbers = json.loads((made / TRUTH_NAME).read_text()), numbers_of(result)
    assert numbers["scar_mass_g"] == pytest.approx(truth["scar_mass_g"], rel=0.35)
    assert numbers["lv_ef_percent"] == pytest.approx(truth["lv_ef_percent"], abs=4)


def test_the_lge_stack_alone_can_be_asked_for(made: Path, tmp_path: Path) -> None:
    ran = RUNNER.invoke(app, ["analyse", str(made / STUDY_NAME), "-o", str(tmp_path), "--kind", "lge", "--quiet"])
    assert ran.exit_code in (0, 3), ran.output
    assert {p.name for p in (tmp_path / STUDY_NAME).glob("*.nii.gz")} == {"lge_segmentation.nii.gz"}
    assert "lv_ef_percent" not in numbers_of(tmp_path / STUDY_NAME)


def test_int8_is_for_the_bundles_that_hold_it_and_run_json_says_which(made: Path) -> None:
    used = Analyser(AnalyseOptions(int8=True))(made / STUDY_NAME).run["bundles"]
    assert {kind: entry["int8"] for kind, entry in used.items()} == {"cine": True, "lge": False}
    with pytest.raises(BundleError, match="No quantised network in lge"):
        Analyser(AnalyseOptions(kind="lge", int8=True))


@pytest.mark.data
def test_a_patient_of_another_hospital_whose_affine_has_unit_scale(data_dir: Path) -> None:
    (case,) = emidec.cases(data_dir / "emidec")
    (part,) = Analyser(AnalyseOptions(kind="lge"))(case.path).parts
    truth = emidec.truth(case.path)
    found = part.segmentation
    muscle, true_muscle = (s.scheme.whole_myocardium(s.labels[0]) for s in (found, truth))
    scar, true_scar = (s.scheme.mask(s.labels[0], "scar", "no_reflow") for s in (found, truth))
    assert dice(muscle, true_muscle) >= 0.8
    assert dice(scar, true_scar) >= 0.55
    # 1.41 x 1.41 x 13 mm, from pixdim: with the affine's 1 mm it would be 5 mL
    assert muscle.sum() * part.image.geometry.voxel_volume_ml == pytest.approx(138.7, rel=0.15)


@pytest.mark.parametrize("kind", sorted(bundles.DEFAULT_BUNDLES))
def test_every_bundle_that_is_used_by_default_is_of_its_kind(kind: str) -> None:
    assert bundles.load(bundles.DEFAULT_BUNDLES[kind]).kind == kind  # type: ignore[index]
