"""Processes that train one network together, through torch.distributed; ``torchrun`` starts them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from cmrseg.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")


def chosen_device(name: str, number: int = 0) -> torch.device:
    """The device of a name.

    Args:
        name: ``cpu``; ``cuda``; or ``auto``: a GPU where there is one.
        number: which GPU, from 0.

    Raises:
        UsageError: no such name, or no such GPU.
    """
    if name not in DEVICES:
        raise UsageError(f"There is no device {name!r}.", f"Devices: {', '.join(DEVICES)}.")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if number >= torch.cuda.device_count():
        raise UsageError(f"There is no GPU {number} here.", "Start fewer processes, or set device to cpu.")
    return torch.device("cuda", number)


@dataclass(frozen=True)
class Workers:
    """This process among those that train together; one alone without torchrun."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Processes in all."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where this process computes; on a GPU of its own, if there is one for each."""

    @classmethod
    def join(cls, device: str = "cpu") -> Workers:
        """Join the processes that torchrun started; alone when it did not start this one.

        Args:
            device: see `chosen_device`.
        """
        if not distributed.is_torchelastic_launched():
            return cls(device=chosen_device(device))
        own = chosen_device(device, distributed.get_node_local_rank(0))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size(), own)

    @property
    def first(self) -> bool:
        """Whether this is the process that validates and writes."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which of an epoch's shuffled slices are this process's."""
        return slice(self.rank, None, self.count)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network with its gradients averaged over all processes in every backward pass."""
        if self.count == 1:
            return model
        # Auxiliary heads may stay unused, as when their loss has no weight.
        return DistributedDataParallel(model, find_unused_parameters=True)

    def average_gradients(self, model: nn.Module, wrapped: bool) -> None:
        """The same average, after the backward pass, for a network that is not called through `wrap`."""
        if self.count == 1 or wrapped:
            return
        for value in model.parameters():
            if value.requires_grad:
                gradient = value.grad if value.grad is not None else torch.zeros_like(value)
                distributed.all_reduce(gradient, op=distributed.ReduceOp.SUM)
                value.grad = gradient / self.count

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()
