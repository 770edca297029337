"""Generated LGE beside real patients, and weights that come from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmrseg.errors import BundleError, UsageError
from cmrseg.models.unet import UNet, UNetConfig
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.bundle import load
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.bank import build_bank
from cmrseg.train.config import LGE, DataConfig, GeneratedConfig, OptimConfig, TrainConfig
from cmrseg.train.data import find_cases
from cmrseg.train.generated import generated_studies
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
