"""State of a run on disk, written whole after every epoch: tensors and the epoch, no pickles."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmrseg.io.files import output_file

NAME = "checkpoint.safetensors"


def is_run(folder: Path) -> bool:
    """Whether a folder holds the weights of a training."""
    return (folder / NAME).is_file()


def save(run: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
    """Write weights, averaged weights and the optimiser's state; frozen weights stand in the average alone.

    Args:
        run: folder of the run.
        model: the network that is trained.
        average: its running average.
        optimiser: of the trainable weights.
        epoch: epochs done.
    """
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items() if k not in frozen}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    with output_file(run / NAME) as partial:
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata={"epoch": str(epoch)})


def resume(run: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Load what `save` wrote into the three; returns the number of epochs already done, 0 for a new run."""
    path = run / NAME
    if not path.exists():
        return 0
    tensors = load_file(path)
    weights = {k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")}
    average.load_state_dict(weights)
    own = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    model.load_state_dict(weights | own)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    with safe_open(path, "pt") as file:
        return int(file.metadata()["epoch"])
