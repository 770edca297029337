"""The whole network: one set of weights, switches, encoder frozen or tuned, features that may be kept, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from cardiosam_models import noise
from safetensors.torch import load_file, save_file
from scarnet_models import TINY
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cmrseg.errors import BundleError, UsageError
from cmrseg.losses.composite import CompositeLoss
from cmrseg.losses.scar import PRESETS as LOSSES
from cmrseg.models import registry
from cmrseg.models.encoder_bundle import write_encoder_bundle
from cmrseg.models.outputs import is_encoder_decoder, outputs_of
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.scarnet.config import ScarNetConfig, ablation
from cmrseg.models.scarnet.model import ScarNet

ROWS = {
    **ablation(TINY),
    "prior": dataclasses.replace(TINY, prior_classes=(2, 3)),
    "added skips": dataclasses.replace(TINY, skip="add"),
    "prior of U-Net": dataclasses.replace(TINY, sam_branch=False, prior_classes=(3,)),
}
SLIM = dataclasses.replace(TINY, dropout=0.0)


def _network(config: ScarNetConfig = TINY, seed: int = 0) -> ScarNet:
    torch.manual_seed(seed)
    return ScarNet(config)


def _loss(logits: Tensor) -> Tensor:
    size = logits.shape
    truth = torch.randint(0, size[1], (size[0], *size[2:]), generator=torch.Generator().manual_seed(3))
    return cross_entropy(logits, truth)


@pytest.mark.parametrize("row", ROWS)
def test_gradients_are_finite_and_reach_every_weight(row: str) -> None:
    network = _network(ROWS[row]).train()
    logits = network(noise(2, 1, 32, 32))
    assert logits.shape == (2, 4, 32, 32)
    _loss(logits).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


@pytest.mark.parametrize("row", ["both, concatenated", "+ gated fusion", "prior of U-Net"])
def test_it_exports(row: str, tmp_path: Path) -> None:
    """ONNX Runtime agrees with torch on another number of images than the example had."""
    network = _network(ROWS[row]).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.onnx.export(
        network, (noise(2, 1, 32, 32),), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    assert program is not None
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    images = noise(3, 1, 32, 32)
    (given,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(given), network(images), atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"sam_branch": False},
        {"unet_branch": False},
        {"squeeze_excite": False},
        {"scar_attention": False},
        {"skip_attention": False},
        {"skip": "add"},
        {"fusion": "concat"},
        {"prior_classes": (3,)},
        {"prior_classes": (2, 3)},
        {"attention_stride": 16},
        {"attention_heads": 4},
    ],
)
def test_every_switch_changes_what_comes_out(change: dict[str, Any]) -> None:
    """With the weights that both have made equal, so that the part itself and not chance makes the difference; in
    training mode, where normalisation keeps every part's share of the signal visible."""
    network, other = _network(SLIM), _network(dataclasses.replace(SLIM, **change))
    own = network.state_dict()
    shared = {k: own[k] for k, v in other.state_dict().items() if k in own and own[k].shape == v.shape}
    other.load_state_dict(shared, strict=False)
    image = noise(2, 1, 32, 32)
    with torch.no_grad():
        assert (network.train()(image) - other.train()(image)).abs().max() > 1e-3


@pytest.mark.parametrize("row", ["U-Net alone", "MedSAM alone", "+ gated fusion"])
def test_logits_are_of_what_is_seen_alone(row: str) -> None:
    """In evaluation no image of a batch knows of another, and the same image gives the same numbers every time."""
    network = _network(ROWS[row]).eval()
    images = noise(3, 1, 32, 32)
    with torch.no_grad():
        together = network(images)
        assert torch.equal(together, network(images))
        assert torch.allclose(together[1:2], network(images[1:2]), atol=1e-5)


def test_both_branches_reach_the_logits_through_trained_weights() -> None:
    """What the published code lacks: every weight on the way is a parameter, saved, and moved by training."""
    network = _network().train()
    before = {k: v.detach().clone() for k, v in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    _loss(network(noise(2, 1, 32, 32))).backward()
    optimiser.step()
    still = [k for k, v in network.named_parameters() if torch.equal(v, before[k])]
    # attention weighs alike before anything is learnt of keys: their bias has no effect at all
    assert set(still) <= {k for k in before if k.endswith("k_proj.bias") or "qkv.bias" in k}
    for branch in ("encoder.", "sam_decoder.", "unet.", "fusion.", "classify."):
        assert any(k.startswith(branch) for k in network.state_dict())


def test_saved_weights_give_the_same_logits(tmp_path: Path) -> None:
    network, other = _network().eval(), _network(seed=1).eval()
    image = noise(1, 1, 32, 32)
    assert not torch.allclose(network(image), other(image))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(network(image), other(image))


def test_registry_builds_it() -> None:
    assert isinstance(registry.build("scarnet", TINY), ScarNet)


@pytest.mark.parametrize("row", ["MedSAM alone", "both, concatenated", "+ gated fusion"])
@pytest.mark.parametrize("slices", [1, 3, 5])
def test_forward_is_decode_of_encode(row: str, slices: int) -> None:
    network = _network(dataclasses.replace(ROWS[row], in_channels=slices)).eval()
    image = noise(2, slices, 32, 40)
    assert is_encoder_decoder(network)
    with torch.no_grad():
        features = network.encode(image)
        # behind the encoder's 32 channels, 8 x 8 px of every slice
        pixels = 0 if row == "MedSAM alone" else 64 * slices
        assert features.shape == (2, 32 + pixels, 4, 5)
        assert torch.allclose(network(image), network.decode(features, (32, 40)), atol=1e-5)


def test_frozen_encoder_keeps_its_weights_and_the_rest_learns() -> None:
    network = _network(dataclasses.replace(SLIM, freeze_encoder=True)).train()
    assert network.encoder_frozen
    assert not any(module.training for module in network.encoder.modules())
    assert network.unet.training
    _loss(network(noise(2, 1, 32, 32))).backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == name.startswith("encoder."), name
    image = noise(2, 1, 32, 32)
    kept = network.encode(image)
    assert not kept.requires_grad
    assert torch.allclose(network(image), network.decode(kept, (32, 32)), atol=1e-4)


def test_tuned_encoder_learns_and_is_not_kept() -> None:
    network = _network().train()
    assert not network.encoder_frozen
    assert all(module.training for module in network.encoder.modules())


@pytest.mark.parametrize(("slices", "kept"), [(1, True), (3, True), (5, False)])
def test_features_may_be_kept_unless_a_mixture_of_slices_is_learned(slices: int, kept: bool) -> None:
    assert _network(dataclasses.replace(TINY, freeze_encoder=True, in_channels=slices)).encoder_frozen == kept


def test_without_sam_branch_there_is_no_encoder() -> None:
    network = _network(ROWS["U-Net alone"])
    assert not is_encoder_decoder(network)
    for call in (
        lambda: network.load_encoder(Path("nowhere")),
        lambda: network.encode(noise(1, 1, 32, 32)),
        lambda: network.decode(noise(1, 96, 4, 4), (32, 32)),
    ):
        with pytest.raises(UsageError, match="no encoder"):
            call()


def test_encoder_is_taken_from_a_bundle(tmp_path: Path) -> None:
    torch.manual_seed(5)
    donor = ImageEncoderViT(TINY.encoder)
    documents = {"CARD.md": "card", "LICENSE": "terms"}
    write_encoder_bundle(tmp_path / "encoder", TINY.encoder, donor.state_dict(), {"name": "test"}, documents)
    network = _network()
    network.load_encoder(tmp_path / "encoder")
    rounded = {k: v.half().float() for k, v in donor.state_dict().items()}
    assert all(torch.equal(v, rounded[k]) for k, v in network.encoder.state_dict().items())
    other = _network(dataclasses.replace(TINY, encoder=dataclasses.replace(TINY.encoder, depth=3)))
    with pytest.raises(BundleError):
        other.load_encoder(tmp_path / "encoder")


@pytest.mark.parametrize("size", [(32, 36), (20, 32)])
def test_images_that_do_not_divide_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="multiples of 8 px"):
        _network()(noise(1, 1, *size))


def test_prior_raises_features_where_its_classes_are_likely() -> None:
    """With weights that see nothing but the class of the prior: logits there are those of features times 1 + p."""
    network = _network(dataclasses.replace(ROWS["prior of U-Net"], dropout=0.0)).eval()
    image = noise(1, 1, 32, 32)
    with torch.no_grad():
        features = network.unet(image)
        likely = network.classify(features).softmax(1)[:, 3:4]
        assert torch.allclose(network(image), network.classify(features * (1 + likely)), atol=1e-6)


def test_dropout_is_for_training_alone() -> None:
    network = _network(dataclasses.replace(TINY, dropout=0.5)).train()
    image = noise(2, 1, 32, 32)
    assert not torch.equal(network(image), network(image))
    assert network.dropout.p == 0.5
    slim = _network(SLIM).train()
    assert torch.equal(slim(image), slim(image))


@pytest.mark.parametrize("n_classes", [2, 4, 6])
def test_number_of_classes_is_the_configurations(n_classes: int) -> None:
    assert _network(dataclasses.replace(TINY, n_classes=n_classes)).eval()(noise(1, 1, 32, 32)).shape[1] == n_classes


def test_learns_a_scar() -> None:
    """Cavity, muscle and a bright sector of it, with the corrected loss, by heart."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    radius = ((rows - 15) ** 2 + (columns - 16) ** 2).sqrt()
    truth = (radius < 6).long() + 2 * ((radius >= 6) & (radius < 11)).long()
    truth[(truth == 2) & (rows > 18) & (columns > 14)] = 3
    brightness = torch.tensor([0.0, 0.6, -0.8, 1.2])
    image = brightness[truth][None, None].repeat(2, 1, 1, 1) + 0.1 * noise(2, 1, 32, 32)
    target = truth[None].repeat(2, 1, 1)
    network = _network(SLIM).train()
    criterion = CompositeLoss(LOSSES["corrected"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        criterion(outputs_of(network(image)), target)["total"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    found = network(image).argmax(1)
    for k in (1, 2, 3):
        overlap = 2 * float(((found == k) & (target == k)).sum()) / float((found == k).sum() + (target == k).sum())
        assert overlap > 0.9, k
