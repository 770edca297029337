"""What may be searched: the range of a setting, stored beside its default in the configuration itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cmrseg.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
#: Key of a space in the metadata of a dataclass field.
METADATA_KEY = "tune"


class Space(Protocol):
    """Values of one setting, laid out on one or several unit intervals so that a search can move through them."""

    @property
    def dimensions(self) -> int:
        """Number of unit intervals."""

    def decode(self, unit: Sequence[float]) -> Any:
        """The value at a point of [0, 1]^dimensions."""

    def encode(self, value: Any) -> tuple[float, ...]:
        """A point that decodes to the value; UsageError for a value outside the space."""


def _check_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"{low} to {high} is no range.", "Give a finite lower limit below a finite upper limit.")


def _check_inside(value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"{value!r} lies outside {low} to {high}.", "Give a value inside, or widen the range.")


@dataclass(frozen=True)
class Continuous:
    """Real numbers from low to high, equally likely.

    Raises:
        UsageError: low is not below high, or one of them is not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)

    @property
    def dimensions(self) -> int:
        """One."""
        return 1

    def decode(self, unit: Sequence[float]) -> float:
        """Linear between the limits."""
        (u,) = unit
        return min(max(self.low + u * (self.high - self.low), self.low), self.high)

    def encode(self, value: Any) -> tuple[float, ...]:
        """Inverse of `decode`; UsageError for a value outside."""
        _check_inside(value, self.low, self.high)
        return ((value - self.low) / (self.high - self.low),)


@dataclass(frozen=True)
class Logarithmic:
    """Positive real numbers from low to high, every ratio equally likely: for learning rates and weight decay.

    Raises:
        UsageError: low is not positive or not below high, or high is not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        if self.low <= 0:
            raise UsageError(f"{self.low} has no logarithm.", "Give a positive lower limit.")

    @property
    def dimensions(self) -> int:
        """One."""
        return 1

    def decode(self, unit: Sequence[float]) -> float:
        """Linear in the logarithm between the limits."""
        (u,) = unit
        value = self.low * math.exp(u * math.log(self.high / self.low))
        return min(max(value, self.low), self.high)

    def encode(self, value: Any) -> tuple[float, ...]:
        """Inverse of `decode`; UsageError for a value outside."""
        _check_inside(value, self.low, self.high)
        return (math.log(value / self.low) / math.log(self.high / self.low),)


@dataclass(frozen=True)
class Categorical:
    """One of several values without order.

    Each option has an axis of its own and the largest coordinate wins, so that no two options are neighbours by the
    accident of how they are listed.

    Args:
        options: at least two different values that JSON can carry.

    Raises:
        UsageError: fewer than two options, or one given twice.
    """

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2 or any(o in self.options[:k] for k, o in enumerate(self.options)):
            raise UsageError(f"{self.options!r} leaves nothing to choose.", "Give two or more different options.")

    @property
    def dimensions(self) -> int:
        """One for each option."""
        return len(self.options)

    def decode(self, unit: Sequence[float]) -> Any:
        """The option with the largest coordinate; the first of equals."""
        if len(unit) != len(self.options):
            raise UsageError(f"{len(unit)} coordinates for {len(self.options)} options.", "Give one for each.")
        return self.options[max(range(len(unit)), key=lambda k: unit[k])]

    def encode(self, value: Any) -> tuple[float, ...]:
        """One for the option, zero for the others; UsageError for a value that is none of them."""
        if value not in self.options:
            raise UsageError(f"{value!r} is none of {self.options!r}.", "Give one of the options.")
        return tuple(float(k == self.options.index(value)) for k in range(len(self.options)))


def tunable(default: T, space: Space) -> T:
    """Default of a dataclass field that may be searched: ``learning_rate: float = tunable(1e-3, Logarithmic(...))``.

    Args:
        default: value without a search; must lie in the space.
        space: what may be searched.

    Returns:
        a dataclass field (typed like its default, as `dataclasses.field` is).

    Raises:
        UsageError: the default lies outside the space.
    """
    space.encode(default)
    return dataclasses.field(default=default, metadata={METADATA_KEY: space})


def tunable_settings(config: DataclassInstance) -> dict[str, Space]:
    """Every setting of a configuration that may be searched, by its dotted path (``optim.learning_rate``).

    Args:
        config: a dataclass; those in its fields are walked too.

    Returns:
        spaces in the order of the fields; empty when nothing is marked.
    """
    found: dict[str, Space] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if METADATA_KEY in field.metadata:
            found[field.name] = field.metadata[METADATA_KEY]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= {f"{field.name}.{path}": space for path, space in tunable_settings(value).items()}
    return found


def default_settings(config: DataclassInstance, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """Values that a configuration holds at the paths of the spaces.

    Raises:
        UsageError: a path that the configuration does not have.
    """
    values: dict[str, Any] = {}
    for path in spaces:
        value: Any = config
        for name in path.split("."):
            if not hasattr(value, name):
                raise UsageError(f"There is no setting {path!r}.", "Name a field of the configuration.")
            value = getattr(value, name)
        values[path] = value
    return values
