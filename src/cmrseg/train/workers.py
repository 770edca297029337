"""Processes that train one network together, through torch.distributed; ``torchrun`` starts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Workers:
    """This process among those that train together; one alone without torchrun."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Processes in all."""

    @classmethod
    def join(cls) -> Workers:
        """Join the processes that torchrun started; alone when it did not start this one."""
        if not distributed.is_torchelastic_launched():
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

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
