"""Low-rank updates: nothing at first, the same merged or not, the count of the paper, and what peft makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sam_baseline_models import in_onnx_runtime, network, noise, randomise
from torch import nn

from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam_baselines.config import SamLoraConfig
from cmrseg.models.sam_baselines.lora import LoraQKV, SamLora


def _layer(rank: int = 3, alpha: float = 6.0, targets: tuple[str, ...] = ("q", "v")) -> tuple[nn.Linear, LoraQKV]:
    torch.manual_seed(0)
    base = nn.Linear(8, 24)
    return base, LoraQKV(base, rank, alpha, targets)


def _with_updates(layer: LoraQKV) -> LoraQKV:
    with torch.no_grad():
        layer.lora_up_TDR.copy_(noise(*layer.lora_up_TDR.shape, seed=2))
    return layer


@pytest.mark.parametrize("training", [True, False])
def test_before_training_it_is_the_base(training: bool) -> None:
    base, layer = _layer()
    x = noise(2, 5, 8)
    assert torch.equal(layer.train(training)(x), base(x))
    assert bool(layer.lora_down_TRD.any())


def test_whole_network_before_training_is_the_base() -> None:
    model = network("lora")
    plain = ImageEncoderViT(model.config.encoder)
    plain.load_state_dict({k: v for k, v in model.encoder.state_dict().items() if "lora_" not in k})
    image = noise(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.train().encode(image), plain(image.expand(-1, 3, -1, -1)), atol=1e-6)


def test_update_by_hand_touches_its_targets_alone() -> None:
    base, layer = _layer(rank=3, alpha=6.0, targets=("v", "q"))
    _with_updates(layer).eval()
    x = noise(4, 8)
    added = (layer(x) - base(x)).detach()
    v, q = (x @ layer.lora_down_TRD[t].T @ layer.lora_up_TDR[t].T * (6 / 3) for t in (0, 1))
    assert torch.allclose(added[:, :8], q, atol=1e-5)
    assert torch.allclose(added[:, 16:], v, atol=1e-5)
    assert not added[:, 8:16].any()


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("q", "k", "v")])
def test_merged_is_unmerged(targets: tuple[str, ...]) -> None:
    base, layer = _layer(targets=targets)
    _with_updates(layer)
    x = noise(2, 5, 8)
    unmerged, merged = layer.train()(x), layer.eval()(x)
    assert torch.allclose(unmerged, merged, atol=1e-5)
    assert not torch.allclose(unmerged, base(x), atol=1e-2)
    plain = nn.Linear(8, 24)
    plain.load_state_dict({"weight": layer.merged_weight(), "bias": layer.bias})
    assert torch.allclose(plain(x), merged, atol=1e-5)


def test_exported_network_holds_merged_weights_alone(tmp_path: Path) -> None:
    """ONNX Runtime adds the updates to the weights when it loads the file, once."""
    model = network("lora", rank=11)
    randomise(model)
    images = noise(3, 1, 32, 32)
    given, held = in_onnx_runtime(model.eval(), images, tmp_path)
    with torch.no_grad():
        expected = model(images)
    assert (given - expected).abs().max() <= 1e-4 * float(expected.abs().max())
    assert held.count([32, 96]) + held.count([96, 32]) == model.config.encoder.depth
    assert not any(11 in shape for shape in held)


def test_weights_added_are_those_of_rank_16_on_queries_and_values_of_vit_b() -> None:
    with torch.device("meta"):
        model = SamLora(SamLoraConfig())
    added = sum(p.numel() for k, p in model.named_parameters() if "lora_" in k)
    assert added == 12 * 2 * (16 * 768 + 768 * 16) == 589_824


def test_peft_gives_the_same() -> None:
    """The library updates the joint projection: three updates side by side are one of three times the rank."""
    peft = pytest.importorskip("peft")
    base, layer = _layer(rank=2, alpha=5.0, targets=("q", "k", "v"))
    _with_updates(layer)
    config = peft.LoraConfig(r=6, lora_alpha=15.0, target_modules=["0"], lora_dropout=0.0)
    theirs = peft.get_peft_model(nn.Sequential(base), config)
    linear = theirs.base_model.model[0]
    with torch.no_grad():
        linear.lora_A["default"].weight.copy_(layer.lora_down_TRD.flatten(0, 1))
        linear.lora_B["default"].weight.copy_(torch.block_diag(*layer.lora_up_TDR))
    x = noise(3, 8)
    expected = theirs(x)
    assert torch.allclose(layer.train()(x), expected, atol=1e-5)
    merged = theirs.merge_and_unload()[0]
    assert torch.allclose(layer.merged_weight(), merged.weight, atol=1e-6)
