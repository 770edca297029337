"""The cine that plays in the report: a sprite sheet per slice, and every contour as compact path data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from cmrseg.report.display import View
from cmrseg.report.pictures import UNITS_PER_MM, jpeg_uri
from cmrseg.study import Image

#: Longer side of one picture, and pixels of all pictures together: a large study gets smaller pictures.
LARGEST_TILE_PX = 176
PIXEL_BUDGET = 13_000_000
#: Length of the beat that is played when the file knows neither frame times nor heart rate.
ASSUMED_BEAT_MS = 1000.0


def payload(
    image: Image,
    grey_TZYX: NDArray[np.uint8],
    paths: Mapping[str, list[list[str]]],
    view: View,
    order: Sequence[int],
    number_of: Callable[[int], int],
) -> dict[str, Any]:
    """What `cine.js` needs to play a stack.

    Args:
        image: the stack, for its times.
        grey_TZYX: cropped pictures, from `display.grey_levels`.
        paths: from `pictures.contour_paths`.
        view: what was cropped.
        order: indices of the slices, base first.
        number_of: number of a slice as a person reads it, by its index.

    Returns:
        A mapping that JSON can hold: tile size and columns of a sprite, size in path units, milliseconds per frame,
        times, and for each slice its number, sprite (data URI), and paths by outline key and frame.
    """
    tile = tile_px(image.n_frames * image.n_slices, view)
    columns = math.ceil(math.sqrt(image.n_frames))
    width_mm, height_mm = view.size_mm
    return {
        "tile": view.picture_size(tile),
        "columns": columns,
        "size": [round(width_mm * UNITS_PER_MM, 2), round(height_mm * UNITS_PER_MM, 2)],
        "frames": image.n_frames,
        "frame_ms": round(frame_ms(image), 2),
        "times_ms": None if image.frame_times_ms is None else [round(float(t), 1) for t in image.frame_times_ms],
        "slices": [
            {
                "number": number_of(z),
                "sprite": jpeg_uri(_sprite(grey_TZYX[:, z], view, tile, columns)),
                "paths": {key: [by_slice[z] for by_slice in by_frame] for key, by_frame in paths.items()},
            }
            for z in order
        ],
    }


def tile_px(n_pictures: int, view: View) -> int:
    """Longer side of one picture: at most twice the native pixels, and all pictures together within the budget."""
    return max(1, min(LARGEST_TILE_PX, 2 * max(view.columns, view.rows), math.isqrt(PIXEL_BUDGET // n_pictures)))


def frame_ms(image: Image) -> float:
    """Duration of one frame: the mean step of the frame times, else the heart's beat divided by the frames."""
    times = image.frame_times_ms
    if times is not None and len(times) > 1 and times[-1] > times[0]:
        return float(times[-1] - times[0]) / (len(times) - 1)
    beat_ms = 60_000 / image.heart_rate_bpm if image.heart_rate_bpm else ASSUMED_BEAT_MS
    return beat_ms / image.n_frames


def _sprite(grey_TYX: NDArray[np.uint8], view: View, tile: int, columns: int) -> PillowImage.Image:
    """All frames of a slice in one picture, row by row."""
    width, height = view.picture_size(tile)
    sheet = PillowImage.new("L", (columns * width, math.ceil(len(grey_TYX) / columns) * height))
    for t, grey in enumerate(grey_TYX):
        sheet.paste(view.picture(grey, tile), (t % columns * width, t // columns * height))
    return sheet
