"""Spaces, and objectives that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.train.space import Categorical, Continuous, Logarithmic, Space
from cmrseg.train.tune.search import Settings

MIXED: dict[str, Space] = {
    "rate": Logarithmic(1e-4, 1e-1),
    "loss": Categorical(("dice", "focal", "boundary")),
    "weight": Continuous(-1.0, 3.0),
}


def value_of(settings: Settings) -> float:
    """Best where the weight is 1 and the loss is focal."""
    return -((settings["weight"] - 1.0) ** 2) - (settings["loss"] != "focal") - settings["rate"]


def slow_value_of(settings: Settings) -> float:
    """The same, slowly enough to be killed on the way."""
    time.sleep(0.05)
    return value_of(settings)


def fails_below_one(settings: Settings) -> float:
    """Fails in three ways, by weight; succeeds from 1 on."""
    if settings["weight"] < 0.0:
        raise UsageError("The weight is negative.", "Give another.")
    if settings["weight"] < 0.5:
        return float("nan")
    if settings["weight"] < 1.0:
        raise FileNotFoundError(2, "No such file or directory", "/data/Doe^Jane/1.dcm")
    return float(settings["weight"])


def always_fails(settings: Settings) -> float:
    """Fails."""
    raise ValueError("no luck")


def defective(settings: Settings) -> float:
    """A mistake in the objective itself."""
    raise KeyError("wieght")


def dies_above_two(settings: Settings) -> float:
    """The process is killed, as for want of memory, where the weight is above 2."""
    if settings["weight"] > 2.0:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(settings["weight"])


class SaysWhoRan:
    """Leaves the number of its process in a folder, then waits long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: Settings) -> float:
        """Never returns within a test."""
        (self.folder / str(os.getpid())).touch()
        time.sleep(120)
        return 0.0
