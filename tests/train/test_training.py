"""Training on phantoms from folder to bundle: split by patient, resume after a kill, export that agrees with torch."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from cmrseg.errors import BundleError, UsageError
from cmrseg.io.datasets.layout import Case
from cmrseg.models.unet import UNet, UNetConfig
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.bundle import load
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.augment import apply, draw
from cmrseg.train.bank import build_bank
from cmrseg.train.config import AugmentConfig, DataConfig, OptimConfig, TrainConfig
from cmrseg.train.data import Split, find_cases, make_split
from cmrseg.train.export import BundleInfo, export_bundle
from cmrseg.train.loop import share_of_peak, train
from cmrseg.train.predict import load_run, stage_of
from cmrseg.train.run import run_training, score_run
from cmrseg.train.scalars import ScalarLog

SMALL = TrainConfig(
    threads=1,
    validate_every=1,
    input=InputSpec(spacing_mm=3.0, size=32, context_slices=3),
    model=UNetConfig(in_channels=3, widths=(8, 8)),
    data=DataConfig(validation_per_group=1, cache_size=48),
    optim=OptimConfig(epochs=2, batch_size=4, warmup_steps=2),
)
LOCATOR = replace(
    SMALL,
    input=InputSpec(spacing_mm=6.0, size=32, context_slices=1),
    model=UNetConfig(in_channels=1, widths=(8, 8)),
    data=DataConfig(validation_per_group=1, cache_size=48, centre="image"),
)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms in ACDC's layout, of one group."""
    root = tmp_path_factory.mktemp("acdc")
    for k in range(3):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / f"patient{k + 1:03d}")
    return root


@pytest.fixture(scope="module")
def runs(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A locator and two members of a segmenter, hardly trained."""
    root = tmp_path_factory.mktemp("runs")
    run_training(LOCATOR, patients, root / "locator", None, lambda _: None)
    for seed in (0, 1):
        run_training(replace(SMALL, seed=seed), patients, root / f"cine-{seed}", root / "locator", lambda _: None)
    return root


def info() -> BundleInfo:
    """What a bundle says of itself."""
    return BundleInfo("cine", "0.1", "cine", "cine", "CC0-1.0", {"name": "phantoms"})


def cases(groups: str) -> list[Case]:
    """One case per letter, of that group."""
    return [Case(f"p{k}", Path(), g) for k, g in enumerate(groups)]


def test_split_keeps_patients_of_every_group_apart() -> None:
    split = make_split(cases("aaaabbbb"), DataConfig(validation_per_group=1))
    assert len(split.validation) == 2
    assert {int(i[1:]) // 4 for i in split.validation} == {0, 1}
    assert set(split.train) | set(split.validation) == {f"p{k}" for k in range(8)}
    assert split == make_split(reversed(cases("aaaabbbb")), DataConfig(validation_per_group=1))


def test_smaller_shares_of_training_patients_are_part_of_larger_ones_and_hold_out_the_same() -> None:
    known = cases("a" * 12 + "b" * 6)
    config = DataConfig(validation_per_group=2)
    whole = make_split(known, config)
    shares = [make_split(known, replace(config, train_share=share)) for share in (0.01, 0.25, 0.5, 1.0)]
    assert [len(split.train) for split in shares] == [2, 3, 7, 14]
    assert all(split.validation == whole.validation for split in shares)
    assert all(set(a.train) < set(b.train) for a, b in pairwise(shares))
    assert shares[-1] == whole
    # the first patient of each group: ids count up
    assert {int(i[1:]) < 12 for i in shares[0].train} == {True, False}


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_shares_that_nobody_has_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share"):
        make_split(cases("aaaa"), DataConfig(validation_per_group=1, train_share=share))


def test_leaking_split_is_refused() -> None:
    with pytest.raises(UsageError, match="both"):
        Split(("a", "b"), ("b",))


def test_group_too_small_to_split_is_refused() -> None:
    with pytest.raises(UsageError, match="Group"):
        make_split(cases("aab"), DataConfig(validation_per_group=1))


def test_bank_shows_each_slice_with_its_own_neighbours(patients: Path) -> None:
    found = find_cases(patients, SMALL.data)
    bank = build_bank(found[:2], SMALL)
    depth = make_phantom(tiny()).image.n_slices
    assert len(bank) == 2 * 2 * depth
    assert bank.context_MS[0].tolist() == [0, 0, 1]
    assert bank.context_MS[depth - 1].tolist() == [depth - 2, depth - 1, depth - 1]
    assert bank.context_MS[depth].tolist() == [depth, depth, depth + 1]
    images, labels = bank.batch(np.array([1, 5]))
    assert images.shape == (2, 3, 48, 48)
    assert labels.shape == (2, 48, 48)
    assert set(np.unique(bank.labels_NLL)) == {0, 1, 2, 3}


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    assert share_of_peak(0, 110, 10) == pytest.approx(0.1)
    assert share_of_peak(9, 110, 10) == pytest.approx(1.0)
    assert share_of_peak(60, 110, 10) == pytest.approx(0.5)
    assert share_of_peak(110, 110, 10) == pytest.approx(0.0)


def test_folds_hold_every_patient_out_once() -> None:
    known = cases("aaaaabbbbbb")
    splits = [make_split(known, DataConfig(folds=3, fold=k)) for k in range(3)]
    held_out = [i for split in splits for i in split.validation]
    assert sorted(held_out) == sorted(case.case_id for case in known)
    groups = {case.case_id: case.group for case in known}
    assert all({groups[i] for i in split.validation} == {"a", "b"} for split in splits)
    assert all(set(split.train) | set(split.validation) == set(held_out) for split in splits)
    with pytest.raises(UsageError, match="no fold 3"):
        make_split(known, DataConfig(folds=3, fold=3))
    with pytest.raises(UsageError, match="at least 6"):
        make_split(known, DataConfig(folds=6))


@pytest.mark.parametrize("network", ["unet", "medsam_finetuned"])
def test_a_killed_run_ends_with_the_same_weights(network: str, patients: Path, tmp_path: Path) -> None:
    """Of a network that draws no random numbers of its own, and of one that does."""
    config = SMALL if network == "unet" else SMALL.with_network(network, "tiny")
    bank = build_bank(find_cases(patients, config.data), config)

    class Killed(Exception):
        """The run is cut off."""

    def cut_off(line: str) -> None:
        if line.startswith("epoch 1 "):
            raise Killed

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    train(config, bank, whole, lambda _: {}, lambda _: None)
    with pytest.raises(Killed):
        train(config, bank, cut, lambda _: {}, cut_off)
    train(config, bank, cut, lambda _: {}, lambda _: None)
    one, other = load_file(whole / "checkpoint.safetensors"), load_file(cut / "checkpoint.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_a_run_leaves_its_log_split_and_scores(runs: Path) -> None:
    lines = [json.loads(line) for line in (runs / "cine-0" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "dice_mean" in lines[-1] or lines[-1]["n_refused"] == 1
    assert Split.load(runs / "cine-0" / "split.json").validation
    assert (runs / "cine-0" / "validation.csv").read_text().startswith("case_id,group,")
    assert TrainConfig.load(runs / "cine-0" / "config.json") == SMALL


def test_a_run_can_start_from_another(runs: Path, patients: Path, tmp_path: Path) -> None:
    still = SMALL.changed([f"start_from={runs / 'cine-0'}", "optim.learning_rate=0.0", "optim.weight_decay=0.0"])
    bank = build_bank(find_cases(patients, SMALL.data), SMALL)
    train(still, bank, tmp_path, lambda _: {}, lambda _: None)
    first, second = (load_file(run / "checkpoint.safetensors") for run in (runs / "cine-0", tmp_path))
    name = "stem.0.weight"
    assert torch.equal(second[f"model.{name}"], first[f"average.{name}"])


def test_what_does_not_fit_the_run_that_a_training_starts_from_is_said(
    runs: Path, patients: Path, tmp_path: Path
) -> None:
    single = replace(
        SMALL, input=replace(SMALL.input, context_slices=1), model=UNetConfig(in_channels=1, widths=(8, 8))
    )
    config = replace(single, start_from=str(runs / "cine-0"), optim=replace(SMALL.optim, epochs=1))
    said: list[str] = []
    train(config, build_bank(find_cases(patients, config.data), config), tmp_path, lambda _: {}, said.append)
    assert said[0] == "of another shape than in cine-0, so random: stem.0.weight"


def test_what_is_published_of_a_configuration_names_no_folders() -> None:
    config = SMALL.changed(["start_from=/home/me/runs/cine-0", "data.generated.cine=data/acdc/training"])
    told = config.published()
    assert (told["start_from"], told["data"]["generated"]["cine"]) == ("cine-0", "training")
    told["start_from"], told["data"]["generated"]["cine"] = config.start_from, config.data.generated.cine
    assert told == config.to_dict()


def test_settings_are_changed_by_name_and_type() -> None:
    changed = SMALL.changed(["optim.learning_rate=1", "model.widths=[8, 16]", "name=other", "optim.epochs=3"])
    assert (changed.optim.learning_rate, changed.model.widths, changed.name) == (1.0, (8, 16), "other")
    assert changed.optim.epochs == 3
    assert SMALL.optim.epochs == 2
    for wrong in ("optim.speed=1", "optim.epochs=fast", "optim.epochs.more=1", "optim=1", "seed=0.5"):
        with pytest.raises(UsageError, match="setting"):
            SMALL.changed([wrong])


def test_a_folder_of_another_run_is_not_overwritten(runs: Path, patients: Path) -> None:
    with pytest.raises(UsageError, match="another configuration"):
        run_training(replace(SMALL, seed=9), patients, runs / "cine-0", runs / "locator", lambda _: None)


def test_without_a_locator_the_one_that_ships_is_used(runs: Path, patients: Path) -> None:
    scores, summary = score_run(SMALL, patients, runs / "cine-0")
    assert [s.case_id for s in scores] == list(Split.load(runs / "cine-0" / "split.json").validation)
    assert summary["n"] == len(scores)
    assert not any(s.refused for s in scores)


def test_exported_ensemble_computes_what_torch_does(runs: Path, tmp_path: Path) -> None:
    members = [runs / "cine-0", runs / "cine-1"]
    export_bundle(tmp_path / "cine", info(), members, runs / "locator", {"CARD.md": "card", "LICENSE": "licence"}, {})
    bundle = load(tmp_path / "cine")
    stage = bundle.pipeline(threads=1).segmenter
    assert stage.spec == SMALL.input
    inputs = np.random.default_rng(0).normal(size=(5, 3, 32, 32)).astype(np.float32)
    ours = stage.predict(inputs)
    assert ours.shape == (2, 5, 4, 32, 32)
    assert ours.sum(axis=2) == pytest.approx(np.ones((2, 5, 32, 32)), abs=1e-5)
    # Shipped weights are rounded to half precision, which moves probabilities by less than a thousandth or so.
    assert np.abs(ours - stage_of(members).predict(inputs)).max() < 5e-3
    assert b"/" + b"site-packages" not in (tmp_path / "cine" / "model.onnx").read_bytes()


def test_members_that_see_different_input_do_not_mix(runs: Path, patients: Path, tmp_path: Path) -> None:
    wider = replace(SMALL, input=replace(SMALL.input, spacing_mm=2.0))
    run_training(wider, patients, tmp_path / "other", runs / "locator", lambda _: None)
    with pytest.raises(BundleError, match="differ"):
        export_bundle(tmp_path / "cine", info(), [runs / "cine-0", tmp_path / "other"], runs / "locator", {}, {})
    assert not (tmp_path / "cine").exists()


def test_a_bundle_knows_which_members_never_saw_a_patient(runs: Path, tmp_path: Path) -> None:
    members = [tmp_path / "cine-0", tmp_path / "cine-1"]
    for member in members:
        shutil.copytree(runs / member.name, member)
    Split(("patient001", "patient002"), ("patient003",)).save(members[0] / "split.json")
    Split(("patient002", "patient003"), ("patient001",)).save(members[1] / "split.json")
    export_bundle(tmp_path / "cine", info(), members, runs / "locator", {"CARD.md": "card", "LICENSE": "licence"}, {})
    bundle = load(tmp_path / "cine")
    assert [bundle.members_that_never_saw(f"patient00{k}") for k in (1, 2, 3, 4)] == [(1,), (), (0,), (0, 1)]
    assert bundle.manifest["split"] == {"train": ["patient001", "patient002", "patient003"], "validation": []}
    pipeline = bundle.pipeline(threads=1)
    inputs = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    every, second = pipeline.segmenter.predict(inputs), pipeline.of_members([1]).segmenter.predict(inputs)
    assert second.shape == (1, *every.shape[1:])
    assert np.array_equal(second[0], every[1])
    with pytest.raises(ValueError, match="no members"):
        pipeline.of_members([])


def test_weights_are_stored_once(runs: Path, tmp_path: Path) -> None:
    texts = {"CARD.md": "card", "LICENSE": "licence"}
    export_bundle(tmp_path / "cine", info(), [runs / "cine-0"], runs / "locator", texts, {})
    graph = onnx.load(tmp_path / "cine" / "model.onnx", load_external_data=False).graph
    shared = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    inside = [t for t in graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    weights = [v for v in load_run(runs / "cine-0")[1].state_dict().values() if v.dtype.is_floating_point]
    assert len(shared) == len(weights)
    assert {e.value for t in shared for e in t.external_data if e.key == "location"} == {"weights.safetensors"}
    assert all(not any(t.raw_data) for t in inside if t.data_type == onnx.TensorProto.FLOAT and len(t.dims))


def test_half_precision_training_stays_close_to_single(patients: Path, tmp_path: Path) -> None:
    bank = build_bank(find_cases(patients, SMALL.data), SMALL)
    losses = {}
    for precision in ("fp32", "bf16"):
        run = tmp_path / precision
        run.mkdir()
        train(SMALL.changed([f"optim.precision={precision}"]), bank, run, lambda _: {}, lambda _: None)
        losses[precision] = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]
    with pytest.raises(UsageError, match="precision"):
        OptimConfig(precision="fp8")


def test_unet_keeps_size_and_reloads(runs: Path) -> None:
    config, model = load_run(runs / "cine-0")
    assert config == SMALL
    assert model(torch.zeros(2, 3, 32, 48)).shape == (2, 4, 32, 48)
    assert sum(p.numel() for p in UNet(UNetConfig()).parameters()) == pytest.approx(1.23e6, rel=0.01)


def test_curves_are_written_for_tensorboard(patients: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    bank = build_bank(find_cases(patients, SMALL.data), SMALL)
    train(SMALL.changed(["tensorboard=true"]), bank, tmp_path, lambda _: {"dice_mean": 0.5}, lambda _: None)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([line["loss"] for line in lines])
    assert [(e.step, e.value) for e in events.Scalars("dice_mean")] == [(1, 0.5), (2, 0.5)]


def test_tensorboard_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="TensorBoard"):
        ScalarLog(tmp_path)


def test_settings_choose_a_network_by_name_and_size() -> None:
    config = SMALL.with_network("deeplabv3plus", "cpu")
    assert (config.network, config.model.depth, config.model.in_channels) == ("deeplabv3plus", 18, 3)
    with pytest.raises(UsageError, match="no size"):
        SMALL.with_network("unet", "huge")
    with pytest.raises(UsageError, match="no network"):
        SMALL.with_network("resnet", "cpu")


def test_training_and_analysis_normalise_a_stack_alike(patients: Path, tmp_path: Path) -> None:
    still = AugmentConfig(
        rotation_degrees=0, any_rotation_probability=0, mirror_probability=0, scale=0, aspect=0, shift=0,
        elastic_pixels=0, gamma=0, bias=0, noise_probability=0, blur_probability=0, slice_shift_probability=0,
        drop_neighbour_probability=0,
    )  # fmt: skip
    spec = replace(SMALL.input, normalisation="stack")
    config = replace(SMALL, input=spec, augment=still, data=replace(SMALL.data, cache_size=32))
    bank = build_bank(find_cases(patients, SMALL.data)[:1], config)
    assert bank.levels_M4 is not None
    depth = int((bank.levels_M4 == bank.levels_M4[0]).all(axis=1).sum())
    stack_ZHW = bank.images_NLL[:depth].astype(np.float32)
    numbers = draw(still, depth, 3, 1.0, torch.Generator().manual_seed(0))
    images, _ = apply(numbers, *bank.batch(np.arange(depth)), 32, keep_levels=True)
    trained = spec.normalise(images.numpy(), bank.levels_M4[:depth])[:, 1]
    assert np.allclose(trained, spec.normalise(stack_ZHW), atol=1e-3)
    assert "dice_mean" in run_training(config, patients, tmp_path / "run", None, lambda _: None)
