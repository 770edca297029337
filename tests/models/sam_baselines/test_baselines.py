"""What all baselines on Segment Anything share: shapes, what learns, features that may be kept, weights, export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sam_baseline_models import VARIANTS, logits, network, noise, randomise
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmrseg.errors import BundleError, UsageError
from cmrseg.losses.composite import DICE_CE, CompositeLoss
from cmrseg.models import registry
from cmrseg.models.encoder_bundle import write_encoder_bundle
from cmrseg.models.outputs import is_encoder_decoder, outputs_of
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.sam import Sam
from cmrseg.models.sam_baselines.config import MedSamConfig, SamLoraConfig, SamPromptTuningConfig

every_variant = pytest.mark.parametrize("variant", VARIANTS)
#: Beginnings of names of weights that learn, besides those of the mask decoder that every baseline trains.
LEARNING = {
    "lora": ("lora_",),
    "lora of keys too": ("lora_",),
    "shallow prompts": ("prompts_ND",),
    "deep prompts": ("prompts_ND", "block_prompts_MND"),
    "medsam": ("encoder.", "box_head.", "prompt_encoder.point_embeddings.2", "prompt_encoder.point_embeddings.3"),
}


@every_variant
def test_logits_have_the_images_size(variant: str) -> None:
    model = network(variant).eval()
    with torch.no_grad():
        assert model(noise(2, 1, 40, 64)).shape == (2, 4, 40, 64)
        resampled = network(variant, image_size=48, n_classes=3).eval()
        assert resampled.encode(noise(1, 1, 30, 50)).shape == (1, 32, 6, 6)
        assert resampled(noise(1, 1, 30, 50)).shape == (1, 3, 30, 50)


@every_variant
def test_size_that_does_not_divide_into_patches_is_refused(variant: str) -> None:
    with pytest.raises(UsageError, match="does not divide into patches"):
        network(variant)(noise(1, 1, 36, 32))


@every_variant
def test_what_learns_and_what_stays(variant: str) -> None:
    model = network(variant).train()
    learning = {k for k, p in model.named_parameters() if p.requires_grad}
    decoder = {k for k in learning if k.startswith("mask_decoder.")}
    own = {k for k in learning if k.split(".")[-1].startswith(LEARNING[variant]) or k.startswith(LEARNING[variant])}
    assert learning == decoder | own | {"prompt_encoder.no_mask_embed.weight"}
    assert own
    asleep = {k for k, _ in model.mask_decoder.named_parameters() if f"mask_decoder.{k}" not in decoder}
    # nobody asks how good a mask is; MedSAM draws one mask of the four that SAM has
    kept = ("iou_prediction_head.", *(f"output_hypernetworks_mlps.{k}." for k in (1, 2, 3) if variant == "medsam"))
    assert asleep
    assert asleep == {k for k, _ in model.mask_decoder.named_parameters() if k.startswith(kept)}


@every_variant
def test_gradients_reach_all_that_learns_and_move_nothing_else(variant: str) -> None:
    model = network(variant)
    randomise(model)
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    truth = torch.randint(0, 4, (2, 32, 32), generator=torch.Generator().manual_seed(3))
    outputs = outputs_of(model(noise(2, 1, 32, 32)))
    # without the term for boxes: the masks alone must reach the head that predicts them
    CompositeLoss(DICE_CE)(outputs, truth)["total"].backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        if not name.endswith("k_proj.bias"):  # the softmax takes no notice of it
            assert bool(parameter.grad.any()), name
    optimiser.step()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    learning = {k for k, p in model.named_parameters() if p.requires_grad}
    assert {k for k in learning if not k.endswith("k_proj.bias")} <= moved <= learning


@every_variant
def test_forward_is_decode_of_encode(variant: str) -> None:
    model = network(variant).eval()
    image = noise(2, 1, 32, 40)
    assert is_encoder_decoder(model)
    with torch.no_grad():
        assert torch.equal(model(image), model.decode(model.encode(image), (32, 40)))


@pytest.mark.parametrize(
    ("variant", "slices", "kept"),
    [
        ("shallow prompts", 1, True),
        ("shallow prompts", 3, True),
        ("shallow prompts", 5, False),
        ("deep prompts", 1, False),
        ("lora", 1, False),
        ("medsam", 1, False),
    ],
)
def test_features_may_be_kept_exactly_where_training_does_not_change_them(
    variant: str, slices: int, kept: bool
) -> None:
    model = network(variant, in_channels=slices).train()
    image = noise(2, slices, 32, 32)
    before = model.encode(image).detach()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):  # an update that begins at zero moves its other factor at the second step
        optimiser.zero_grad()
        logits(model(image)).square().mean().backward()
        optimiser.step()
    assert model.encoder_frozen == kept
    assert torch.equal(model.encode(image), before) == kept


def test_frozen_encoder_stays_in_evaluation_mode() -> None:
    model = network("deep prompts").train()
    assert model.mask_decoder.training
    assert not any(module.training for module in model.encoder.modules())
    assert all(module.training for module in network("lora").train().encoder.modules())


@every_variant
def test_encoder_is_taken_from_a_bundle_and_the_rest_stays(variant: str, tmp_path: Path) -> None:
    model = network(variant)
    donor = ImageEncoderViT(model.config.encoder)
    documents = {"CARD.md": "card", "LICENSE": "terms"}
    write_encoder_bundle(tmp_path / "encoder", model.config.encoder, donor.state_dict(), {"name": "test"}, documents)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_encoder(tmp_path / "encoder")
    after = model.state_dict()
    taken = {f"encoder.{k}": v.half().float() for k, v in donor.state_dict().items()}
    assert all(torch.equal(v, taken.get(k, before[k])) for k, v in after.items())


@every_variant
def test_whole_checkpoint_fills_prompt_encoder_and_mask_decoder_too(variant: str, tmp_path: Path) -> None:
    model = network(variant)
    sam = Sam(model.config.sam)
    randomise(sam, seed=4)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_encoder(tmp_path / "sam.pth")
    theirs = {k.replace("image_encoder.", "encoder."): v for k, v in sam.state_dict().items()}
    # SAM's tokens stand for its proposals, a semantic decoder's for classes
    classes = () if variant == "medsam" else ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")
    for name, value in model.state_dict().items():
        own = name not in theirs or name.startswith(tuple(f"mask_decoder.{c}" for c in classes))
        assert torch.equal(value, before[name] if own else theirs[name]), name
    assert {"mask_decoder.transformer.norm_final_attn.weight", "prompt_encoder.no_mask_embed.weight"} <= set(theirs)


def test_medsam_of_a_checkpoint_draws_what_sam_draws_in_the_same_boxes(tmp_path: Path) -> None:
    model = network("medsam", n_classes=3).eval()
    sam = Sam(model.config.sam).eval()
    randomise(sam, seed=4)
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    model.load_encoder(tmp_path / "sam.pth")
    image = noise(2, 1, 32, 40)
    boxes_BK4 = torch.tensor([[[0.1, 0.25, 0.5, 1.0], [0, 0, 0.9, 0.5]], [[0.2, 0.2, 0.4, 0.4], [0, 0.5, 1, 1]]])
    pixels = boxes_BK4 * torch.tensor([40.0, 32, 40, 32]) - 0.5
    with torch.no_grad():
        found = model.draw(model.encode(image), boxes_BK4, (32, 40))
        expected = sam(image.expand(-1, 3, -1, -1), boxes_P4=pixels.flatten(0, 1)).logits_PMHW
    assert torch.allclose(found[:, 1:], expected.reshape(2, 2, 32, 40), atol=1e-4)
    assert not found[:, 0].any()


def test_checkpoint_of_another_decoder_is_refused_by_name(tmp_path: Path) -> None:
    donor = network("lora", decoder_mlp_dim=32)
    torch.save(Sam(donor.config.sam).state_dict(), tmp_path / "sam.pth")
    with pytest.raises(BundleError, match=r"mask_decoder.transformer.layers.0.mlp.lin1.weight is \(32, 32\)"):
        network("lora").load_encoder(tmp_path / "sam.pth")


@pytest.mark.parametrize(
    ("kind", "settings", "cause"),
    [
        (SamLoraConfig, {"rank": 0}, "rank 0 changes nothing"),
        (SamLoraConfig, {"targets": ("q", "o")}, "cannot be updated"),
        (SamLoraConfig, {"targets": ("q", "q")}, "cannot be updated"),
        (SamLoraConfig, {"targets": ()}, "cannot be updated"),
        (SamPromptTuningConfig, {"prompt_tokens": 0}, "0 tokens prompt nothing"),
        (SamPromptTuningConfig, {"prompt_depth": "deeper"}, "no prompt depth 'deeper'"),
        (MedSamConfig, {"box_jitter": 0.5}, "an error of 0.5"),
        (MedSamConfig, {"box_width": 0}, "0 channels"),
        (MedSamConfig, {"n_classes": 1}, "leave no structure"),
        (MedSamConfig, {"image_size": 100}, "does not divide into patches"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(
    kind: type[SamLoraConfig], settings: dict[str, object], cause: str
) -> None:
    with pytest.raises(UsageError, match=cause):
        kind(**settings)  # type: ignore[arg-type]


def test_cpu_presets_have_the_encoder_that_ships() -> None:
    for name in ("sam_lora", "sam_prompt_tuning", "medsam_finetuned"):
        config = registry.sized(name, "cpu", 3)
        assert (config.encoder.image_size, config.encoder.patch_size, config.in_channels) == (128, 8, 3)
        assert registry.sized(name, "full", 1).encoder.embed_dim == 768


@every_variant
def test_learns_a_square(variant: str) -> None:
    truth = torch.zeros(2, 32, 32, dtype=torch.long)
    truth[0, 8:20, 12:26], truth[1, 4:14, 2:12] = 1, 1
    image = truth[:, None].float() + 0.1 * noise(2, 1, 32, 32)
    model = network(variant, n_classes=2).train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(80):
        optimiser.zero_grad()
        cross_entropy(logits(model(image)), truth).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    assert _dice(model.eval(), image, truth) > 0.9


def _dice(model: nn.Module, image: Tensor, truth: Tensor) -> float:
    with torch.no_grad():
        found = logits(model(image)).argmax(1)
    return 2 * float((found * truth).sum()) / float(found.sum() + truth.sum())
