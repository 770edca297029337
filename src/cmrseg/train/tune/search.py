"""What every search is: a thing that is asked for settings and told what they were worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from cmrseg.errors import UsageError
from cmrseg.train.space import Space

#: Values by dotted path, as in ``{"optim.learning_rate": 0.001}``.
Settings = Mapping[str, Any]
#: What a trial that failed is worth to a search: less than any other.
WORST = -math.inf


class Search(Protocol):
    """Proposes settings in generations; the same seed and the same values always give the same proposals."""

    def ask(self) -> list[Settings]:
        """The next generation."""

    def tell(self, values: Sequence[float]) -> None:
        """What the settings of the last `ask` were worth, in their order: higher is better, `WORST` for failed ones."""


def dimensions(spaces: Mapping[str, Space]) -> int:
    """Number of unit intervals that all spaces need together."""
    return sum(space.dimensions for space in spaces.values())


def decode(spaces: Mapping[str, Space], unit: Sequence[float]) -> dict[str, Any]:
    """Settings at a point of the unit cube, whose axes belong to the spaces in turn."""
    settings: dict[str, Any] = {}
    start = 0
    for path, space in spaces.items():
        settings[path] = space.decode(unit[start : start + space.dimensions])
        start += space.dimensions
    return settings


def encode(spaces: Mapping[str, Space], settings: Settings) -> list[float]:
    """A point of the unit cube that decodes to the settings; UsageError for a value missing or outside its space."""
    missing = [path for path in spaces if path not in settings]
    if missing:
        raise UsageError(f"There is no value for {', '.join(missing)}.", "Give one for every space.")
    return [u for path, space in spaces.items() for u in space.encode(settings[path])]


def chosen(spaces: Mapping[str, Space], settings: Settings) -> dict[str, Any]:
    """The settings that the spaces name, to the last digit; UsageError as `encode`."""
    encode(spaces, settings)
    return {path: settings[path] for path in spaces}


def check_spaces(spaces: Mapping[str, Space]) -> None:
    """UsageError when there is nothing to search."""
    if not spaces:
        raise UsageError(
            "There is no setting to search.", "Mark fields of the configuration with `tunable`, or fix fewer of them."
        )


class Turns:
    """Keeps `ask` and `tell` in turn, and the number of values right."""

    def __init__(self) -> None:
        self._waiting_for: int | None = None

    def asked(self, count: int) -> None:
        """A generation of `count` goes out; UsageError when the one before was not told."""
        if self._waiting_for is not None:
            raise UsageError("The last generation has not been told.", "Tell its values before asking again.")
        self._waiting_for = count

    def told(self, values: Sequence[float]) -> None:
        """Its values come in; UsageError for another number of them, for NaN, and for values nobody asked for."""
        if self._waiting_for != len(values):
            raise UsageError(
                f"{len(values)} values were told, {self._waiting_for or 0} were asked for.", "Tell one for each."
            )
        if any(math.isnan(value) for value in values):
            raise UsageError("NaN cannot be compared.", "Tell WORST for a trial that failed.")
        self._waiting_for = None
