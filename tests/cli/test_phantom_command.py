"""`cmrseg phantom`: what it leaves, and that it leaves nothing when refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from cmrseg.cli.main import app


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["phantom", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.mark.parametrize("style", ["siemens", "enhanced", "nifti", "acdc"])
def test_study_masks_and_numbers(style: str, tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    code, output = run(out, "--style", style, "--small")
    assert code == 0, output
    assert sorted(p.name for p in out.iterdir()) == ["masks.nii.gz", "study", "truth.json"]
    truth = json.loads((out / "truth.json").read_text())
    masks = nib.load(out / "masks.nii.gz")
    counted = (np.asarray(masks.dataobj)[..., truth["es_frame"]] == 1).sum()
    assert counted * np.prod(masks.header.get_zooms()[:3]) / 1000 == pytest.approx(truth["rv_esv_ml"], rel=0.005)
    assert truth["curves_ml"]["rv_cavity"][truth["es_frame"]] == pytest.approx(truth["rv_esv_ml"], abs=1e-5)
    assert any(p.is_file() for p in (out / "study").rglob("*"))


def test_json_is_the_truth_file(tmp_path: Path) -> None:
    code, output = run(tmp_path / "a", "--small", "--json")
    assert code == 0
    assert json.loads(output) == json.loads((tmp_path / "a" / "truth.json").read_text())


def test_seed_breath_hold_and_extras(tmp_path: Path) -> None:
    run(tmp_path / "a", "--small", "--seed", 3, "--breath-hold-mm", 4, "--extras")
    run(tmp_path / "b", "--small", "--seed", 3)
    assert len(list((tmp_path / "a" / "study").iterdir())) == 63
    assert len(list((tmp_path / "b" / "study").iterdir())) == 48
    moved, still = (np.asarray(nib.load(tmp_path / n / "masks.nii.gz").dataobj) for n in "ab")
    assert (moved != still).any()
    assert (moved == 3).sum() == (still == 3).sum()


@pytest.mark.parametrize("style", ["siemens", "philips-classic", "nifti"])
def test_lge_of_the_same_heart_is_measured_as_it_was_made(style: str, tmp_path: Path) -> None:
    out = tmp_path / "a"
    code, output = run(out, "--style", style, "--small", "--lge")
    assert code == 0, output
    truth = json.loads((out / "truth.json").read_text())
    assert "lge_masks.nii.gz" in output
    assert f"scar {truth['scar_mass_g']:.1f} g" in output
    arguments = ["measure", str(out / "study"), str(out / "lge_masks.nii.gz"), "-o", str(tmp_path / "m")]
    measured = CliRunner().invoke(app, [*arguments, "--scheme", "lge_rv", "--json"])
    assert measured.exit_code in (0, 3), measured.output
    values = json.loads(measured.stdout)
    assert values["lge_lv_mass_g"] == pytest.approx(truth["lge_lv_mass_g"], rel=1e-4)
    # Masks hold whole voxels of 2.4 mm, the truth shares of them.
    assert values["scar_mass_g"] == pytest.approx(truth["scar_mass_g"], rel=0.1)
    assert values["no_reflow_mass_g"] == pytest.approx(truth["no_reflow_mass_g"], rel=0.2)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--style", "toshiba"], 2, "Choose one of"),
        (["--style", "nifti", "--extras"], 2, "DICOM only"),
        (["--style", "acdc", "--lge"], 2, "holds no LGE"),
    ],
)
def test_wrong_usage_leaves_nothing(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    exit_code, output = run(tmp_path / "a", "--small", *arguments)
    assert exit_code == code
    assert message in " ".join(output.split())
    assert not any(tmp_path.iterdir())


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, output = run(tmp_path, "--small")
    assert code == 1
    assert "already exists" in output
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
