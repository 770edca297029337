"""Pre-training on phantoms: held-out patients stay out, a killed run repeats itself, the bundle is whole or refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import BundleError, InputRefused, OutputError, UsageError
from cmrseg.io import read
from cmrseg.models.encoder_bundle import read_encoder_bundle, write_encoder_bundle
from cmrseg.models.mae import MaskedAutoEncoder
from cmrseg.models.sam.checkpoints import load_image_encoder
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient, write_dicom, write_masks, write_nifti
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train import pretrain as pretraining
from cmrseg.train import unlabelled
from cmrseg.train.pretrain import (
    PretrainConfig,
    PretrainOptimConfig,
    Terms,
    _check_loss,
    _divide,
    learning_rate_at,
    run_pretraining,
)
from cmrseg.train.unlabelled import UnlabelledBank, find_studies, left_out_patients, load_unlabelled

CONFIG = replace(
    PretrainConfig.of("tiny", ["optim.epochs=3", "optim.batch_size=16", "optim.precision=fp32"]),
    threads=1,
    check_share=0.34,
)
SPEC = InputSpec(spacing_mm=6.0, size=32, context_slices=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients in three forms: two as ACDC, one as NIfTI beside its masks, one as DICOM."""
    root = tmp_path_factory.mktemp("pretraining") / "scans"
    hearts = [make_phantom(replace(tiny(), seed=k)) for k in range(4)]
    write_acdc_patient(hearts[0], root / "acdc" / "patient001")
    write_acdc_patient(hearts[1], root / "acdc" / "patient002")
    (root / "nifti" / "case3").mkdir(parents=True)
    write_nifti(hearts[2], root / "nifti" / "case3" / "case3_sax.nii.gz")
    write_masks(hearts[2], root / "nifti" / "case3" / "case3_gt.nii.gz")
    write_dicom(hearts[3], root / "dicom" / "case4")
    return root


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that left patient002 out."""
    run = tmp_path_factory.mktemp("finished") / "run"
    run_pretraining(CONFIG, [data], run, split(run.parent, "patient002"), Terms("CC0-1.0", "free\n"), lambda _: None)
    return run


def split(folder: Path, *held_out: str) -> Path:
    path = folder / "split.json"
    path.write_text(json.dumps({"train": ["patient001"], "validation": list(held_out)}))
    return path


def load(roots: list[Path], *left_out: str) -> tuple[UnlabelledBank, pretraining.DataRecord]:
    return load_unlabelled(roots, frozenset(left_out), SPEC, 48, lambda _: None)


def test_every_form_of_study_is_found_and_masks_are_not(data: Path) -> None:
    found = [study.path.relative_to(data).as_posix() for study in find_studies(data)]
    assert sorted(found) == ["acdc/patient001", "acdc/patient002", "dicom", "nifti/case3/case3_sax.nii.gz"]
    assert [s.names[0] for s in find_studies(data / "acdc" / "patient001")] == ["patient001"]


def test_every_frame_and_slice_is_used(data: Path) -> None:
    bank, record = load([data])
    shape = make_phantom(tiny()).image.data.shape
    per_study = [len(stack) for stack in bank.stacks]
    # ACDC's folder holds its two annotated frames or the whole cine; the others the whole cine
    assert per_study[2:] == [shape[0] * shape[1]] * 2
    assert record.slices == len(bank) == sum(per_study)
    chosen = np.array([0, len(bank) - 1])
    windows = bank.batch(chosen)
    assert windows.shape == (2, 1, 48, 48)
    assert windows.dtype == torch.float32
    assert float(windows.min()) >= 0
    assert float(windows.max()) <= 1
    assert np.array_equal(windows[1, 0].numpy(), bank.stacks[-1][-1].astype(np.float32))


def test_patients_left_out_are_not_in_the_bank(data: Path) -> None:
    everything, _ = load([data])
    bank, record = load([data], "patient002", "case3_sax")
    assert record.studies_left_out == ("scans/acdc/patient002", "scans/nifti/case3/case3_sax.nii.gz")
    assert record.studies == ("scans/acdc/patient001", "scans/dicom")
    expected = [everything.stacks[0], everything.stacks[2]]
    assert all(np.array_equal(a, b) for a, b in zip(bank.stacks, expected, strict=True))


def test_folder_name_above_a_file_leaves_it_out(data: Path) -> None:
    assert load([data], "case3")[1].studies_left_out == ("scans/nifti/case3/case3_sax.nii.gz",)


def test_patients_in_one_folder_of_dicom_are_told_apart(data: Path, tmp_path: Path) -> None:
    assert load([data], "case4")[1].studies_left_out == ("scans/dicom/case4",)
    shutil.copytree(data / "dicom" / "case4", tmp_path / "all" / "patients" / "case4")
    write_dicom(make_phantom(replace(tiny(), seed=9)), tmp_path / "all" / "patients" / "case9", style="ge")
    record = load([tmp_path / "all"], "case4")[1]
    assert record.studies_left_out == ("all/patients/case4",)
    assert record.studies == ("all/patients/case9",)


def test_folder_that_cannot_be_read_whole_is_read_in_parts(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        shutil.copytree(data / "dicom" / "case4", tmp_path / "all" / "patients" / name)

    def refuse_both(path: Path) -> object:
        if path.name == "patients":
            raise InputRefused("mixed_patients", "More than one patient.")
        return read(path)

    monkeypatch.setattr(unlabelled, "read", refuse_both)
    record = load([tmp_path / "all"])[1]
    assert record.studies == ("all/patients/a", "all/patients/b")
    assert record.refused == {}


def test_copy_of_a_left_out_patient_under_another_name_is_refused(data: Path, tmp_path: Path) -> None:
    copied = tmp_path / "more" / "someone"
    shutil.copytree(data / "acdc" / "patient002", copied)
    with pytest.raises(UsageError, match="more/someone holds a frame"):
        load([data, tmp_path / "more"], "patient002")
    assert len(load([data, tmp_path / "more"], "patient001")[1].studies) == 4


def test_ids_that_match_nothing_are_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="None of the 1 patients"):
        load([data], "patient2")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train": ["a"]}', '{"validation": [1]}', '{"validation": "abc"}'])
def test_exclude_file_without_patients_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"split\.json"):
        left_out_patients(path)


def test_exclude_file_gives_validation_and_test(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["a"], "validation": ["b"], "test": ["c", "d"]}))
    assert left_out_patients(path) == {"b", "c", "d"}


def test_unreadable_studies_are_counted_and_nothing_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    shutil.copytree(data / "acdc" / "patient001", tmp_path / "sound")
    with pytest.raises(UsageError, match="no folder"):
        load([tmp_path / "absent"])
    shutil.move(tmp_path / "broken.nii.gz", tmp_path / "x.nii.gz")
    (tmp_path / "apart").mkdir()
    shutil.move(tmp_path / "x.nii.gz", tmp_path / "apart" / "x.nii.gz")
    assert load([tmp_path])[1].refused == {"unreadable": 1}
    with pytest.raises(UsageError, match="No image"):
        load([tmp_path / "apart"])


def test_run_learns_and_records_what_it_saw(finished: Path) -> None:
    log = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2, 3]
    assert log[-1]["loss"] < log[0]["loss"]
    assert all(0 < line["check_loss"] < 3 for line in log)
    bundle = read_encoder_bundle(finished / "encoder")
    assert bundle.manifest["data"]["left_out"] == ["patient002"]
    assert "scans/acdc/patient001" in bundle.manifest["data"]["studies"]
    assert bundle.manifest["losses"] == {"first": log[0], "last": log[-1]}
    assert bundle.manifest["licence_id"] == "CC0-1.0"
    assert (bundle.path / "LICENSE").read_text() == "free\n"
    assert "1 patients were left out" in (bundle.path / "CARD.md").read_text()


def test_bundle_holds_the_trained_encoder_in_half_precision(finished: Path) -> None:
    bundle = read_encoder_bundle(finished / "encoder")
    trained = load_file(finished / "checkpoint.safetensors")
    encoder = ImageEncoderViT(bundle.config)
    weights = bundle.weights()
    encoder.load_state_dict(weights)
    assert bundle.config == CONFIG.encoder
    for name, value in weights.items():
        assert value.dtype == torch.float32
        assert value.equal(trained[f"model.encoder.{name}"].half().float()), name


def test_network_takes_the_encoder_from_the_bundle(finished: Path) -> None:
    encoder = ImageEncoderViT(CONFIG.encoder)
    load_image_encoder(encoder, finished / "encoder")
    model = MaskedAutoEncoder(CONFIG.encoder, CONFIG.mae)
    kept = load_file(finished / "checkpoint.safetensors")
    model.load_state_dict({k.removeprefix("model."): v for k, v in kept.items() if k.startswith("model.")})
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(image), model.encoder(image), atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("file", ["weights.safetensors", "CARD.md", "LICENSE", "encoder.json"])
def test_changed_bundle_is_refused(finished: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(finished / "encoder", tmp_path / "e")
    content = bytearray((tmp_path / "e" / file).read_bytes())
    content[-3] ^= 1
    (tmp_path / "e" / file).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=file):
        read_encoder_bundle(tmp_path / "e")


def test_missing_superfluous_or_newer_bundle_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no encoder bundle"):
        read_encoder_bundle(tmp_path)
    shutil.copytree(finished / "encoder", tmp_path / "e")
    (tmp_path / "e" / "extra").write_text("")
    with pytest.raises(BundleError, match="extra"):
        read_encoder_bundle(tmp_path / "e")
    (tmp_path / "e" / "extra").unlink()
    (tmp_path / "e" / "LICENSE").unlink()
    with pytest.raises(BundleError, match="LICENSE"):
        read_encoder_bundle(tmp_path / "e")


def test_encoder_that_half_precision_cannot_hold_is_not_written(tmp_path: Path) -> None:
    model = MaskedAutoEncoder(CONFIG.encoder, CONFIG.mae)
    with torch.no_grad():
        model.encoder.pos_embed[0, 0, 0, 0] = 1e6
    with pytest.raises(BundleError, match="pos_embed"):
        write_encoder_bundle(tmp_path / "e", CONFIG.encoder, model.encoder.state_dict(), {}, {})
    assert not (tmp_path / "e").exists()


class Killed(Exception):
    """Stands for the signal."""


@pytest.mark.parametrize("moment", ["in an epoch", "before the checkpoint"])
def test_killed_run_goes_on_as_if_it_had_not_been(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run, exclude = tmp_path / "run", split(tmp_path, "patient002")
    name = "_one_epoch" if moment == "in an epoch" else "_checkpoint"
    original = getattr(pretraining, name)

    def kill(*arguments: object) -> object:
        if 1 in arguments[3:6] if name == "_one_epoch" else 2 in arguments[3:]:
            raise Killed
        return original(*arguments)

    def go() -> None:
        run_pretraining(CONFIG, [data], run, exclude, Terms(), lambda _: None)

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, name, kill)
        with pytest.raises(Killed):
            go()
    assert not (run / "encoder").exists()
    go()
    whole, resumed = (load_file(r / "checkpoint.safetensors") for r in (finished, run))
    assert whole.keys() == resumed.keys()
    assert [k for k in whole if not whole[k].equal(resumed[k])] == []
    logs = [[json.loads(line) for line in (r / "log.jsonl").read_text().splitlines()] for r in (finished, run)]
    kept = [[{k: v for k, v in line.items() if k != "seconds"} for line in log] for log in logs]
    assert kept[0] == kept[1]


def test_run_folder_of_other_settings_data_or_exclusion_is_refused(finished: Path, data: Path, tmp_path: Path) -> None:
    exclude = split(tmp_path, "patient002")
    with pytest.raises(UsageError, match=r"another config\.json"):
        run_pretraining(replace(CONFIG, seed=5), [data], finished, exclude, Terms(), lambda _: None)
    with pytest.raises(UsageError, match=r"another data\.json"):
        run_pretraining(CONFIG, [data], finished, None, Terms(), lambda _: None)
    lines: list[str] = []
    run_pretraining(CONFIG, [data], finished, exclude, Terms(), lines.append)
    assert "there already" in lines[-1]


def test_encoder_is_never_overwritten(finished: Path) -> None:
    with pytest.raises(OutputError):
        write_encoder_bundle(finished / "encoder", CONFIG.encoder, {}, {}, {"CARD.md": "", "LICENSE": ""})


def test_studies_that_check_do_not_train() -> None:
    bank = UnlabelledBank.of([np.zeros((n, 4, 4), np.float16) for n in (2, 3, 4)])
    training, checking = _divide(bank, CONFIG)
    assert len(set(bank.place_N2[checking, 0])) == 1
    assert not set(bank.place_N2[training, 0]) & set(bank.place_N2[checking, 0])
    assert len(training) + len(checking) == 9
    assert len(_divide(bank, replace(CONFIG, check_share=0.0))[1]) == 0


def test_check_loss_repeats_itself() -> None:
    noise = np.random.default_rng(0).random((6, 48, 48)).astype(np.float16)
    bank, torch_seed = UnlabelledBank.of([noise]), torch.manual_seed(0)
    model = MaskedAutoEncoder(CONFIG.encoder, CONFIG.mae)
    first = _check_loss(CONFIG, bank, np.arange(6), model)
    torch_seed.seed()
    assert _check_loss(CONFIG, bank, np.arange(6), model) == first


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    optim = PretrainOptimConfig(epochs=20, learning_rate=1.0, warmup_epochs=5.0)  # at most 2 of 20 epochs
    rates = [learning_rate_at(step, 10, optim) for step in range(201)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[20] == 1.0
    assert rates[110] == pytest.approx(0.5)
    assert rates[200] == pytest.approx(0.0, abs=1e-12)
    assert max(rates) == 1.0


def test_settings_by_name_and_those_that_do_not_fit() -> None:
    config = PretrainConfig.of("small", ["input.size=160", "encoder.image_size=160", "encoder.depth=3"])
    assert (config.encoder.depth, config.encoder.grid_size, config.mae.masking) == (3, 20, "drop")
    assert PretrainConfig.of("vit_b").mae.masking == "token"
    assert PretrainConfig.of("tiny").input.spacing_mm == pytest.approx(1.4 * 128 / 32)
    for wrong in ("input.size=160", "input.context_slices=3", "cache_size=64", "check_share=1.0", "encoder.width=3"):
        with pytest.raises(UsageError):
            PretrainConfig.of("small", [wrong])
    with pytest.raises(UsageError, match="no encoder"):
        PretrainConfig.of("huge")
    with pytest.raises(UsageError, match="precision"):
        PretrainConfig.of("small", ["optim.precision=fp8"])


def test_command_writes_the_bundle(data: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("as you like\n")
    arguments = ["pretrain", str(data), "-o", str(tmp_path / "run"), "--exclude", str(split(tmp_path, "patient001"))]
    options = ["--encoder", "tiny", "--epochs", "1", "--threads", "1", "--licence", str(terms), "--licence-id", "0BSD"]
    result = CliRunner().invoke(app, [*arguments, *options, "--set", "optim.batch_size=64"])
    assert result.exit_code == 0, result.output
    manifest = read_encoder_bundle(tmp_path / "run" / "encoder").manifest
    assert manifest["licence_id"] == "0BSD"
    assert manifest["training"]["optim"]["batch_size"] == 64
    assert CliRunner().invoke(app, [*arguments, "--encoder", "huge"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, *options, "--licence", str(tmp_path / "none")]).exit_code == 2
