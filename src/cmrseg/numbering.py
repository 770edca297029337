"""How frames and slices are counted wherever a person reads: from 1, slices from the base of the heart to its apex.

Arrays, `Finding.frame` and `Finding.slice`, and the numbers in JSON count from 0 in the order of the masks' file; what
is printed goes through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: How a stack is counted, by whether its slice 0 is at the base.
COUNTED = {
    True: "from the base to the apex",
    False: "from the base to the apex, against the order of the file",
    None: "in the order of the file; where the base is could not be told",
}


def frame_number(frame: int) -> int:
    """Number of a frame as a person reads it, from 1."""
    return frame + 1


def slice_number(z: int, n_slices: int, base_first: bool | None) -> int:
    """Number of a slice as a person reads it, from 1 at the base.

    Args:
        z: index in the array, from 0.
        n_slices: of the stack.
        base_first: True where slice 0 is at the base; None where that is not known: in the order of the file then.
    """
    return n_slices - z if base_first is False else z + 1


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as printed ranges, in their order: 1, 2, 3, 7 becomes ``1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def counted(base_first: bool | None) -> str:
    """A sentence for the end of a message that numbers slices; empty where they count in the order of the file."""
    return "" if base_first is None else " Slices are counted from the base."


def place(
    frame: int | None, z: int | None, n_slices: int, base_first: bool | None, phases: Mapping[int, str] | None = None
) -> str:
    """A frame and a slice in words, ``end-systole (frame 9), slice 3``; empty for neither.

    Args:
        frame, z: indices from 0, or None.
        n_slices, base_first: as in `slice_number`.
        phases: names of frames, such as end-diastole.
    """
    parts = []
    if frame is not None:
        name = (phases or {}).get(frame)
        parts.append(f"{name} (frame {frame_number(frame)})" if name else f"frame {frame_number(frame)}")
    if z is not None:
        parts.append(f"slice {slice_number(z, n_slices, base_first)}")
    return ", ".join(parts)
