"""A bundle fit to ship, from runs to card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_lge_scores import masks, scored

from cmrseg.errors import OutputError
from cmrseg.evaluate.lge import summarise
from cmrseg.models.unet import UNetConfig
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.bundle import load
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.cards import Measured, lge_card
from cmrseg.train.config import LGE, DataConfig, GeneratedConfig, OptimConfig, TrainConfig
from cmrseg.train.data import Split
from cmrseg.train.export import BundleInfo
from cmrseg.train.prompt_release import release_prompt
from cmrseg.train.release import release
from cmrseg.train.run import run_training

SMALL = TrainConfig(
    threads=1,
    device="cpu",
    validate_every=9,
    input=InputSpec(spacing_mm=3.0, size=32),
    model=UNetConfig(widths=(8, 8)),
    data=DataConfig(folds=2, cache_size=48),
    optim=OptimConfig(epochs=1, batch_size=4, warmup_steps=2),
)
LOCATOR = replace(
    SMALL,
    input=InputSpec(spacing_mm=6.0, size=32, context_slices=1),
    model=UNetConfig(in_channels=1, widths=(8, 8)),
    data=replace(SMALL.data, centre="image"),
)


def test_folds_become_a_bundle_whose_card_tells_each_patient_measured_by_a_stranger(tmp_path: Path) -> None:
    data = tmp_path / "acdc"
    for k in range(4):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), data / f"patient{k + 1:03d}")
    run_training(
        replace(LOCATOR, optim=replace(LOCATOR.optim, epochs=8)), data, tmp_path / "locator", None, lambda _: None
    )
    runs = [tmp_path / f"fold{k}" for k in (0, 1)]
    for k, run in enumerate(runs):
        config = replace(SMALL, data=replace(SMALL.data, fold=k))
        run_training(config, data, run, tmp_path / "locator", lambda _: None)
    lines: list[str] = []
    release(tmp_path / "mine", runs, tmp_path / "locator", data, "2.0", lines.append)
    bundle = load(tmp_path / "mine")
    held_out = [json.loads((run / "split.json").read_text())["validation"] for run in runs]
    assert sorted(held_out[0] + held_out[1]) == [f"patient{k:03d}" for k in (1, 2, 3, 4)]
    assert bundle.manifest["measured"]["held_out"]["n"] == 4
    assert bundle.manifest["split"]["validation"] == []
    assert all(bundle.members_that_never_saw(i) == (k,) for k in (0, 1) for i in held_out[k])
    card = (bundle.path / "CARD.md").read_text()
    mean = bundle.manifest["measured"]["held_out"]["dice_mean"]
    assert f"**{mean:.4f}**" in card
    assert "each segmented by the one member that never saw it" in card
    rows = (tmp_path / "mine-held-out.csv").read_text().splitlines()
    assert len(rows) == 5
    assert (lines[0].split(":")[0], lines[1].split(":")[0]) == ("fp32", "int8")
    assert ("that to ship" in card) is not bundle.has_int8


def test_a_folder_in_the_way_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    nowhere = tmp_path / "no run"
    with pytest.raises(OutputError, match="already exists"):
        release(tmp_path / "mine", [nowhere], nowhere, nowhere, "2.0", lambda line: None)
    with pytest.raises(OutputError, match="already exists"):
        release_prompt(tmp_path / "mine", nowhere, nowhere, "2.0", lambda line: None)


def test_card_of_an_lge_bundle_tells_scar_mass_before_dice() -> None:
    scores = [scored(masks(50), masks(100)), scored(masks(80), masks(80)), scored(masks(0), masks(20))]
    summary = summarise(scores)
    config = replace(LGE, data=replace(LGE.data, generated=GeneratedConfig("acdc", per_frame=3)))
    splits = [Split(("a", "b"), ("c",)), Split(("a", "c"), ("b",))]
    info = BundleInfo("lge", "1.0", "lge", "lge_rv", "x", {"name": "MyoPS", "citation": "Li"})
    card = lge_card(info, scores, Measured(summary, summary, True, splits, splits[0], [config, config]))
    dice = [2 * 50 / 150, 1.0, 0.0]
    assert card.index("Scar mass") < card.index("Dice of scar")
    assert f"mean {np.mean(dice):.3f} (SD {np.std(dice, ddof=1):.3f}), median 0.667, worst 0.000" in card
    assert f"bias {-0.7 * 1.05 / 3:+.1f} g" in card
    assert "(3 of each frame)" in card
    assert "Hearts not found: 0 of 3" in card


def test_a_card_says_when_nothing_was_generated() -> None:
    scores = [scored(masks(50), masks(100)), scored(masks(80), masks(80))]
    info = BundleInfo("lge", "1.0", "lge", "lge_rv", "x", {"name": "MyoPS", "citation": "Li"})
    measured = Measured(summarise(scores), summarise(scores), True, [Split(("a",), ("b",))], Split((), ()), [LGE])
    assert "Nothing was generated" in lge_card(info, scores, measured)
    painted = replace(LGE, data=replace(LGE.data, generated=GeneratedConfig(repainted=7)))
    card = lge_card(info, scores, replace(measured, configs=[painted]))
    assert "shown 7 times with their scar taken out" in card
    assert "Nothing was generated" not in card
    both = [Split(("a",), ("b",)), Split(("b",), ("a",))]
    card = lge_card(info, scores, replace(measured, splits=both * 2, configs=[painted, painted, LGE, LGE]))
    assert "Of 2 of the networks: Each patient who trained was also shown 7 times" in card
    assert "Of 2 of the networks: Nothing was generated" in card
    assert "each segmented by the 2 members that never saw it" in card
    card = lge_card(info, scores, replace(measured, splits=[*both, both[0]], configs=[LGE] * 3))
    assert "each segmented by the 1 or 2 members that never saw it" in card


@pytest.mark.parametrize(("ships", "said"), [(True, "The quantised network reaches"), (False, "too much for that to")])
def test_a_card_says_whether_a_quantised_network_ships(ships: bool, said: str) -> None:
    scores = [scored(masks(50), masks(100)), scored(masks(80), masks(80))]
    info = BundleInfo("lge", "1.0", "lge", "lge_rv", "x", {"name": "MyoPS", "citation": "Li"})
    summary = summarise(scores)
    card = lge_card(info, scores, Measured(summary, summary, ships, [Split(("a",), ("b",))], Split((), ()), [LGE]))
    assert said in card


def test_a_card_follows_the_weights_that_training_began_with_back_to_the_first(tmp_path: Path) -> None:
    scores = [scored(masks(50), masks(100)), scored(masks(80), masks(80))]
    info = BundleInfo("lge", "1.0", "lge", "lge_rv", "x", {"name": "MyoPS", "citation": "Li"})

    def card(start_from: str) -> str:
        config = replace(LGE, start_from=start_from)
        return lge_card(
            info,
            scores,
            Measured(summarise(scores), summarise(scores), True, [Split(("a",), ("b",))], Split((), ()), [config]),
        )

    assert "with random weights." in card("")
    assert "with the weights of the cine bundle." in card("cine:2")
    made = GeneratedConfig("acdc")
    replace(LGE, data=replace(LGE.data, repeats=0, generated=made)).save(tmp_path / "config.json")
    told = card(str(tmp_path))
    assert "saw generated stacks alone and began with\nthe weights of the cine bundle." in told
    assert str(tmp_path) not in told
