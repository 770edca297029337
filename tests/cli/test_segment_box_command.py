"""`cmrseg segment-box` with the bundle that ships: mask, record, accuracy on a heart of known shape, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import cmrseg
from cmrseg.cli.main import app
from cmrseg.errors import OutputError, UsageError
from cmrseg.phantom import HeartSpec, Phantom, make_phantom, write_dicom, write_nifti
from cmrseg.phantom.enhancement import make_lge_phantom
from cmrseg.pipeline.prompted import chosen_image, parse_box, parse_click, write_mask
from cmrseg.segment.interactive import Click
from cmrseg.segment.prompt_bundle import load_prompt_bundle
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Study

SPEC = HeartSpec(phases=2, shape_xy=(160, 150), pixel_spacing_xy_mm=(1.4, 1.6))


@pytest.fixture(scope="module")
def heart() -> Phantom:
    """A heart on pixels that are not square, of two phases."""
    return make_phantom(SPEC)


@pytest.fixture(scope="module")
def nifti(heart: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as a NIfTI file."""
    path = tmp_path_factory.mktemp("nifti") / "heart.nii.gz"
    write_nifti(heart, path)
    return path


def cavity(heart: Phantom, frame: int = 0) -> NDArray[np.bool_]:
    return heart.segmentation.scheme.mask(heart.segmentation.labels[frame], "lv_cavity")


def box_round(mask_YX: NDArray[np.bool_], z: int) -> SliceBox:
    rows, columns = np.flatnonzero(mask_YX.any(1)), np.flatnonzero(mask_YX.any(0))
    return SliceBox(z, columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


def invoke(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["segment-box", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_boxes_on_the_cavity_outline_it(heart: Phantom) -> None:
    true = cavity(heart)
    slices = [z for z in range(heart.image.n_slices) if true[z].sum() > 40]
    found = cmrseg.segment_box(heart.image, [box_round(true[z], z) for z in slices])
    assert dice(found.labels[0][slices] > 0, true[slices]) > 0.85


def test_a_click_in_the_cavity_finds_most_of_it(heart: Phantom) -> None:
    true = cavity(heart)
    z = int(true.sum((1, 2)).argmax())
    row, column = np.argwhere(true[z]).mean(axis=0)
    found = cmrseg.segment_box(heart.image, clicks=[Click(z, column, row)])
    assert dice(found.labels[0, z] > 0, true[z]) > 0.75


def test_mask_lies_on_the_grid_of_the_file_with_its_record(heart: Phantom, nifti: Path, tmp_path: Path) -> None:
    true = cavity(heart, frame=1)
    z = int(true.sum((1, 2)).argmax())
    b = box_round(true[z], z)
    code, output = invoke(
        nifti,
        "--box",
        f"{z},{b.x0},{b.y0},{b.x1},{b.y1}",
        "--frame",
        1,
        "-o",
        tmp_path / "new" / "mask.nii.gz",
        "--json",
    )
    assert code in (0, 3), output
    record = json.loads(output)
    assert record == json.loads((tmp_path / "new" / "mask.run.json").read_text())
    image, mask = nib.load(nifti), nib.load(tmp_path / "new" / "mask.nii.gz")
    assert mask.shape == image.shape
    np.testing.assert_array_equal(mask.affine, image.affine)
    labels = np.asarray(mask.dataobj)
    assert set(np.unique(labels)) == {0, 1}
    assert not labels[..., 0].any()
    drawn = labels[..., 1].transpose(2, 1, 0) > 0
    assert dice(drawn[z], true[z]) > 0.85
    assert record["volume_ml"] == pytest.approx(drawn.sum() * heart.image.geometry.voxel_volume_ml)
    assert record["semi_automatic"] is True
    assert "semi-automatic: boxes given by a person" in record["method"]
    assert record["prompts"] == {"boxes": [[z, b.x0, b.y0, b.x1, b.y1]], "clicks": [], "frame": 1}
    assert record["bundle"]["sha256"] == load_prompt_bundle().sha256
    assert record["findings"][0]["code"] == "semi_automatic"
    assert set(record["inputs_sha256"]) == {nifti.name}
    assert str(tmp_path) not in json.dumps(record)


def test_dicom_is_read_and_embeddings_are_kept(heart: Phantom, tmp_path: Path) -> None:
    write_dicom(heart, tmp_path / "study")
    true = cavity(heart)
    z = int(true.sum((1, 2)).argmax())
    row, column = np.argwhere(true[z]).mean(axis=0)
    arguments = (tmp_path / "study", "--click", f"{z},{column:.1f},{row:.1f}", "--cache", tmp_path / "kept", "--quiet")
    code, output = invoke(*arguments, "-o", tmp_path / "one.nii.gz")
    assert code in (0, 3), output
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "kept").iterdir()}
    assert len(kept) == 1
    invoke(*arguments, "--click", f"{z},{column + 2:.1f},{row:.1f},+", "-o", tmp_path / "two.nii.gz")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "kept").iterdir()} == kept
    assert (np.asarray(nib.load(tmp_path / "one.nii.gz").dataobj) > 0).any()


def test_session_refines(heart: Phantom) -> None:
    true = cavity(heart)
    z = int(true.sum((1, 2)).argmax())
    session = cmrseg.prompt_session(heart.image)
    first = session.add(boxes=[box_round(true[z], z)])
    again = session.segment([box_round(true[z], z)])
    np.testing.assert_array_equal(first.labels, again.labels)
    assert session.cache.computed == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "no_prompt"),
        (("--box", "99,10,10,20,20"), "no_such_slice"),
        (("--box", "1,10,10,300,20"), "box_outside"),
        (("--click", "1,10,999"), "click_outside"),
        (("--click", "1,10,10,-"), "only_outside"),
        (("--box", "1,10,10,20,20", "--frame", "7"), "no_such_frame"),
    ],
)
def test_what_cannot_be_meant_is_named_and_nothing_written(
    nifti: Path, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    exit_code, output = invoke(nifti, *arguments, "-o", tmp_path / "mask.nii.gz")
    assert exit_code == 2
    assert f"[{code}]" in output
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("--box", "1,20,10,10,20"), 2, "encloses nothing"),
        (("--box", "1,20,10,30"), 2, "is no box"),
        (("--box", "1.5,20,10,30,40"), 2, "is no box"),
        (("--box", "a,b,c,d,e"), 2, "is no box"),
        (("--click", "1,2"), 2, "is no click"),
        (("--click", "nan,2,3"), 2, "is no click"),
        (("--box", "1,10,10,20,20", "--kind", "mri"), 2, "no kind"),
        (("--box", "1,10,10,20,20", "--bundle", "cine"), 1, "takes prompts"),
    ],
)
def test_wrong_usage_is_named(
    nifti: Path, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, words: str
) -> None:
    code, output = invoke(nifti, *arguments, "-o", tmp_path / "mask.nii.gz")
    assert code == exit_code
    assert words in output


def test_output_is_a_nifti_file(nifti: Path, tmp_path: Path) -> None:
    code, output = invoke(nifti, "--box", "1,10,10,20,20", "-o", tmp_path / "mask.png")
    assert code == 1
    assert "no name of a NIfTI file" in output


def test_prompts_are_read_from_text() -> None:
    assert parse_box(" 3, 10.5,20,30.5,40") == SliceBox(3, 10.5, 20, 30.5, 40, structure="structure")
    assert parse_click("3,10,20") == parse_click("3,10,20,+") == Click(3, 10, 20)
    assert parse_click("3,10,20,-") == Click(3, 10, 20, inside=False)


def test_study_of_two_stacks_needs_a_kind(heart: Phantom) -> None:
    lge = make_lge_phantom(SPEC).image
    study = Study("s", Path("s"), (heart.image, lge))
    assert chosen_image(study, "lge") is lge
    with pytest.raises(UsageError, match="cine and lge"):
        chosen_image(study)
    assert chosen_image(Study("s", Path("s"), (lge,))) is lge


def test_shipped_bundle_is_listed_small_and_licensed() -> None:
    listed = CliRunner().invoke(app, ["models", "list"])
    assert "prompt\tprompts\t1.0.0\tLicenseRef-research-only" in listed.output
    folder = load_prompt_bundle().path
    assert sum(p.stat().st_size for p in folder.iterdir()) < 15e6
    assert "research only" in (folder / "LICENSE").read_text()
    card = CliRunner().invoke(app, ["models", "show", "prompt"])
    assert "semi-automatic" in card.output


def test_a_full_disk_leaves_neither_mask_nor_record(
    heart: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OutputError("The masks could not be written (OSError).")

    monkeypatch.setattr("cmrseg.pipeline.prompted.record_of", lambda *_: {})
    monkeypatch.setattr("cmrseg.pipeline.prompted.write_labels", half)
    study = Study("s", tmp_path, (heart.image,))
    with pytest.raises(OutputError):
        write_mask(heart.segmentation, heart.image, tmp_path / "m.nii.gz", None, {}, study, {})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
