"""Frames and slices as a person counts them."""

from __future__ import annotations

import pytest

from cmrseg.numbering import place, slice_number


@pytest.mark.parametrize(("base_first", "numbers"), [(True, [1, 2, 3, 4]), (False, [4, 3, 2, 1]), (None, [1, 2, 3, 4])])
def test_slices_count_from_the_base(base_first: bool | None, numbers: list[int]) -> None:
    assert [slice_number(z, 4, base_first) for z in range(4)] == numbers


@pytest.mark.parametrize(
    ("frame", "z", "words"),
    [
        (None, None, ""),
        (4, None, "frame 5"),
        (9, None, "end-systole (frame 10)"),
        (9, 0, "end-systole (frame 10), slice 8"),
    ],
)
def test_places_in_words(frame: int | None, z: int | None, words: str) -> None:
    assert place(frame, z, 8, False, {0: "end-diastole", 9: "end-systole"}) == words
