"""From phantoms to a bundle that takes prompts: who trains, resuming after a kill, export that agrees with torch."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cmrseg.cli.main import app
from cmrseg.errors import BundleError, UsageError
from cmrseg.models.prompted.config import PromptedConfig
from cmrseg.models.prompted.model import PromptedSam, PromptTensors
from cmrseg.models.sam.config import IMAGE_ENCODERS
from cmrseg.phantom import make_phantom, tiny, write_acdc_patient
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompt_bundle import load_prompt_bundle
from cmrseg.train.config import DataConfig, OptimConfig
from cmrseg.train.prompt_config import PromptTrainConfig
from cmrseg.train.prompt_release import release_prompt
from cmrseg.train.prompt_training import divided, prompt_bank, run_prompt_training

MODEL = PromptedConfig(encoder=replace(IMAGE_ENCODERS["tiny"], in_channels=3), decoder_mlp_dim=16, clicks=3)
SMALL = PromptTrainConfig(
    threads=1,
    device="cpu",
    encoder_weights="",
    input=InputSpec(spacing_mm=4.0, size=32, context_slices=1),
    model=MODEL,
    cine=DataConfig(validation_per_group=1, cache_size=48),
    generated_per_frame=0,
    optim=OptimConfig(epochs=2, batch_size=4, warmup_steps=2),
)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms in ACDC's layout, of one group."""
    root = tmp_path_factory.mktemp("acdc")
    for k in range(3):
        write_acdc_patient(make_phantom(replace(tiny(), seed=k)), root / f"patient{k + 1:03d}")
    return root


@pytest.fixture(scope="module")
def run(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / "prompt"
    run_prompt_training(SMALL, patients, folder, lambda _: None)
    return folder


def test_run_says_who_was_held_out_and_logs_every_epoch(run: Path) -> None:
    split = json.loads((run / "split.json").read_text())
    assert len(split["train"]) == 2
    assert len(split["validation"]) == 1
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all({"loss", "loss_dice", "loss_cross_entropy", "loss_overlap"} <= set(line) for line in lines)


def test_killed_run_ends_with_the_same_weights(run: Path, patients: Path, tmp_path: Path) -> None:
    """After one of two epochs it stops; taken up again, it repeats what it would have done."""
    folder = tmp_path / "again"

    class Killed(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("epoch 1"):
            raise Killed

    with pytest.raises(Killed):
        run_prompt_training(SMALL, patients, folder, kill)
    run_prompt_training(SMALL, patients, folder, lambda _: None)
    one, other = load_file(run / "checkpoint.safetensors"), load_file(folder / "checkpoint.safetensors")
    assert one.keys() == other.keys()
    torch.testing.assert_close(one, other)


def test_run_of_another_configuration_is_refused(run: Path, patients: Path) -> None:
    with pytest.raises(UsageError, match="another configuration"):
        run_prompt_training(replace(SMALL, seed=1), patients, run, lambda _: None)


def test_nothing_is_generated_from_those_who_are_held_out(patients: Path) -> None:
    config = replace(SMALL, generated_per_frame=1)
    parts = divided(config, patients)
    slices = [len(prompt_bank(c, patients, parts).images_NLL) for c in (SMALL, config)]
    (_, cases, split), everyone = parts[0], divided(replace(config), patients)
    whole = [(everyone[0][0], cases, type(split)(split.train, ()))]
    # with nobody held out, the third patient's stacks come on top
    assert slices[0] < slices[1] < len(prompt_bank(config, patients, whole).images_NLL)


def test_bundle_is_measured_on_those_held_out_and_loads(run: Path, patients: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    release_prompt(tmp_path / "mine", run, patients, "0.1", lines.append)
    bundle = load_prompt_bundle(tmp_path / "mine")
    rows = bundle.manifest["measured"]["held_out"]
    assert {(r["kind"], r["structure"], r["way"]) for r in rows} == {
        ("cine", s, w) for s in ("lv_cavity", "myocardium", "rv_cavity") for w in ("box", "click", "clicks3")
    }
    assert all(r["patients"] == 1 for r in rows)
    assert len(lines) == 9
    card = (bundle.path / "CARD.md").read_text()
    assert "semi-automatic" in card
    assert card.count("| cine |") == 9
    assert bundle.manifest["split"]["validation"] == json.loads((run / "split.json").read_text())["validation"]
    assert (tmp_path / "mine-held-out.csv").read_text().startswith("case_id,kind,frame,structure,way,slices,dice")
    result = CliRunner().invoke(app, ["models", "verify", str(bundle.path)])
    assert result.exit_code == 0, result.output
    assert "mine 0.1 is whole" in result.output


@pytest.mark.parametrize("name", ["decoder.onnx", "weights.safetensors", "prompt.json"])
def test_changed_bundle_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    from cmrseg.train.prompt_release import export_prompt_bundle

    if not (run.parent / "bundle").exists():
        export_prompt_bundle(run.parent / "bundle", run, "0.1", {"CARD.md": "a\n", "LICENSE": "b\n"}, {})
    shutil.copytree(run.parent / "bundle", tmp_path / "changed")
    file = tmp_path / "changed" / name
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(BundleError):
        load_prompt_bundle(tmp_path / "changed")


def test_prompts_of_one_image_equal_each_prompted_alone() -> None:
    torch.manual_seed(0)
    network = PromptedSam(MODEL).eval()
    images = torch.randn(2, 1, 32, 32)
    prompts = PromptTensors(
        torch.rand(6, 3, 2) * 32,
        torch.randint(-1, 2, (6, 3)),
        torch.tensor([[4.0, 5.0, 20.0, 25.0]]).expand(6, -1),
        torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
    )
    with torch.inference_mode():
        together = network(images, prompts)
        for k in range(6):
            alone = network(images[k // 3 : k // 3 + 1], PromptTensors(*(part[k : k + 1] for part in prompts)))
            torch.testing.assert_close(together.logits_PHW[k : k + 1], alone.logits_PHW, atol=1e-4, rtol=1e-4)


def test_places_of_absent_clicks_and_boxes_do_not_matter() -> None:
    torch.manual_seed(0)
    network, image = PromptedSam(MODEL).eval(), torch.randn(1, 1, 32, 32)

    def drawn(place: float, box: float) -> torch.Tensor:
        places = torch.tensor([[[8.0, 9.0], [place, place], [place, place]]])
        asked = PromptTensors(places, torch.tensor([[1, -1, -1]]), torch.full((1, 4), box), torch.zeros(1))
        with torch.inference_mode():
            return network(image, asked).logits_PHW

    torch.testing.assert_close(drawn(0.0, 0.0), drawn(17.0, 5.0))


def test_command_trains_and_names_what_does_not_go_together(patients: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["train", "prompt", str(patients), "-o", str(tmp_path), "--network", "unet"])
    assert refused.exit_code == 2
    assert "without --locator" in refused.output
    unknown = CliRunner().invoke(app, ["train", "prompt", str(patients), "-o", str(tmp_path), "--set", "a.b=1"])
    assert unknown.exit_code == 2
