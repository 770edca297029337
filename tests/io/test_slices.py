"""How slices follow each other: even and complete, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from cmrseg.errors import InputRefused
from cmrseg.io.slices import slice_step

NORMAL = np.array([0.0, 0.6, 0.8])


def along(*places_mm: float) -> np.ndarray:
    """Origins at these places along the normal."""
    return np.array([5.0, -7.0, 3.0]) + np.outer(places_mm, NORMAL)


def test_an_even_stack_gives_its_step() -> None:
    np.testing.assert_allclose(slice_step(along(0, 9, 18, 27), NORMAL, "x"), 9 * NORMAL, atol=1e-9)
    np.testing.assert_allclose(slice_step(along(-4, 4), NORMAL, "x"), 8 * NORMAL, atol=1e-9)


@pytest.mark.parametrize(
    ("places", "code"), [((0, 9, 27, 36), "slice_gap"), ((0, 9, 18, 31), "geometry"), ((0, 9, 21, 30), "geometry")]
)
def test_gaps_and_uneven_steps_are_refused(places: tuple[float, ...], code: str) -> None:
    with pytest.raises(InputRefused) as caught:
        slice_step(along(*places), NORMAL, "Do this.")
    assert (caught.value.code, caught.value.remedy) == (code, "Do this.")


def test_a_slice_off_the_line_is_refused() -> None:
    origins = along(0, 9, 18, 27)
    origins[2, 0] += 4
    with pytest.raises(InputRefused, match="above each other"):
        slice_step(origins, NORMAL, "x")
