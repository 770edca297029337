"""Boxes on the slices of an image: given by a person, found by a detector, or read off masks for an oracle.

A box is in index coordinates of its slice, columns and rows; pixel 0 reaches from -0.5 to 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cmrseg.errors import UsageError
from cmrseg.geometry import Window
from cmrseg.io.datasets.layout import Truth
from cmrseg.labels import LabelScheme
from cmrseg.study import Finding

#: Where boxes are from. Only those that were ``found`` make an automatic result.
BoxOrigin = Literal["found", "given", "oracle"]
#: What a result's method says of them.
ORIGINS: dict[BoxOrigin, str] = {
    "found": "boxes found by the detector",
    "given": "boxes given by a person",
    "oracle": "ORACLE: boxes of the truth",
}
#: Regions of fewer pixels get no box; as in `cmrseg.models.detector.boxes`.
SMALLEST_PIXELS = 4
_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class SliceBox:
    """One box.

    Args:
        z: slice, from 0.
        x0: left edge, in columns.
        y0: upper edge, in rows.
        x1: right edge, beyond the left one.
        y1: lower edge, beyond the upper one.
        structure: what is in it, by its name in `labels`.
        confidence: 0..1; 1 of a box that somebody gave.

    Raises:
        UsageError: edges that enclose nothing, or are not finite.
    """

    z: int
    x0: float
    y0: float
    x1: float
    y1: float
    structure: str = "scar"
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.x0, self.y0, self.x1, self.y1]).all() and self.x0 < self.x1 and self.y0 < self.y1):
            raise UsageError(
                f"The box {self.x0}, {self.y0}, {self.x1}, {self.y1} on slice {self.z} encloses nothing.",
                "Give left, upper, right and lower edge in columns and rows of the slice.",
            )


def oracle_boxes(truth: Truth, scheme: LabelScheme) -> tuple[SliceBox, ...]:
    """Boxes of the connected regions (8 neighbours) of what the truth draws: for ORACLE rows alone.

    Args:
        truth: masks of one frame.
        scheme: structures that get boxes. Scar holds no-reflow where the scheme does not name that.
    """
    boxes = []
    for name in scheme.foreground_names:
        parts = (name, "no_reflow") if name == "scar" and "no_reflow" not in scheme.numbers else (name,)
        mask_ZYX = truth.scheme.mask(truth.labels[0], *(p for p in parts if p in truth.scheme.numbers))
        for z, mask_YX in enumerate(mask_ZYX):
            regions, _ = ndimage.label(mask_YX, _NEIGHBOURS)
            for number, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
                if int((regions[rows, columns] == number).sum()) >= SMALLEST_PIXELS:
                    edges = (columns.start - 0.5, rows.start - 0.5, columns.stop - 0.5, rows.stop - 0.5)
                    boxes.append(SliceBox(z, *edges, structure=name))
    return tuple(boxes)


def to_window(window: Window, boxes: Iterable[SliceBox]) -> NDArray[np.float32]:
    """Boxes as x0, y0, x1, y1 in pixels of a window, float32[N, 4], where pixel 0 reaches from 0 to 1.

    What lies outside the window is cut off; of a box that lies outside altogether no pixel is left.
    """
    result = np.zeros((0, 4), np.float32)
    for box in boxes:
        places = places_in_window(window, [(box.x0, box.y0), (box.x1, box.y1)])
        edges = np.concatenate([places.min(axis=0), places.max(axis=0)]).clip(0, window.size)
        result = np.concatenate([result, edges[None].astype(np.float32)])
    return result


def places_in_window(window: Window, places_xy: ArrayLike) -> NDArray[np.float64]:
    """Index positions (column, row) [N, 2] in pixels of a window, where pixel 0 reaches from 0 to 1, or outside it."""
    origin, matrix = _affine(window)
    places: NDArray[np.float64] = (np.asarray(places_xy, np.float64) - origin) @ np.linalg.inv(matrix).T + 0.5
    return places


def from_window(window: Window, edges: Sequence[float], z: int, structure: str, confidence: float) -> SliceBox:
    """A box in pixels of a window as one on the slice; the inverse of `to_window`."""
    origin, matrix = _affine(window)
    corners = (np.array(edges, np.float64).reshape(2, 2) - 0.5) @ matrix.T + origin
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return SliceBox(z, x0, y0, x1, y1, structure, confidence)


def _affine(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slice position (column, row) of the window's first pixel, and what a window column and a window row add to it."""
    origin = np.array(window.to_slice_xy(0, 0))
    right, down = np.array(window.to_slice_xy(0, 1)) - origin, np.array(window.to_slice_xy(1, 0)) - origin
    return origin, np.stack([right, down], axis=1)


def oracle_finding() -> Finding:
    """What every result that was prompted by the truth says."""
    message = "The masks were drawn in boxes taken from the truth. They measure a method and say nothing of a patient."
    return Finding("oracle_prompts", "reject", message)


def check_origin(origin: BoxOrigin) -> None:
    """Refuse an origin that results could not say (UsageError)."""
    if origin not in get_args(BoxOrigin):
        raise UsageError(f"Boxes cannot come from {origin!r}.", f"One of {', '.join(get_args(BoxOrigin))}.")
