"""Objectives whose best settings are known, to test searches on. All are to be maximised, and 0 at their best.

The best place is never in the middle of the range, where searches that drift to the middle would find it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cmrseg.train.space import Categorical, Continuous, Logarithmic, Space
from cmrseg.train.tune.search import Settings


@dataclass(frozen=True)
class TestFunction:
    """An objective with its answer.

    Args:
        name: what it is called.
        objective: function of settings; at most 0.
        spaces: where it is searched.
        best: the settings at which it is 0.
    """

    __test__ = False  # not a test case of pytest

    name: str
    objective: Callable[[Settings], float]
    spaces: Mapping[str, Space]
    best: Mapping[str, Any]


def sphere(settings: Settings) -> float:
    """Minus the squared distance from the origin: the easiest there is."""
    return -sum(float(x) ** 2 for x in settings.values())


def rosenbrock(settings: Settings) -> float:
    """A curved, nearly flat valley that leads to (1, 1, ...) (Rosenbrock, Comput. J. 3(3), 1960, 175-184)."""
    x = [float(value) for value in settings.values()]
    return -sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x))


def rastrigin(settings: Settings) -> float:
    """A bowl with a dip at every whole number; the deepest is the origin (Rastrigin 1974)."""
    x = [float(value) for value in settings.values()]
    return -sum(10 + a * a - 10 * math.cos(2 * math.pi * a) for a in x)


def mixed(settings: Settings) -> float:
    """Shaped like a training: a rate by orders of magnitude, a loss to choose, a weight whose best depends on it."""
    penalty = {"dice": 0.3, "dice_ce": 0.0, "focal": 0.6, "boundary": 1.0}[settings["loss"]]
    weight = {"dice": 0.2, "dice_ce": 0.7, "focal": 0.9, "boundary": 0.1}[settings["loss"]]
    rate_decades = math.log10(float(settings["learning_rate"]) / 3e-3)
    return -(rate_decades**2) - 4 * (float(settings["weight"]) - weight) ** 2 - penalty


def _cube(low: float, high: float, dimensions: int) -> dict[str, Space]:
    return {f"x{k}": Continuous(low, high) for k in range(dimensions)}


#: In four dimensions, as many as a study of settings has that can afford tens of trials.
FUNCTIONS = (
    TestFunction("sphere", sphere, _cube(-3.0, 7.0, 4), {f"x{k}": 0.0 for k in range(4)}),
    TestFunction("rosenbrock", rosenbrock, _cube(-2.0, 3.0, 4), {f"x{k}": 1.0 for k in range(4)}),
    TestFunction("rastrigin", rastrigin, _cube(-4.0, 6.0, 4), {f"x{k}": 0.0 for k in range(4)}),
    TestFunction(
        "mixed",
        mixed,
        {
            "learning_rate": Logarithmic(1e-5, 1e-1),
            "loss": Categorical(("dice", "focal", "boundary", "dice_ce")),
            "weight": Continuous(0.0, 2.0),
        },
        {"learning_rate": 3e-3, "loss": "dice_ce", "weight": 0.7},
    ),
)
