"""A torch network as the Predictor that `segment` expects, so that validation walks the path of analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from cmrseg.errors import UsageError
from cmrseg.models import registry
from cmrseg.models.blocks import to_channels_last
from cmrseg.segment.bundle import load
from cmrseg.segment.engine import Stage
from cmrseg.train.checkpoint import is_run
from cmrseg.train.config import TrainConfig

#: Slices that a network sees at once.
BATCH = 16


class TorchPredictor:
    """Class probabilities of one or several torch networks: float32[N, S, H, W] -> float32[members, N, K, H, W]."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        self.members = members

    @torch.inference_mode()
    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]:
        device = next(self.members[0].parameters()).device
        parts = []
        for k in range(0, len(inputs_NSHW), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(inputs_NSHW[k : k + BATCH])).to(device)
            batch = batch.contiguous(memory_format=torch.channels_last)
            parts.append(torch.stack([member(batch).softmax(1) for member in self.members]).cpu())
        result: NDArray[np.float32] = torch.cat(parts, dim=1).contiguous().numpy()
        return result


def load_run(run: Path) -> tuple[TrainConfig, nn.Module]:
    """Configuration and averaged network of a run folder, in evaluation mode."""
    config = TrainConfig.load(run / "config.json")
    model = registry.build(config.network, config.model)
    tensors = load_file(run / "checkpoint.safetensors")
    model.load_state_dict({k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")})
    return config, to_channels_last(model.eval())


def stage_of(runs: Sequence[Path]) -> Stage:
    """The networks of one or several runs as one stage; their input specs must be equal (ValueError)."""
    loaded = [load_run(run) for run in runs]
    specs = {config.input for config, _ in loaded}
    if len(specs) != 1:
        raise ValueError("members of an ensemble must see the same input")
    return Stage(specs.pop(), TorchPredictor([model for _, model in loaded]))


def start_from(source: str, model: nn.Module) -> tuple[str, ...]:
    """Give a network the weights of another of the same layers.

    Args:
        source: run folder, whose averaged weights are taken; or name or folder of a bundle, whose first network is
            taken, its second with ``:1`` behind.
        model: takes them, but for layers of another shape, as the last one's when classes differ.

    Returns:
        names of the weights that keep their random values.

    Raises:
        UsageError: the layers are not the same.
        BundleError: no bundle, or a damaged one.
    """
    if is_run(Path(source)):
        weights = load_run(Path(source))[1].state_dict()
    else:
        name, _, member = source.partition(":")
        prefix = f"segmenter.{member or 0}."
        tensors = load_file(load(name).path / "weights.safetensors")
        weights = {k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)}
    own = model.state_dict()
    if set(weights) != set(own):
        raise UsageError(f"The network of {source!r} has other layers.", "Start from the same network.")
    other = tuple(k for k, v in own.items() if v.shape != weights[k].shape)
    model.load_state_dict({k: own[k] if k in other else weights[k] for k in own})
    return other
