"""`cmrseg inspect` shows whatever `cmrseg.io.read` reads, not DICOM alone."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.phantom import Phantom, write_acdc_patient, write_nifti

RUNNER = CliRunner()


def test_a_patient_folder_and_a_file_are_shown(tmp_path: Path, tiny_phantom: Phantom) -> None:
    write_acdc_patient(tiny_phantom, tmp_path / "patient001")
    write_nifti(tiny_phantom, tmp_path / "cine.nii.gz")
    image = tiny_phantom.image
    for name in ("patient001", "cine.nii.gz"):
        result = RUNNER.invoke(app, ["inspect", str(tmp_path / name), "--json"])
        assert result.exit_code == 0, result.output
        (stack,) = json.loads(result.stdout)["stacks"]
        assert stack["taken_as"] == "cine"
        assert (stack["n_slices"], stack["n_images"]) == (image.n_slices, image.n_frames)


def test_a_refused_file_says_why_and_exits_with_one(tmp_path: Path) -> None:
    (tmp_path / "cine.nii.gz").write_bytes(b"nothing of the kind")
    result = RUNNER.invoke(app, ["inspect", str(tmp_path / "cine.nii.gz")])
    assert result.exit_code == 1
    assert "unreadable" in result.output
