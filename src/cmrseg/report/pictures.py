"""Slices as pictures with contours: what the montage and the cine are made of."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from cmrseg.report.contours import path_data, smooth, trace
from cmrseg.report.display import View
from cmrseg.study import Segmentation

#: Contour points are written in tenths of a millimetre.
UNITS_PER_MM = 10
JPEG_QUALITY = 82
MONTAGE_PX = 256


@dataclass(frozen=True)
class Outline:
    """A contour that pictures show.

    Args:
        key: names its colour in the style sheet: ``endo``, ``epi``, ``rv``, ``scar``, ``no-reflow``.
        title: as the legend says it.
        structures: label names whose union it goes round.
    """

    key: str
    title: str
    structures: tuple[str, ...]


CINE_OUTLINES = (
    Outline("endo", "LV endocardium", ("lv_cavity",)),
    Outline("epi", "LV epicardium", ("lv_cavity", "lv_myocardium")),
    Outline("rv", "RV endocardium", ("rv_cavity",)),
)
#: Scar lies under the lines; it is drawn filled.
LGE_OUTLINES = (
    Outline("scar", "Scar", ("scar",)),
    Outline("no-reflow", "No-reflow", ("no_reflow",)),
    Outline("endo", "LV endocardium", ("lv_cavity",)),
    Outline("epi", "LV epicardium", ("lv_cavity", "lv_myocardium", "scar", "no_reflow")),
    Outline("rv", "RV endocardium", ("rv_cavity",)),
)


@dataclass(frozen=True)
class Tile:
    """One slice of one frame: a JPEG as data URI, and SVG path data by outline key in tenths of a mm."""

    title: str
    uri: str
    paths: Mapping[str, str]
    empty: bool


@dataclass(frozen=True)
class MontageSlice:
    """A slice with its tiles, end-diastole first, and its number as a person reads it."""

    number: int
    tiles: tuple[Tile, ...]


def contour_paths(
    segmentation: Segmentation, view: View, outlines: Sequence[Outline] = CINE_OUTLINES
) -> dict[str, list[list[str]]]:
    """Path data of every outline in every picture, as ``paths[outline key][frame][slice]``; empty text where unseen.

    The pixel steps are rounded off for display; measurements never use these lines.
    """
    frames, slices = segmentation.labels.shape[:2]
    cropped = view.crop(segmentation.labels)
    paths = {}
    for outline in outlines:
        masks = segmentation.scheme.mask(cropped, *outline.structures)
        traced = trace(masks.reshape(-1, *masks.shape[2:]))
        flat = [path_data([_display_units(p, view) for p in polygons]) for polygons in traced]
        paths[outline.key] = [flat[t * slices : (t + 1) * slices] for t in range(frames)]
    return paths


def _display_units(polygon: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    corner = np.array([view.left, view.top])
    return view.to_mm(smooth(polygon) + corner) * UNITS_PER_MM


def outlines_of(segmentation: Segmentation, outlines: Sequence[Outline]) -> tuple[Outline, ...]:
    """Those whose structures the masks can hold; masks that a person drew on LGE often know no right ventricle."""
    return tuple(o for o in outlines if set(o.structures) <= set(segmentation.scheme.numbers))


def montage(
    grey_TZYX: NDArray[np.uint8],
    paths: Mapping[str, list[list[str]]],
    view: View,
    frames: Mapping[str, int],
    order: Sequence[int],
    number_of: Callable[[int], int],
) -> tuple[MontageSlice, ...]:
    """The slices at the named frames.

    Args:
        grey_TZYX: cropped pictures, from `display.grey_levels`.
        paths: from `contour_paths`.
        view: what was cropped.
        frames: frame numbers by title, in the order shown, e.g. ``{"ED": 0, "ES": 8}``.
        order: indices of the slices, base first.
        number_of: number of a slice as a person reads it, by its index.
    """
    slices = []
    for z in order:
        tiles = []
        for title, t in frames.items():
            here = {key: by_frame[t][z] for key, by_frame in paths.items()}
            picture = jpeg_uri(view.picture(grey_TZYX[t, z], MONTAGE_PX))
            tiles.append(Tile(title, picture, here, not any(here.values())))
        slices.append(MontageSlice(number_of(z), tuple(tiles)))
    return tuple(slices)


def jpeg_uri(picture: PillowImage.Image) -> str:
    """A greyscale picture as a JPEG in a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=False)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
