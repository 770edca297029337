"""LGE of circles: a ring of muscle on every slice, with scar whose volume and depth are known from geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE, LGE_RV
from cmrseg.study import Image, Segmentation

CAVITY, MUSCLE, SCAR, NO_REFLOW, RV = (
    LGE_RV[n] for n in ("lv_cavity", "lv_myocardium", "scar", "no_reflow", "rv_cavity")
)
REMOTE_LEVEL, SCAR_LEVEL, BLOOD_LEVEL, OUTSIDE_LEVEL = 100.0, 400.0, 380.0, 60.0


@dataclass(frozen=True)
class Ring:
    """Radii in mm; scar over `arc_degrees` counter-clockwise from `start_degrees`, between two depths of the wall."""

    endo_mm: float = 22.0
    epi_mm: float = 33.0
    start_degrees: float = 130.0
    arc_degrees: float = 90.0
    from_depth: float = 0.0
    to_depth: float = 0.6
    slices: int = 6
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 10.0)
    shape_yx: tuple[int, int] = (100, 100)

    def polar(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Radius in mm and angle in degrees of every pixel, counter-clockwise from the picture's +x."""
        rows, columns = np.mgrid[: self.shape_yx[0], : self.shape_yx[1]]
        x = (columns - (self.shape_yx[1] - 1) / 2) * self.spacing_mm[0]
        y = -(rows - (self.shape_yx[0] - 1) / 2) * self.spacing_mm[1]
        return np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 360

    def radius_at(self, depth: float) -> float:
        """Radius in mm at a depth of the wall, 0 at the endocardium."""
        return self.endo_mm + depth * (self.epi_mm - self.endo_mm)

    @property
    def scar_ml(self) -> float:
        """Volume of the scar from its radii and its arc."""
        ring = self.radius_at(self.to_depth) ** 2 - self.radius_at(self.from_depth) ** 2
        return np.pi * ring * self.arc_degrees / 360 * self.slices * self.spacing_mm[2] / 1000

    @property
    def muscle_ml(self) -> float:
        """Volume of the whole muscle."""
        return np.pi * (self.epi_mm**2 - self.endo_mm**2) * self.slices * self.spacing_mm[2] / 1000

    def labels(self, *, scar: bool = True, rv: bool = True) -> NDArray[np.uint8]:
        """uint8[1, Z, Y, X] in `LGE_RV`; the septum lies from 120 to 240 degrees, its anterior end first."""
        radius, angle = self.polar()
        one = np.zeros(self.shape_yx, np.uint8)
        if rv:
            one[(radius >= self.epi_mm) & (radius < self.epi_mm + 15) & (angle >= 120) & (angle < 240)] = RV
        one[radius < self.epi_mm] = MUSCLE
        if scar:
            inside = (angle - self.start_degrees) % 360 < self.arc_degrees
            depth = (radius - self.endo_mm) / (self.epi_mm - self.endo_mm)
            one[(one == MUSCLE) & inside & (depth >= self.from_depth) & (depth < self.to_depth)] = SCAR
        one[radius < self.endo_mm] = CAVITY
        return np.repeat(one[None, None], self.slices, axis=1)


def geometry_of(
    labels_TZYX: NDArray[np.uint8], spacing_mm: tuple[float, float, float], *, base_first: bool = True
) -> Geometry:
    """A usual short-axis plane seen from the apex, so that angles on the picture are those that segments count."""
    to_apex = np.array([0.6, -0.6, -0.53]) / np.linalg.norm([0.6, -0.6, -0.53])
    x = np.cross(to_apex, [0.0, 0.0, 1.0])
    x *= np.sign(x[0]) / np.linalg.norm(x)
    affine = np.eye(4)
    for column, (direction, step) in enumerate(
        zip((x, np.cross(-to_apex, x), to_apex if base_first else -to_apex), spacing_mm, strict=True)
    ):
        affine[:3, column] = direction * step
    return Geometry(affine, labels_TZYX.shape[:0:-1])


def segmentation_of(
    labels_TZYX: NDArray[np.uint8], spacing_mm: tuple[float, float, float] = (1.0, 1.0, 10.0)
) -> Segmentation:
    return Segmentation(labels_TZYX, LGE_RV, geometry_of(labels_TZYX, spacing_mm), method="given masks")


def image_of(
    segmentation: Segmentation, *, noise: float = 10.0, seed: int = 0, scale: float = 1.0, offset: float = 0.0
) -> Image:
    """Flat tissue with Gaussian noise: remote 100, scar 400, no-reflow as remote, blood 380, outside 60."""
    levels = np.full(256, OUTSIDE_LEVEL)
    for numbers, level in (((MUSCLE, NO_REFLOW), REMOTE_LEVEL), ((SCAR,), SCAR_LEVEL), ((CAVITY, RV), BLOOD_LEVEL)):
        levels[list(numbers)] = level
    picture = levels[segmentation.labels] + np.random.default_rng(seed).normal(0, noise, segmentation.labels.shape)
    return Image("lge", (scale * picture + offset).astype(np.float32), segmentation.geometry)


def without_scar(segmentation: Segmentation) -> Segmentation:
    """The contours alone, as somebody draws them before a threshold is used."""
    labels = segmentation.labels.copy()
    labels[np.isin(labels, (SCAR, NO_REFLOW))] = MUSCLE
    return Segmentation(labels, segmentation.scheme, segmentation.geometry, method="contours")


def as_cine(segmentation: Segmentation) -> Segmentation:
    """Contours in the numbers of a cine."""
    renumber = np.zeros(256, np.uint8)
    renumber[[CAVITY, MUSCLE, SCAR, RV]] = [CINE["lv_cavity"], *[CINE["lv_myocardium"]] * 2, CINE["rv_cavity"]]
    return Segmentation(renumber[segmentation.labels], CINE, segmentation.geometry)
