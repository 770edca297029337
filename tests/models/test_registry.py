"""Every network of the registry, small: it trains, comes back from disk, and runs in ONNX Runtime as in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmrseg.errors import UsageError
from cmrseg.models import registry
from cmrseg.models.outputs import outputs_of
from cmrseg.models.registry import ENTRIES, ModelEntry
from cmrseg.models.unet import UNetConfig
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import OnnxPredictor
from cmrseg.train.config import TrainConfig
from cmrseg.train.export import TOLERANCE, WEIGHTS, write_onnx
from cmrseg.train.predict import TorchPredictor

SIDE = 64
N_CLASSES = 4
every_network = pytest.mark.parametrize("entry", ENTRIES, ids=[e.name for e in ENTRIES])


def small(entry: ModelEntry, in_channels: int = 3) -> nn.Module:
    """A network of the tiny configuration with reproducible random weights."""
    torch.manual_seed(0)
    kind = registry.config_type(entry.name)
    return registry.build(entry.name, kind(**{"in_channels": in_channels, "n_classes": N_CLASSES, **entry.tiny}))


def slices(count: int, channels: int = 3, seed: int = 1) -> Tensor:
    """Normalised slices."""
    return torch.randn(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def tensors_of(model: nn.Module, x_BSHW: Tensor) -> list[Tensor]:
    """Logits and what auxiliary heads give."""
    given = [t for t in outputs_of(model(x_BSHW)) if t is not None]
    return [part for t in given for part in (t if isinstance(t, tuple) else (t,))]


def test_names_are_unique_and_an_unknown_one_is_refused_with_those_there_are() -> None:
    assert len(set(registry.names())) == len(ENTRIES)
    with pytest.raises(UsageError, match="no network 'vgg'") as refused:
        registry.entry("vgg")
    assert "unet" in str(refused.value.remedy)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_at_the_cpu_size_no_network_is_too_large_for_two_cores(entry: ModelEntry) -> None:
    with torch.device("meta"):
        network = registry.build(entry.name, registry.sized(entry.name, "cpu", 3))
    assert sum(p.numel() for p in network.parameters()) < 20e6


def test_a_configuration_of_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match="UNetConfig does not configure 'cardiosam'"):
        registry.build("cardiosam", UNetConfig())


@every_network
@pytest.mark.parametrize("in_channels", [1, 3, 5])
def test_logits_of_the_images_size_for_any_number_of_neighbours(entry: ModelEntry, in_channels: int) -> None:
    model = small(entry, in_channels).eval()
    with torch.no_grad():
        logits = model(slices(2, in_channels))
    assert isinstance(logits, Tensor), "auxiliary heads belong to training"
    assert logits.shape == (2, N_CLASSES, SIDE, SIDE)
    assert bool(torch.isfinite(logits).all())
    over_background = logits[:, 1:] - logits[:, :1]
    assert float(over_background.std(dim=(2, 3)).min()) > 0, "a structure is as likely everywhere"


@every_network
def test_slices_of_a_batch_do_not_touch_each_other(entry: ModelEntry) -> None:
    model = small(entry).eval()
    x = slices(3)
    with torch.no_grad():
        together, alone = model(x), model(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


@every_network
def test_every_trainable_weight_gets_a_finite_gradient(entry: ModelEntry) -> None:
    model = small(entry).train()
    sum(t.square().mean() for t in tensors_of(model, slices(2))).backward()
    missing = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
    broken = [k for k, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    frozen = [k for k, p in model.named_parameters() if not p.requires_grad and p.grad is not None]
    assert (missing, broken, frozen) == ([], [], [])
    assert any(float(p.grad.abs().max()) > 0 for p in model.parameters() if p.grad is not None)


@every_network
def test_a_few_steps_lower_the_loss(entry: ModelEntry) -> None:
    model = small(entry).train()
    x = slices(2)
    target = (x[:, 1] > 0).long()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(outputs_of(model(x)).logits_BKHW, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_network
def test_configuration_and_weights_come_back_from_disk(entry: ModelEntry, tmp_path: Path) -> None:
    model = small(entry).eval()
    kind = registry.config_type(entry.name)
    config = TrainConfig(network=entry.name, model=kind(**{"in_channels": 3, "n_classes": N_CLASSES, **entry.tiny}))
    config.save(tmp_path / "config.json")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "weights.safetensors")

    loaded = TrainConfig.load(tmp_path / "config.json")
    assert loaded == config
    torch.manual_seed(1)
    again = registry.build(loaded.network, loaded.model).eval()
    x = slices(1)
    with torch.no_grad():
        expected, before = model(x), again(x)
        again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        found = again(x)
    assert torch.equal(found, expected)
    assert not torch.equal(before, expected), "the network does not depend on its weights"


@pytest.mark.slow
@every_network
def test_onnx_runtime_agrees_with_torch_at_any_batch_size(entry: ModelEntry, tmp_path: Path) -> None:
    model = small(entry).eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())
    stored = {f"net.{k}": v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in stored.items()}, tmp_path / WEIGHTS)
    write_onnx(tmp_path / "net.onnx", {"net": model}, InputSpec(size=SIDE, context_slices=3))
    in_onnx, in_torch = OnnxPredictor(tmp_path / "net.onnx"), TorchPredictor([model])
    for count in (1, 3):
        x = slices(count, seed=count + 5).numpy()
        found = in_onnx(x)
        assert found.shape == (1, count, N_CLASSES, SIDE, SIDE)
        np.testing.assert_allclose(found, in_torch(x), atol=TOLERANCE)
