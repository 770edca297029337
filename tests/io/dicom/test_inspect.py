"""What `inspect` shows of a DICOM study, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dicom.small_studies import PHASES, SLICES, cine, save
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.io.dicom import inspect_dicom
from cmrseg.phantom import Phantom, make_lge, write_dicom


def test_every_file_of_the_stack_has_its_place(tmp_path: Path) -> None:
    save(tmp_path, cine().values())
    save(tmp_path, cine([0], series="4ch", number=2, description="4ch").values())
    inspection = inspect_dicom(tmp_path)
    (grid,) = inspection.grids
    assert (grid.kind, grid.phase_key, grid.complete) == ("cine", "TriggerTime", True)
    # Files are written slice by slice and phase by phase, so their numbers count through the grid.
    files = [[place.file for place in row.images] for row in grid.slices]
    assert files == [[z * PHASES + t + 1 for t in range(PHASES)] for z in range(SLICES)]
    assert [row.place_mm - grid.slices[0].place_mm for row in grid.slices] == pytest.approx([0, 10, 20, 30, 40])
    assert grid.slices[1].images[2].key_value == pytest.approx(202.0)
    assert (inspection.refusal, inspection.unreadable) == (None, ())


def test_a_refused_study_shows_its_holes(tmp_path: Path) -> None:
    images = cine()
    del images[2, 3]
    inspection = inspect_dicom(save(tmp_path, images.values()))
    assert inspection.refusal is not None
    assert inspection.refusal[0] == "uneven_phases"
    (grid,) = inspection.grids
    assert [len(row.images) for row in grid.slices] == [9, 9, 8, 9, 9]
    assert not grid.complete


def test_command(tmp_path: Path) -> None:
    save(tmp_path / "study", cine().values())
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "study")])
    assert shown.exit_code == 0
    assert "TriggerTime" in shown.output
    assert "37-45" in shown.output
    told = CliRunner().invoke(app, ["inspect", "--json", str(tmp_path / "study")])
    assert told.exit_code == 0
    content = json.loads(told.output)
    assert content["stacks"][0]["taken_as"] == "cine"
    assert len(content["grids"][0]["slices"]) == SLICES


def test_command_on_a_study_that_cannot_be_analysed(tmp_path: Path) -> None:
    save(tmp_path / "study", cine([0]).values())
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "study")])
    assert shown.exit_code == 1
    assert "no_cine" in shown.output
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "nowhere")]).exit_code == 1


def test_the_command_shows_the_reason_of_the_lge_and_what_was_passed_over(
    tmp_path: Path, tiny_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dicom(tiny_phantom, tmp_path / "study", "siemens", extras=True, lge=make_lge(tiny_phantom))
    monkeypatch.setenv("COLUMNS", "300")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "study")])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert "called LGE, inversion time 300 ms, magnitude" in text
    for why in ("called TI scout", "called early enhancement", "called perfusion", "called map", "called localizer"):
        assert why in text
    assert "series 20 was taken (magnitude goes before phase-sensitive)" in text
    assert "ordered by nothing" not in text
