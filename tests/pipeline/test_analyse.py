"""The contract of `cmrseg analyse`: which files, on which grid, which exit code, and nothing half-written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from cmrseg.cli.analyse import show_result
from cmrseg.cli.main import app
from cmrseg.errors import InputRefused, UsageError
from cmrseg.io.files import sha256_of
from cmrseg.phantom import HeartSpec, Phantom, make_phantom, write_acdc_patient, write_dicom, write_masks, write_nifti
from cmrseg.pipeline.analyse import AnalyseOptions, Analyser
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.drawn_masks import measure_masks, reordered
from cmrseg.pipeline.record import Clock
from cmrseg.pipeline.write import write
from cmrseg.study import Analysis, Image, Segmentation, Study

FILES = {"cine_segmentation.nii.gz", "measurements.csv", "measurements.json", "report.html", "run.json"}
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def heart() -> Phantom:
    """A full-size heart at few phases, large enough for the shipped networks to find."""
    return make_phantom(HeartSpec(phases=5, seed=4))


@pytest.fixture(scope="module")
def cine(heart: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That heart as one 4-D NIfTI file."""
    path = tmp_path_factory.mktemp("studies") / "heart.nii.gz"
    write_nifti(heart, path)
    return path


@pytest.fixture(scope="module")
def analysed(cine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its results, by the command."""
    out = tmp_path_factory.mktemp("out")
    result = RUNNER.invoke(app, ["analyse", str(cine), "-o", str(out), "--quiet"])
    assert result.exit_code in (0, 3), result.output
    return out / "heart"


def by_hand(phantom: Phantom, labels: np.ndarray | None = None) -> Analysis:
    """An analysis of a phantom's own masks, or of others on its grid."""
    image = phantom.image
    segmentation = phantom.segmentation if labels is None else replace(phantom.segmentation, labels=labels)
    study = Study("phantom", Path("phantom"), (image,), phantom.patient)
    return assess(study, [(image, segmentation)], Clock(), {"bundles": {}}, {})


def test_the_folder_holds_exactly_the_promised_files(analysed: Path) -> None:
    assert {p.name for p in analysed.iterdir()} == FILES
    assert {p.name for p in analysed.parent.iterdir()} == {"heart"}


def test_segmentation_lies_on_the_input_grid(cine: Path, analysed: Path) -> None:
    source, result = nib.load(cine), nib.load(analysed / "cine_segmentation.nii.gz")
    assert result.shape == source.shape
    assert result.get_data_dtype() == np.uint8
    assert np.array_equal(result.affine, source.affine)
    assert np.array_equal(result.header.get_zooms(), source.header.get_zooms())
    assert set(np.unique(np.asarray(result.dataobj))) == {0, 1, 2, 3}


def test_measurements_are_flat_and_belong_to_the_masks(analysed: Path) -> None:
    numbers = json.loads((analysed / "measurements.json").read_text())
    masks = nib.load(analysed / "cine_segmentation.nii.gz")
    voxel_ml = float(np.prod(masks.header.get_zooms()[:3])) / 1000
    cavity_ml = (np.asarray(masks.dataobj) == 3).sum(axis=(0, 1, 2)) * voxel_ml
    assert numbers["lv_edv_ml"] == pytest.approx(cavity_ml[numbers["ed_frame"]], abs=0.01)
    assert numbers["lv_esv_ml"] == pytest.approx(cavity_ml[numbers["es_frame"]], abs=0.01)
    assert numbers["lv_ef_percent"] == pytest.approx(
        100 * (numbers["lv_edv_ml"] - numbers["lv_esv_ml"]) / numbers["lv_edv_ml"], abs=0.02
    )
    assert numbers["verdict"] in ("pass", "review", "reject")


def test_run_record_names_versions_bundle_inputs_and_times(cine: Path, analysed: Path) -> None:
    run = json.loads((analysed / "run.json").read_text())
    assert run["versions"]["cmrseg"]
    assert len(run["bundles"]["cine"]["sha256"]) == 64
    assert all(len(v) == 64 for v in run["inputs_sha256"].values())
    assert run["inputs_sha256"] == {"heart.nii.gz": sha256_of(cine)}
    assert run["input_files"] == {"heart.nii.gz": "heart.nii.gz"}
    assert run["study_path"] == str(cine)
    assert (run["study_uid_sha256"], run["study_date"]) == ("", "")
    assert len(run["fingerprint"]) == 64
    assert {"read", "segment", "measure", "check", "write"} <= set(run["timings_s"])
    assert run["images"]["cine"]["shape_tzyx"][0] == 5


def test_shipped_bundle_measures_the_phantom(heart: Phantom, analysed: Path) -> None:
    numbers = json.loads((analysed / "measurements.json").read_text())
    truth = heart.truth
    assert numbers["lv_ef_percent"] == pytest.approx(truth.lv_ef_percent, abs=3.0)
    assert numbers["lv_edv_ml"] == pytest.approx(truth.lv_edv_ml, rel=0.10)


def test_two_of_one_name_are_told_apart(cine: Path, tmp_path: Path) -> None:
    twice = [str(cine), str(cine)]
    result = RUNNER.invoke(app, ["analyse", *twice, "-o", str(tmp_path), "--quiet"])
    assert result.exit_code in (0, 3)
    assert {p.name for p in tmp_path.iterdir()} == {"heart", "heart-2", "cohort.csv"}


def test_a_bad_study_among_good_ones_is_reported_and_the_others_go_on(cine: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(cine.read_bytes()[:5000])
    out = tmp_path / "out"
    result = RUNNER.invoke(app, ["analyse", str(bad), str(cine), "-o", str(out), "--quiet"])
    assert result.exit_code == 1
    assert "unreadable" in result.stderr
    assert {p.name for p in out.iterdir()} == {"heart", "cohort.csv"}


def test_noise_is_refused_and_nothing_is_written(heart: Phantom, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(100, 20, heart.image.data.shape).astype(np.float32)
    path = tmp_path / "noise.nii.gz"
    write_nifti(replace(heart, image=replace(heart.image, data=noise)), path)
    result = RUNNER.invoke(app, ["analyse", str(path), "-o", str(tmp_path / "out"), "--quiet"])
    assert result.exit_code == 1
    assert "no_heart" in result.stderr
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_wrong_usage_is_two(cine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in (["--kind", "pet"], ["--runtime", "abacus"]):
        result = RUNNER.invoke(app, ["analyse", str(cine), "-o", str(tmp_path), *extra])
        assert result.exit_code == 2, result.output
    monkeypatch.setattr("cmrseg.segment.bundle.DEFAULT_BUNDLES", {"cine": "cine"})
    with pytest.raises(UsageError, match="No bundle for lge"):
        Analyser(AnalyseOptions(kind="lge"))


def test_names_in_brackets_are_printed_as_they_are(heart: Phantom, capsys: pytest.CaptureFixture[str]) -> None:
    analysis = by_hand(heart)
    analysis = replace(analysis, study=replace(analysis.study, name="visit [bold]"))
    show_result(analysis, Path("out [red]"), Console(highlight=False, width=200))
    printed = capsys.readouterr().out
    assert "visit [bold]" in printed
    assert "out [red]" in printed


def test_a_bundle_that_serves_no_stack_is_an_error_that_says_what_there_is(cine: Path, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["analyse", str(cine), "-o", str(tmp_path / "out"), "--bundle", "lge"])
    assert result.exit_code == 1
    assert "error [no_lge]" in result.stderr
    assert "The bundle lge is for LGE images, and the study holds a cine stack." in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
    clash = ["analyse", str(cine), "-o", str(tmp_path / "out"), "--bundle", "lge", "--kind", "cine"]
    assert RUNNER.invoke(app, clash).exit_code == 2
    assert Analyser(AnalyseOptions(bundle="cine"))(cine).parts


def test_json_on_stdout_is_for_machines(cine: Path, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["analyse", str(cine), "-o", str(tmp_path), "--json", "--int8"])
    (line,) = result.stdout.splitlines()
    printed = json.loads(line)
    assert (printed["study"], printed["status"]) == ("heart", "done")
    assert Path(printed["folder"]) == tmp_path / "heart"
    assert printed["lv_edv_ml"] > 0


def test_dicom_and_acdc_go_the_same_way(heart: Phantom, tmp_path: Path) -> None:
    write_dicom(heart, tmp_path / "dicom", style="siemens")
    write_acdc_patient(heart, tmp_path / "patient001")
    analyser = Analyser()
    dicom, acdc = analyser(tmp_path / "dicom"), analyser(tmp_path / "patient001")
    for analysis in (dicom, acdc):
        assert analysis.parts[0].measurements["lv_edv_ml"] == pytest.approx(heart.truth.lv_edv_ml, rel=0.12)


def test_blank_masks_are_rejected_and_their_numbers_withheld(heart: Phantom, tmp_path: Path) -> None:
    analysis = by_hand(heart, np.zeros_like(heart.segmentation.labels))
    assert analysis.verdict.status == "reject"
    assert all(m.value is None for m in analysis.parts[0].measurements.values)
    folder = write(analysis, tmp_path)
    assert json.loads((folder / "measurements.json").read_text())["verdict"] == "reject"
    assert "Withheld" in (folder / "measurements.csv").read_text()


def test_own_masks_of_the_phantom_give_its_numbers(heart: Phantom) -> None:
    measured = by_hand(heart).parts[0].measurements
    assert measured["lv_ef_percent"] == pytest.approx(heart.truth.lv_ef_percent, abs=0.5)
    assert measured["lv_mass_g"] == pytest.approx(heart.truth.lv_mass_g, rel=0.01)


def test_masks_of_some_frames_are_measured_at_those_frames(heart: Phantom) -> None:
    truth = heart.truth
    labels = np.zeros_like(heart.segmentation.labels)
    for frame in (truth.ed_frame, truth.es_frame):
        labels[frame] = heart.segmentation.labels[frame]
    part = by_hand(heart, labels).parts[0]
    assert (part.measurements.ed_frame, part.measurements.es_frame) == (truth.ed_frame, truth.es_frame)
    assert part.measurements["lv_ef_percent"] == pytest.approx(truth.lv_ef_percent, abs=0.5)
    curve = part.measurements.curves_ml["lv_cavity"]
    assert len(curve) == heart.image.n_frames
    assert np.isnan(curve).sum() == heart.image.n_frames - 2


def test_measure_command_reads_masks_on_the_grid_only(heart: Phantom, cine: Path, tmp_path: Path) -> None:
    write_masks(heart, tmp_path / "masks.nii.gz")
    result = RUNNER.invoke(
        app, ["measure", str(cine), str(tmp_path / "masks.nii.gz"), "-o", str(tmp_path / "out"), "--json"]
    )
    assert result.exit_code in (0, 3), result.output
    assert json.loads(result.stdout)["lv_edv_ml"] == pytest.approx(heart.truth.lv_edv_ml, rel=0.01)
    assert {p.name for p in (tmp_path / "out" / "heart").iterdir()} == FILES
    other = make_phantom(replace(heart.spec, slices=12))
    write_masks(other, tmp_path / "other.nii.gz")
    with pytest.raises(InputRefused) as refused:
        measure_masks(cine, tmp_path / "other.nii.gz")
    assert refused.value.code == "mask_mismatch"


@pytest.mark.parametrize("flips", [(), (1,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("order", [(1, 2, 3), (1, 3, 2)])
def test_masks_stored_in_another_order_are_put_in_that_of_the_image(
    heart: Phantom, flips: tuple[int, ...], order: tuple[int, int, int]
) -> None:
    labels, grid = heart.segmentation.labels, heart.segmentation.geometry
    stored = np.flip(labels, flips).transpose(0, *order)
    affine = np.array(grid.affine)
    for axis in flips:  # array axes 1, 2, 3 are z, y, x
        column = 3 - axis
        affine[:3, 3] += affine[:3, column] * (grid.shape_xyz[column] - 1)
        affine[:3, column] *= -1
    affine = affine[:, [*(3 - axis for axis in order[::-1]), 3]]
    moved, moved_grid = reordered(stored, replace(grid, affine=affine, shape_xyz=stored.shape[:0:-1]), grid)
    assert np.array_equal(moved, labels)
    assert moved_grid.agrees_with(grid, tolerance_mm=1e-6)


def test_measure_takes_the_masks_of_a_dicom_study_in_any_order(heart: Phantom, tmp_path: Path) -> None:
    write_dicom(heart, tmp_path / "study", style="siemens")
    write_masks(heart, tmp_path / "masks.nii.gz")
    measured = measure_masks(tmp_path / "study", tmp_path / "masks.nii.gz").parts[0].measurements
    assert measured["lv_edv_ml"] == pytest.approx(heart.truth.lv_edv_ml, rel=0.005)


def test_a_write_that_fails_leaves_nothing(heart: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cmrseg.pipeline.write.write_report", full)
    from cmrseg.errors import OutputError

    with pytest.raises(OutputError, match="No space"):
        write(by_hand(heart), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_types_of_the_line_refuse_wrong_arrays(heart: Phantom) -> None:
    with pytest.raises(ValueError, match="float32"):
        Image("cine", heart.image.data.astype(np.float64), heart.image.geometry)
    with pytest.raises(ValueError, match="grid"):
        Segmentation(heart.segmentation.labels[:, 1:], heart.segmentation.scheme, heart.segmentation.geometry)
