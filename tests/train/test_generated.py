"""Generated LGE beside real patients, and weights that come from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmrseg.errors import BundleError, UsageError
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LGE_RV
from cmrseg.models.unet import UNet, UNetConfig
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.phantom.enhancement import make_lge_phantom, random_spec
from cmrseg.phantom.enhancement.nifti import write_myops_patient
from cmrseg.segment.bundle import load
from cmrseg.segment.preprocess import InputSpec
from cmrseg.study import Study
from cmrseg.train.bank import build_bank
from cmrseg.train.config import LGE, DataConfig, GeneratedConfig, OptimConfig, TrainConfig
from cmrseg.train.data import find_cases
from cmrseg.train.generated import generated_studies, repainted_studies
from cmrseg.train.predict import start_from


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms in ACDC's layout."""
    root = tmp_path_factory.mktemp("acdc")
    for k in range(2):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / f"patient{k + 1:03d}")
    return root


def small(generated: GeneratedConfig, repeats: int = 1) -> TrainConfig:
    """A configuration of small windows."""
    return TrainConfig(
        input=InputSpec(spacing_mm=3.0, size=32),
        model=UNetConfig(n_classes=6, widths=(4, 8)),
        scheme="lge_rv",
        data=DataConfig(cache_size=48, generated=generated, repeats=repeats),
        optim=OptimConfig(epochs=1, batch_size=4),
    )


def test_every_labelled_frame_gives_stacks_that_repeat_with_the_seed(patients: Path) -> None:
    config = GeneratedConfig(str(patients), per_frame=2)
    made, again = list(generated_studies(config)), list(generated_studies(config))
    assert len(made) == 2 * 2 * 2
    assert all(np.array_equal(a.images[0].data, b.images[0].data) for (a, _), (b, _) in zip(made, again, strict=True))
    assert len({truth.labels.tobytes() for _, truth in made}) == len(made)
    other = next(generated_studies(replace(config, seed=1)))
    assert not np.array_equal(other[0].images[0].data, made[0][0].images[0].data)


def test_the_muscle_of_poorly_nulled_stacks_is_brighter_and_all_else_is_drawn_as_before(patients: Path) -> None:
    usual = [random_spec(np.random.default_rng(k)) for k in range(40)]
    poor = [random_spec(np.random.default_rng(k), poor_nulling=1.0) for k in range(40)]
    assert all(0.3 <= spec.remote_signal <= 0.6 for spec in poor)
    assert all(spec.scar_signal >= spec.remote_signal + 0.35 - 1e-9 for spec in poor)
    for a, b in zip(usual, poor, strict=True):
        assert replace(a, remote_signal=0.5, scar_signal=1.0) == replace(b, remote_signal=0.5, scar_signal=1.0)
    config = GeneratedConfig(str(patients), per_frame=1, without_scar=1.0)
    plain, bright = (next(generated_studies(replace(config, poor_nulling=p))) for p in (0.0, 1.0))
    muscle = plain[1].scheme.whole_myocardium(plain[1].labels)
    assert bright[0].images[0].data[muscle].mean() > plain[0].images[0].data[muscle].mean()


def test_a_patient_is_shown_with_other_scars_than_their_own_and_without_any() -> None:
    made = make_lge_phantom(replace(tiny(), seed=2), random_spec(np.random.default_rng(2), scar=True), 2)
    study = Study("one", Path("one"), (made.image,))
    truth = Truth(made.segmentation.labels, (0,), made.image.geometry, LGE_RV)
    config = GeneratedConfig(repainted=6, without_scar=0.5)
    stacks = list(repainted_studies(study, truth, "one", config))
    masks = [known.scheme.infarct(known.labels) for _, known in stacks]
    assert len(stacks) == 6
    assert len({mask.tobytes() for mask in masks if mask.any()}) >= 2
    assert any(not mask.any() for mask in masks)
    muscle = LGE_RV.whole_myocardium(truth.labels)
    assert all(np.array_equal(known.scheme.whole_myocardium(known.labels), muscle) for _, known in stacks)
    again = list(repainted_studies(study, truth, "one", config))
    assert all(np.array_equal(a.images[0].data, b.images[0].data) for (a, _), (b, _) in zip(stacks, again, strict=True))
    other = next(repainted_studies(study, truth, "another", config))
    assert not np.array_equal(other[0].images[0].data, stacks[0][0].images[0].data)
    assert not list(repainted_studies(study, truth, "one", replace(config, repainted=0)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_stacks_without_scar_is_what_was_asked_for(patients: Path, share: float) -> None:
    made = generated_studies(GeneratedConfig(str(patients), per_frame=2, without_scar=share))
    free = [not truth.scheme.mask(truth.labels, "scar", "no_reflow").any() for _, truth in made]
    assert np.mean(free) == share


def test_nothing_is_generated_without_a_folder() -> None:
    assert list(generated_studies(GeneratedConfig())) == []


def test_a_bank_shows_patients_several_times_and_generated_stacks_once(patients: Path) -> None:
    cases = find_cases(patients, DataConfig())
    plain, repeated = (build_bank(cases, small(GeneratedConfig(), repeats)) for repeats in (1, 3))
    mixed = build_bank(cases, small(GeneratedConfig(str(patients), per_frame=1), 3))
    assert len(repeated) == 3 * len(plain)
    assert len(repeated.images_NLL) == len(plain.images_NLL)
    assert len(mixed) == len(repeated) + len(mixed.images_NLL) - len(plain.images_NLL)
    assert mixed.labels_NLL[len(plain.images_NLL) :].max() <= 5


def test_patients_shown_no_times_leave_the_generated_stacks_alone(patients: Path) -> None:
    generated = GeneratedConfig(str(patients), per_frame=1)
    bank = build_bank(find_cases(patients, DataConfig()), small(generated, 0))
    alone = sum(len(truth.labels[0]) for _, truth in generated_studies(generated))
    assert len(bank) == alone
    # the patients' windows lie before those of the generated stacks
    assert bank.context_MS.min() == len(bank.images_NLL) - alone


def test_repainted_stacks_train_beside_the_patient_they_are_made_of(tmp_path: Path) -> None:
    made = make_lge_phantom(replace(tiny(), seed=2), random_spec(np.random.default_rng(2), scar=True), 2)
    write_myops_patient(made, tmp_path / "Case0001")
    data = DataConfig(layout="myops")
    plain = small(GeneratedConfig(), 3)
    more = small(GeneratedConfig(repainted=2), 3)
    banks = [
        build_bank(find_cases(tmp_path, data), replace(c, data=replace(c.data, layout="myops"))) for c in (plain, more)
    ]
    depth = made.image.data.shape[1]
    assert [len(bank) for bank in banks] == [3 * depth, 5 * depth]
    assert [len(bank.images_NLL) for bank in banks] == [depth, 3 * depth]
    assert np.array_equal(banks[1].images_NLL[:depth], banks[0].images_NLL)


def test_masks_without_scar_in_their_scheme_cannot_be_repainted(patients: Path) -> None:
    with pytest.raises(UsageError, match="Train on LGE"):
        build_bank(find_cases(patients, DataConfig()), small(GeneratedConfig(repainted=1)))


def test_a_network_starts_from_the_bundle_but_for_its_last_layer() -> None:
    torch.manual_seed(0)
    model = UNet(UNetConfig(n_classes=6))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random = start_from("cine:1", model)
    member = load("cine")
    assert all(before[k].shape[0] == 6 for k in random)
    assert 1 <= len(random) <= 2
    session = member.pipeline(threads=1).of_members((1,))
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 128, 128)).astype(np.float32))
    same = UNet(UNetConfig())
    assert start_from("cine:1", same) == ()
    with torch.inference_mode():
        ours = same.eval()(inputs).softmax(1).numpy()
    assert np.allclose(session.segmenter.predict(inputs.numpy())[0], ours, atol=1e-4)


def test_other_layers_or_no_bundle_are_refused() -> None:
    with pytest.raises(UsageError, match="other layers"):
        start_from("cine", UNet(UNetConfig(widths=(4, 8))))
    with pytest.raises(BundleError, match="no bundle"):
        start_from("cine2", UNet(UNetConfig()))


def test_the_preset_for_lge_fits_its_scheme() -> None:
    from cmrseg.labels import SCHEMES

    assert LGE.model.n_classes == len(SCHEMES[LGE.scheme].numbers)
    assert len(LGE.loss.class_weights) == LGE.model.n_classes
