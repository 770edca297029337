"""Spaces: values by hand, round trips, and everything they must refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrseg.errors import UsageError
from cmrseg.train.space import (
    Categorical,
    Continuous,
    Logarithmic,
    Space,
    default_settings,
    tunable,
    tunable_settings,
)


@dataclass(frozen=True)
class Optimiser:
    """Inner configuration."""

    learning_rate: float = tunable(1e-3, Logarithmic(1e-5, 1e-1))
    epochs: int = 3


@dataclass(frozen=True)
class Run:
    """Outer configuration."""

    name: str = "run"
    loss: str = tunable("dice", Categorical(("dice", "focal")))
    optim: Optimiser = field(default_factory=Optimiser)
    scale: float = tunable(0.5, Continuous(0.0, 2.0))


def test_marked_settings_are_found_by_path_and_keep_their_defaults() -> None:
    run = Run(optim=Optimiser(learning_rate=0.01))
    spaces = tunable_settings(run)
    assert spaces == {
        "loss": Categorical(("dice", "focal")),
        "optim.learning_rate": Logarithmic(1e-5, 1e-1),
        "scale": Continuous(0.0, 2.0),
    }
    assert default_settings(run, spaces) == {"loss": "dice", "optim.learning_rate": 0.01, "scale": 0.5}
    assert (Run().scale, Run().optim.learning_rate) == (0.5, 1e-3)


def test_nothing_marked_gives_nothing() -> None:
    @dataclass(frozen=True)
    class Plain:
        x: float = 1.0

    assert tunable_settings(Plain()) == {}


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"optim\.momentum"):
        default_settings(Run(), {"optim.momentum": Continuous(0, 1)})


@pytest.mark.parametrize(
    ("space", "unit", "value"),
    [
        (Continuous(-1.0, 3.0), (0.25,), 0.0),
        (Continuous(-1.0, 3.0), (1.0,), 3.0),
        (Logarithmic(1e-4, 1e-2), (0.5,), 1e-3),
        (Logarithmic(1.0, 8.0), (1 / 3,), 2.0),
        (Categorical(("a", "b", "c")), (0.2, 0.9, 0.3), "b"),
        (Categorical((8, 16)), (0.5, 0.5), 8),
    ],
)
def test_decoding_by_hand(space: Space, unit: tuple[float, ...], value: Any) -> None:
    assert len(unit) == space.dimensions
    assert space.decode(unit) == (pytest.approx(value) if isinstance(value, float) else value)


@given(st.floats(0, 1))
def test_numbers_stay_inside_and_come_back(u: float) -> None:
    for space in (Continuous(-0.1, 0.3), Logarithmic(1e-7, 3e-1)):
        value = space.decode((u,))
        assert space.low <= value <= space.high
        assert space.encode(value) == pytest.approx((u,), abs=1e-9)


def test_categories_come_back() -> None:
    space = Categorical((None, "x", 3))
    assert [space.decode(space.encode(o)) for o in space.options] == [None, "x", 3]


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_impossible_ranges_are_refused(limits: tuple[float, float]) -> None:
    for kind in (Continuous, Logarithmic):
        with pytest.raises(UsageError, match="range"):
            kind(*limits)


def test_logarithm_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="logarithm"):
        Logarithmic(0.0, 1.0)


@pytest.mark.parametrize("options", [(), ("a",), ("a", "a")])
def test_no_choice_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="choose"):
        Categorical(options)


@pytest.mark.parametrize(
    ("space", "value"),
    [(Continuous(0, 1), 1.5), (Continuous(0, 1), "x"), (Continuous(0, 1), True), (Logarithmic(1, 2), 0.5)],
)
def test_a_default_outside_its_space_is_refused(space: Space, value: Any) -> None:
    with pytest.raises(UsageError, match="outside"):
        tunable(value, space)


def test_a_default_that_is_no_option_is_refused() -> None:
    with pytest.raises(UsageError, match="none of"):
        tunable("c", Categorical(("a", "b")))


def test_wrong_number_of_coordinates_is_refused() -> None:
    with pytest.raises(UsageError, match="coordinates"):
        Categorical(("a", "b")).decode((0.1, 0.2, 0.3))
