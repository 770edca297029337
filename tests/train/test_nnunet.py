"""nnU-Net beside us: a data set it understands goes out, its masks come back to where they belong, and it trains."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.cine import CineScore
from cmrseg.io.datasets.layout import Case
from cmrseg.labels import CINE
from cmrseg.phantom import Phantom, make_phantom, tiny, write_acdc_patient
from cmrseg.train import nnunet
from cmrseg.train.config import DataConfig
from cmrseg.train.data import Split, find_cases
from cmrseg.train.nnunet import (
    NnUnetConfig,
    read_predictions,
    score_predictions,
    train_and_predict,
    write_dataset,
)

SPLIT = Split(("patient001", "patient003"), ("patient002",))
#: Phantoms label end-diastole and end-systole, which are these frames.
ED, ES = make_phantom(tiny()).truth.ed_frame, make_phantom(tiny()).truth.es_frame


@pytest.fixture(scope="module")
def hearts() -> list[Phantom]:
    return [make_phantom(replace(tiny(), seed=k)) for k in range(3)]


@pytest.fixture(scope="module")
def patients(hearts: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms in ACDC's layout, with true affines, which are oblique."""
    root = tmp_path_factory.mktemp("acdc")
    for k, phantom in enumerate(hearts):
        write_acdc_patient(phantom, root / f"patient{k + 1:03d}", affine_style="scanner")
    return root


@pytest.fixture(scope="module")
def dataset(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(cases_of(patients), SPLIT, tmp_path_factory.mktemp("raw"))


def cases_of(patients: Path) -> list[Case]:
    return find_cases(patients, DataConfig())


def loaded(path: Path) -> Any:
    """A NIfTI image as nibabel reads it, which is how nnU-Net will."""
    nibabel: Any = nib
    return nibabel.load(path)


def copied(dataset: Path, folder: Path, *names: str) -> Path:
    """True masks in the place of predictions."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.nii.gz").write_bytes((dataset / "labelsTr" / f"{name}.nii.gz").read_bytes())
    return folder


def perfect(scores: list[CineScore]) -> bool:
    return all(v == 1 for s in scores for v in s.dice.values())


def test_every_labelled_frame_is_one_image_with_its_masks_on_the_grid_of_the_cine(
    dataset: Path, hearts: list[Phantom]
) -> None:
    names = {f"patient{k + 1:03d}_frame{frame + 1:02d}": (k, frame) for k in range(3) for frame in (ED, ES)}
    assert {p.name for p in (dataset / "imagesTr").iterdir()} == {f"{n}_0000.nii.gz" for n in names}
    assert {p.name for p in (dataset / "labelsTr").iterdir()} == {f"{n}.nii.gz" for n in names}
    for name, (k, frame) in names.items():
        image = loaded(dataset / "imagesTr" / f"{name}_0000.nii.gz")
        masks = loaded(dataset / "labelsTr" / f"{name}.nii.gz")
        geometry = hearts[k].image.geometry
        np.testing.assert_array_equal(image.get_fdata().T, hearts[k].image.data[frame].astype(np.int16))
        np.testing.assert_array_equal(np.asarray(masks.dataobj).T, hearts[k].segmentation.labels[frame])
        np.testing.assert_allclose(image.header.get_zooms(), geometry.spacing_xyz_mm, rtol=1e-5)
        # NIfTI's world is RAS, ours LPS
        corner = np.array([5, 7, 3])
        ras = image.affine @ [*corner, 1]
        np.testing.assert_allclose(ras[:3] * [-1, -1, 1], geometry.to_lps(corner), atol=1e-3)
        np.testing.assert_allclose(masks.affine, image.affine, atol=1e-6)


def test_the_description_has_every_label_and_counts_the_images(dataset: Path) -> None:
    described = json.loads((dataset / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3}
    assert described["numTraining"] == 6
    assert described["channel_names"] == {"0": "cineMRI"}
    assert described["file_ending"] == ".nii.gz"


def test_all_frames_of_a_patient_stand_on_one_side_of_the_only_fold(dataset: Path) -> None:
    (fold,) = json.loads((dataset / "splits_final.json").read_text())
    sides = {side: {name.split("_")[0] for name in names} for side, names in fold.items()}
    assert sides == {"train": {"patient001", "patient003"}, "val": {"patient002"}}
    assert sum(len(names) for names in fold.values()) == 6
    images = {p.name.removesuffix("_0000.nii.gz") for p in (dataset / "imagesTr").iterdir()}
    assert {name for names in fold.values() for name in names} == images


def test_true_masks_brought_back_score_perfectly(dataset: Path, patients: Path, tmp_path: Path) -> None:
    names = [f"patient{k + 1:03d}_frame{frame + 1:02d}" for k in range(3) for frame in (ED, ES)]
    found = read_predictions(cases_of(patients), copied(dataset, tmp_path / "masks", *names))
    assert sorted(found) == ["patient001", "patient002", "patient003"]
    assert found["patient001"].dtype == np.uint8
    scores = score_predictions(cases_of(patients), found)
    assert len(scores) == 3
    assert perfect(scores)


def test_masks_of_the_other_phase_do_not(dataset: Path, patients: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for to, of in ((ED, ES), (ES, ED)):
        content = (dataset / "labelsTr" / f"patient001_frame{of + 1:02d}.nii.gz").read_bytes()
        (folder / f"patient001_frame{to + 1:02d}.nii.gz").write_bytes(content)
    found = read_predictions(cases_of(patients)[:1], folder)
    assert not perfect(score_predictions(cases_of(patients)[:1], found))


def test_a_patient_without_masks_counts_as_missed(dataset: Path, patients: Path, tmp_path: Path) -> None:
    names = [f"patient001_frame{frame + 1:02d}" for frame in (ED, ES)]
    found = read_predictions(cases_of(patients), copied(dataset, tmp_path / "masks", *names))
    assert list(found) == ["patient001"]
    scores = score_predictions(cases_of(patients), found)
    assert [s.refused for s in scores] == ["", "not_found", "not_found"]
    assert set(scores[1].dice.values()) == {0.0}


def test_a_frame_without_masks_is_refused(dataset: Path, patients: Path, tmp_path: Path) -> None:
    folder = copied(dataset, tmp_path / "masks", f"patient001_frame{ED + 1:02d}")
    with pytest.raises(InputRefused) as refused:
        read_predictions(cases_of(patients), folder)
    assert refused.value.code == "mask_mismatch"


def test_masks_on_another_grid_are_refused(dataset: Path, patients: Path, tmp_path: Path) -> None:
    folder = copied(dataset, tmp_path / "masks", *(f"patient001_frame{frame + 1:02d}" for frame in (ED, ES)))
    path = folder / f"patient001_frame{ES + 1:02d}.nii.gz"
    masks = loaded(path)
    moved = masks.affine.copy()
    moved[:3, 3] += 20
    nifti1: Any = nib.Nifti1Image
    nib.save(nifti1(np.asarray(masks.dataobj), moved), path)
    with pytest.raises(InputRefused) as refused:
        read_predictions(cases_of(patients), folder)
    assert refused.value.code == "mask_mismatch"


def test_unknown_patients_and_empty_sides_are_refused_before_anything_is_written(
    patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match="patient009"):
        train_and_predict(patients, Split(("patient001",), ("patient009",)), tmp_path / "run")
    with pytest.raises(UsageError, match="nobody"):
        train_and_predict(patients, Split(("patient001",), ()), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_nnunet_the_extra_is_named(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as refused:
        train_and_predict(patients, SPLIT, tmp_path / "run")
    assert "cmrseg[nnunet]" in refused.value.remedy


def test_a_folder_of_another_split_is_refused(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(nnunet, "_run_process", stop)
    with pytest.raises(KeyboardInterrupt):
        train_and_predict(patients, SPLIT, tmp_path / "run")
    with pytest.raises(UsageError, match="another split"):
        train_and_predict(patients, Split(("patient001",), ("patient002",)), tmp_path / "run")
    with pytest.raises(UsageError, match="configuration"):
        train_and_predict(patients, SPLIT, tmp_path / "run", NnUnetConfig(epochs=2))


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_its_lines_reach_the_user_and_its_last_words_when_it_fails(
    patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "cmrseg: planning"\necho "$nnUNet_raw $nnUNet_wandb_enabled"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "executable", str(program))
    lines: list[str] = []
    with pytest.raises(UsageError) as refused:
        train_and_predict(patients, SPLIT, tmp_path / "run", report=lines.append)
    assert lines == ["nnU-Net: writing the data set", "nnU-Net: planning"]
    said = f"{tmp_path / 'run' / 'raw'} 0"
    assert "status 3" in refused.value.cause
    assert said in refused.value.cause
    assert (tmp_path / "run" / "nnunet.log").read_text() == f"cmrseg: planning\n{said}\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nnunet_trains_segments_the_held_out_patient_and_is_not_run_twice(
    patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nnunetv2")
    pytest.importorskip("skimage")
    config = NnUnetConfig(epochs=1, iterations_per_epoch=2, memory_gb=0.2, threads=1, device="cpu")
    lines: list[str] = []
    result = train_and_predict(patients, SPLIT, tmp_path / "run", config, report=lines.append)
    assert list(result.labels) == ["patient002"]
    assert result.labels["patient002"].shape == (2, 8, 64, 64)
    assert set(np.unique(result.labels["patient002"])) <= set(CINE.numbers.values())
    assert (result.epochs, result.iterations) == (1, 2)
    assert result.weights_m > 1
    assert result.minutes > 0
    assert lines[-1] == "nnU-Net: segmenting the held-out patients"
    held_out = [case for case in cases_of(patients) if case.case_id == "patient002"]
    (score,) = score_predictions(held_out, result.labels)
    assert score.refused == ""

    monkeypatch.setattr(nnunet, "_run_process", stop)
    again = train_and_predict(patients, SPLIT, tmp_path / "run", config)
    np.testing.assert_array_equal(again.labels["patient002"], result.labels["patient002"])
