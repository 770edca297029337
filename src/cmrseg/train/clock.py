"""How long training takes, in seconds that compare one network with another."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def training_clock(device: torch.device, threads: int) -> Callable[[], float]:
    """A clock for differences, in seconds.

    On a processor it counts the time that this process computed, per thread, so that whatever else runs on the machine
    costs no network its epochs; on a GPU, where the process mostly waits, the time that passed.

    Args:
        device: what trains.
        threads: of the training, at least 1.
    """
    if device.type == "cpu":
        return lambda: time.process_time() / threads
    return time.monotonic
