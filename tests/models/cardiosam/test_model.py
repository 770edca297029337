"""The whole network: switches, frozen encoder, features that may be kept, input sizes, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnxruntime
import pytest
import torch
from cardiosam_models import TINY, noise
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from cmrseg.errors import BundleError
from cmrseg.models import registry
from cmrseg.models.cardiosam.config import CardioSAMConfig, ablation
from cmrseg.models.cardiosam.model import CardioSAM
from cmrseg.models.encoder_bundle import write_encoder_bundle
from cmrseg.models.outputs import Outputs, is_encoder_decoder, outputs_of
from cmrseg.models.sam.image_encoder import ImageEncoderViT

ROWS = ablation(TINY)


def _network(config: CardioSAMConfig = TINY, seed: int = 0) -> CardioSAM:
    torch.manual_seed(seed)
    return CardioSAM(config)


def _loss(result: Tensor | Outputs) -> Tensor:
    outputs = outputs_of(result)
    size = outputs.logits_BKHW.shape
    truth = torch.randint(0, size[1], (size[0], *size[2:]), generator=torch.Generator().manual_seed(3))
    loss = cross_entropy(outputs.logits_BKHW, truth)
    if outputs.boundary_B1HW is not None:
        loss = loss + binary_cross_entropy_with_logits(outputs.boundary_B1HW, (truth[:, None] > 0).float())
    return loss


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_ablation_learns(row: str) -> None:
    """Forward, backward, and finite gradients that reach every weight but the encoder's."""
    network = _network(ROWS[row]).train()
    result = network(noise(2, 1, 32, 32))
    assert isinstance(result, Outputs) == ROWS[row].boundary_refinement
    outputs = outputs_of(result)
    assert outputs.logits_BKHW.shape == (2, 4, 32, 32)
    if ROWS[row].boundary_refinement:
        assert outputs.boundary_B1HW is not None
        assert outputs.boundary_B1HW.shape == (2, 1, 32, 32)
    _loss(result).backward()
    for name, parameter in network.named_parameters():
        if name.startswith("encoder."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name
    inference = network.eval()(noise(2, 1, 32, 32))
    assert isinstance(inference, Tensor)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_ablation_exports(row: str, tmp_path: Path) -> None:
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


def test_forward_is_decode_of_encode() -> None:
    network = _network().eval()
    image = noise(2, 1, 32, 40)
    assert is_encoder_decoder(network)
    with torch.no_grad():
        features = network.encode(image)
        assert features.shape == (2, 32, 4, 5)
        assert torch.equal(network(image), network.decode(features, (32, 40)))


def test_forward_is_decode_of_encode_in_training_too() -> None:
    network = _network().train()
    image = noise(2, 1, 32, 32)
    whole, parts = network(image), network.decode(network.encode(image), (32, 32))
    assert torch.equal(whole.logits_BKHW, parts.logits_BKHW)
    assert torch.equal(whole.boundary_B1HW, parts.boundary_B1HW)


def test_frozen_encoder_stays_in_evaluation_mode_and_keeps_its_weights() -> None:
    network = _network().train()
    assert network.encoder_frozen
    assert network.training
    assert network.decoder.training
    assert not any(module.training for module in network.encoder.modules())
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    decoder_before = [p.detach().clone() for p in network.decoder.parameters()]
    _loss(network(noise(2, 1, 32, 32))).backward()
    optimiser.step()
    assert all(torch.equal(v, before[k]) for k, v in network.encoder.state_dict().items())
    moved = [not torch.equal(p, q) for p, q in zip(network.decoder.parameters(), decoder_before, strict=True)]
    assert all(moved)


def test_encoder_that_is_not_frozen_learns() -> None:
    network = _network(dataclasses.replace(TINY, freeze_encoder=False)).train()
    assert not network.encoder_frozen
    assert all(module.training for module in network.encoder.modules())
    _loss(network(noise(2, 1, 32, 32))).backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.encoder.parameters())


@pytest.mark.parametrize(("slices", "kept"), [(1, True), (3, True), (5, False)])
def test_features_may_be_kept_unless_a_mixture_of_slices_is_learned(slices: int, kept: bool) -> None:
    network = _network(dataclasses.replace(TINY, in_channels=slices)).train()
    assert network.encoder_frozen == kept
    image = noise(2, slices, 32, 32)
    features = network.encode(image)
    assert features.requires_grad != kept
    _loss(network(image)).backward()
    assert all(p.grad is None for p in network.encoder.parameters())
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.adapter.parameters())


def test_input_is_resampled_where_the_configuration_says_so() -> None:
    network = _network(dataclasses.replace(TINY, image_size=64)).eval()
    image = noise(1, 1, 30, 50)
    with torch.no_grad():
        assert network.encode(image).shape == (1, 32, 8, 8)
        assert network(image).shape == (1, 4, 30, 50)


@pytest.mark.parametrize("stages", [1, 2])
def test_fewer_stages_end_at_the_same_size(stages: int) -> None:
    network = _network(dataclasses.replace(TINY, stages=stages)).eval()
    assert len(network.decoder.stages) == stages
    assert network(noise(1, 1, 32, 32)).shape == (1, 4, 32, 32)


def test_encoder_is_taken_from_a_bundle(tmp_path: Path) -> None:
    torch.manual_seed(5)
    donor = ImageEncoderViT(TINY.encoder)
    documents = {"CARD.md": "card", "LICENSE": "terms"}
    write_encoder_bundle(tmp_path / "encoder", TINY.encoder, donor.state_dict(), {"name": "test"}, documents)
    network = _network()
    network.load_encoder(tmp_path / "encoder")
    rounded = {k: v.half().float() for k, v in donor.state_dict().items()}
    assert all(torch.equal(v, rounded[k]) for k, v in network.encoder.state_dict().items())
    assert not any(p.requires_grad for p in network.encoder.parameters())


def test_encoder_of_other_sizes_is_refused(tmp_path: Path) -> None:
    other = dataclasses.replace(TINY.encoder, depth=1)
    documents = {"CARD.md": "card", "LICENSE": "terms"}
    weights = ImageEncoderViT(other).state_dict()
    write_encoder_bundle(tmp_path / "encoder", other, weights, {"name": "test"}, documents)
    with pytest.raises(BundleError, match="is missing"):
        _network().load_encoder(tmp_path / "encoder")


def test_weights_come_back_from_a_state_dict() -> None:
    network, other = _network().eval(), _network(seed=1).eval()
    image = noise(1, 1, 32, 32)
    assert not torch.allclose(network(image), other(image))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(image), other(image))


def test_registry_builds_it() -> None:
    assert isinstance(registry.build("cardiosam", TINY), CardioSAM)


def test_learns_a_disc() -> None:
    """A frozen random encoder tells inside from outside well enough for the decoder to learn one image by heart."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    truth = (((rows - 13) ** 2 + (columns - 18) ** 2) < 49).long()[None].repeat(2, 1, 1)
    image = truth[:, None].float() + 0.1 * noise(2, 1, 32, 32)
    network = _network(dataclasses.replace(TINY, n_classes=2, width=64)).train()
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        cross_entropy(outputs_of(network(image)).logits_BKHW, truth).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    found = outputs_of(network(image)).logits_BKHW.argmax(1)
    overlap = 2 * float((found * truth).sum()) / float(found.sum() + truth.sum())
    assert overlap > 0.95
