"""Slices in the usual view, and what part of them the pictures show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from cmrseg.geometry import Geometry
from cmrseg.report.contours import Polygon
from cmrseg.study import Image, Part

Number = TypeVar("Number", bound=np.number)

#: Surround shown on every side of the heart.
MARGIN_MM = 22.0
#: Black is this percentile of the shown region; white that of the heart, with some headroom above it.
BLACK_PERCENTILE, WHITE_PERCENTILE, HEADROOM = 1.0, 99.0, 1.1
#: An image axis is named after each body axis it leans to by more than this cosine.
_NAMED_COSINE = 0.35


def upright(part: Part, *, mirror: bool) -> Part:
    """The part with its slices in the usual view, mirrored if so told and then turned until the head side is up."""
    image, segmentation, grid = part.image, part.segmentation, part.image.geometry
    data = grid.to_upright(image.data, mirror=mirror)
    labels, geometry = grid.to_upright(segmentation.labels, mirror=mirror), grid.upright(mirror=mirror)
    return replace(
        part,
        image=replace(image, data=data, geometry=geometry),
        segmentation=replace(segmentation, labels=labels, geometry=geometry),
    )


@dataclass(frozen=True)
class View:
    """A rectangle of whole pixels, the same in every slice and frame.

    Display coordinates are mm from its top left corner, to the right and down, as seen on the screen.

    Args:
        left, top: first column and row shown.
        columns, rows: how many are shown.
        geometry: grid of the slices.
    """

    left: int
    top: int
    columns: int
    rows: int
    geometry: Geometry

    @classmethod
    def around(cls, inside_YX: NDArray[np.bool_], geometry: Geometry) -> View:
        """The square round a region with a margin, as far as the image reaches; the whole image without a region."""
        if not inside_YX.any():
            return cls(0, 0, *geometry.shape_xyz[:2], geometry)
        edges = [np.flatnonzero(inside_YX.any(axis=axis))[[0, -1]] + (0, 1) for axis in (0, 1)]
        spacing = geometry.spacing_xyz_mm
        half_mm = MARGIN_MM + max((last - first) * mm for (first, last), mm in zip(edges, spacing, strict=False)) / 2
        bounds = []
        for (first, last), mm, length in zip(edges, spacing, geometry.shape_xyz, strict=False):
            middle, half = (first + last) / 2, half_mm / mm
            bounds.append((max(0, round(middle - half)), min(length, round(middle + half))))
        (left, right), (top, bottom) = bounds
        return cls(left, top, right - left, bottom - top, geometry)

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        return self.columns * self.geometry.spacing_xyz_mm[0], self.rows * self.geometry.spacing_xyz_mm[1]

    def to_mm(self, polygon: Polygon) -> Polygon:
        """Points from index coordinates (x, y) of the slice to display mm; pixel centres lie at whole indices."""
        return (polygon + 0.5 - (self.left, self.top)) * self.geometry.spacing_xyz_mm[:2]

    def crop(self, array: NDArray[Number]) -> NDArray[Number]:
        """The shown region of an array [..., Y, X]."""
        return array[..., self.top : self.top + self.rows, self.left : self.left + self.columns]

    def picture_size(self, longest_px: int) -> tuple[int, int]:
        """Width and height in square pixels whose longer side is `longest_px`."""
        width_mm, height_mm = self.size_mm
        scale = longest_px / max(width_mm, height_mm)
        return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))

    def picture(self, grey_YX: NDArray[np.uint8], longest_px: int) -> PillowImage.Image:
        """One cropped slice as a greyscale picture with square pixels."""
        image = PillowImage.fromarray(np.ascontiguousarray(grey_YX))
        return image.resize(self.picture_size(longest_px), PillowImage.Resampling.BICUBIC)

    @cached_property
    def edge_names(self) -> dict[str, str]:
        """Body directions at the edges of the picture, e.g. ``{"left": "RA", …}``; empty when they are not known.

        R and L are the patient's right and left, A and P front and back, H and F head and feet.
        """
        if not self.geometry.orientation_known:
            return {}
        x, y, _ = self.geometry.affine[:3, :3].T / np.linalg.norm(self.geometry.affine[:3, :3], axis=0)[:, None]
        return {"left": _body_direction(-x), "right": _body_direction(x), "top": _body_direction(-y)} | {
            "bottom": _body_direction(y)
        }


def _body_direction(direction_lps: NDArray[np.float64]) -> str:
    """Letters of the body axes a direction leans to, strongest first."""
    leaning = np.argsort(-np.abs(direction_lps))
    names = [("RL", "AP", "FH")[axis][int(direction_lps[axis] > 0)] for axis in leaning]
    return "".join(n for n, axis in zip(names, leaning, strict=True) if abs(direction_lps[axis]) > _NAMED_COSINE)


def grey_levels(image: Image, labels_TZYX: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """The shown region as uint8[T, Z, rows, columns], with one black and one white level for the whole stack.

    White lies a little above the brightest blood, not at the fat under the receive coil, which would leave the heart
    dark; without labels it is the brightest of the region.
    """
    shown, heart = view.crop(image.data), view.crop(labels_TZYX) > 0
    black, brightest = np.percentile(shown[:, :, ::2, ::2], [BLACK_PERCENTILE, WHITE_PERCENTILE])
    if heart.any():
        brightest = black + HEADROOM * (np.percentile(shown[heart], WHITE_PERCENTILE) - black)
    scale = 255.0 / (brightest - black) if brightest > black else 0.0
    grey: NDArray[np.uint8] = np.clip((shown - black) * scale, 0, 255).astype(np.uint8)
    return grey
