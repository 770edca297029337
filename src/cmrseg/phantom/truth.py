"""What is known of a phantom: its volumes as a continuous shape and as a sum of discs, and masks that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.labels import CINE
from cmrseg.phantom.heart import Heart
from cmrseg.phantom.spec import MYOCARDIUM_G_PER_ML, HeartSpec
from cmrseg.phantom.stack import slice_levels, slice_points

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Volumes:
    """Volume of each structure at every frame in mL, float64[T]. Papillary muscles belong to the cavity."""

    lv_cavity: Floats
    lv_myocardium: Floats
    rv_cavity: Floats


@dataclass(frozen=True)
class PhantomTruth:
    """The right answers for a phantom.

    `discs` is Simpson's sum that a perfect segmentation gives: the exact area of every cross-section at the slice
    centres times the slice distance. `continuous` is the volume of the shape itself. Masks and everything measured on
    them are compared with `discs`, which isolates the error of readers and measurements; the difference between the two
    is what slices of finite distance cost. Numbers without a name of their own (`lv_edv_ml`, ...) are those of `discs`.

    Args:
        discs: sums over slices.
        continuous: volumes of the shape: ellipsoids in closed form, the RV by quadrature to better than 0.01 %.
        areas_mm2: exact area of every cross-section by structure name, float64[T, Z].
        ed_frame: frame at end-diastole, counted from 0.
        es_frame: frame at end-systole, counted from 0.
        wall_thickness_ed_mm: LV wall thickness at ED at the widest level, mid-ventricle.
        heart_rate_bpm: beats per minute.
    """

    discs: Volumes
    continuous: Volumes
    areas_mm2: dict[str, Floats]
    ed_frame: int
    es_frame: int
    wall_thickness_ed_mm: float
    heart_rate_bpm: float

    def numbers(self, kind: Literal["discs", "continuous"] = "discs") -> dict[str, float]:
        """Volumes, EF, output and mass under the keys of measurements.json. EF in percent points; mass at 1.05 g/mL."""
        volumes = self.discs if kind == "discs" else self.continuous
        result: dict[str, float] = {}
        for name, curve in (("lv", volumes.lv_cavity), ("rv", volumes.rv_cavity)):
            edv, esv = float(curve[self.ed_frame]), float(curve[self.es_frame])
            result |= {f"{name}_edv_ml": edv, f"{name}_esv_ml": esv, f"{name}_sv_ml": edv - esv}
            result[f"{name}_ef_percent"] = 100.0 * (edv - esv) / edv
        result["lv_co_l_min"] = result["lv_sv_ml"] * self.heart_rate_bpm / 1000.0
        result["lv_mass_g"] = float(volumes.lv_myocardium[self.ed_frame]) * MYOCARDIUM_G_PER_ML
        result["lv_mass_es_g"] = float(volumes.lv_myocardium[self.es_frame]) * MYOCARDIUM_G_PER_ML
        return result

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON holds it: `numbers`, the same of the continuous shape, frames, and the curves in mL."""
        curves = {name: np.round(getattr(self.discs, name), 6).tolist() for name in self.areas_mm2}
        return {
            **self.numbers(),
            "ed_frame": self.ed_frame,
            "es_frame": self.es_frame,
            "wall_thickness_ed_mm": self.wall_thickness_ed_mm,
            "heart_rate_bpm": self.heart_rate_bpm,
            "curves_ml": curves,
            "continuous": self.numbers("continuous"),
        }

    @property
    def lv_edv_ml(self) -> float:
        """LV volume at ED."""
        return self.numbers()["lv_edv_ml"]

    @property
    def lv_esv_ml(self) -> float:
        """LV volume at ES."""
        return self.numbers()["lv_esv_ml"]

    @property
    def lv_ef_percent(self) -> float:
        """LV ejection fraction in percent points."""
        return self.numbers()["lv_ef_percent"]

    @property
    def lv_mass_g(self) -> float:
        """Mass of the LV muscle at ED."""
        return self.numbers()["lv_mass_g"]

    @property
    def rv_edv_ml(self) -> float:
        """RV volume at the LV's ED."""
        return self.numbers()["rv_edv_ml"]

    @property
    def rv_esv_ml(self) -> float:
        """RV volume at the LV's ES."""
        return self.numbers()["rv_esv_ml"]

    @property
    def rv_ef_percent(self) -> float:
        """RV ejection fraction in percent points."""
        return self.numbers()["rv_ef_percent"]


def known_truth(spec: HeartSpec, heart: Heart) -> PhantomTruth:
    """The answers for a spec, computed from the shapes alone.

    Raises:
        ValueError: the slices do not cover the heart from the highest base plane to the apex of the muscle.
    """
    levels = slice_levels(spec)
    _refuse_uncovered(spec, heart, levels)
    endo, epi = heart.endo.areas_mm2(levels), heart.epi.areas_mm2(levels)
    areas = {"lv_cavity": endo, "lv_myocardium": epi - endo, "rv_cavity": heart.rv_areas_mm2(levels)}
    discs = {name: area.sum(axis=1) * spec.slice_distance_mm / 1000.0 for name, area in areas.items()}
    endo_ml, epi_ml = heart.endo.volumes_ml, heart.epi.volumes_ml
    return PhantomTruth(
        discs=Volumes(**discs),
        continuous=Volumes(endo_ml, epi_ml - endo_ml, heart.rv_volumes_ml()),
        areas_mm2=areas,
        ed_frame=spec.ed_frame,
        es_frame=spec.es_frame,
        wall_thickness_ed_mm=spec.lv_wall_ed_mm,
        heart_rate_bpm=spec.heart_rate_bpm,
    )


def _refuse_uncovered(spec: HeartSpec, heart: Heart, levels: Floats) -> None:
    half = spec.slice_distance_mm / 2
    top = max(float(heart.epi.top.max()), float(heart.rv.top.max()))
    bottom = min(float((e.widest - e.c).min()) for e in (heart.epi, heart.rv))
    if levels.max() + half < top - 1e-9 or levels.min() - half > bottom + 1e-9:
        raise ValueError(
            f"the slices reach from {levels.min() - half:.1f} to {levels.max() + half:.1f} mm, "
            f"the heart from {bottom:.1f} to {top:.1f} mm: add slices"
        )


def known_labels(spec: HeartSpec, heart: Heart, truth: PhantomTruth, geometry: Geometry) -> NDArray[np.uint8]:
    """Masks in ACDC's numbers, uint8[T, Z, Y, X].

    Each cross-section is drawn with as many pixels as its exact area holds, to the nearest whole pixel: those deepest
    inside the shape. That is the outline moved by a fraction of a pixel against counting pixel centres, and it makes
    the sum of discs of the masks equal the truth even on coarse grids.

    Raises:
        ValueError: the heart does not fit into the picture.
    """
    labels = np.zeros((spec.phases, spec.slices, *spec.shape_xy[::-1]), np.uint8)
    pixel_mm2 = geometry.pixel_area_mm2
    levels = slice_levels(spec)
    counts = {name: np.rint(area / pixel_mm2).astype(int) for name, area in truth.areas_mm2.items()}
    whole = np.rint((truth.areas_mm2["lv_cavity"] + truth.areas_mm2["lv_myocardium"]) / pixel_mm2).astype(int)
    for z in range(spec.slices):
        u, v = slice_points(spec, geometry, z)
        scales = [shape.scale(levels[z : z + 1])[:, 0] for shape in (heart.endo, heart.epi, heart.rv)]
        axis_u = heart.rv_axis_u(levels[z : z + 1])[:, 0]
        for t in range(spec.phases):
            picture = labels[t, z].reshape(-1)
            if whole[t, z] or counts["rv_cavity"][t, z]:
                _refuse_outside(u, v, heart, t, scales, axis_u[t])
            endo = _deepest(u / heart.endo.a[t], v / heart.endo.b[t], counts["lv_cavity"][t, z])
            epi_depth = _depth(u / heart.epi.a[t], v / heart.epi.b[t])
            epi_depth[endo] = -1.0
            epi = _smallest(epi_depth, whole[t, z])
            rv_depth = _depth((u - axis_u[t]) / heart.rv.a[t], (v - heart.rv_v) / heart.rv.b[t])
            rv_depth[epi] = np.inf
            picture[_smallest(rv_depth, counts["rv_cavity"][t, z])] = CINE["rv_cavity"]
            picture[epi] = CINE["lv_myocardium"]
            picture[endo] = CINE["lv_cavity"]
    return labels


def _depth(x: Floats, y: Floats) -> Floats:
    """Squared radius in units of an ellipse's semi-axes, flat."""
    return (x * x + y * y).reshape(-1)


def _smallest(values: Floats, count: int) -> NDArray[np.intp]:
    """Positions of the `count` smallest values."""
    return np.argpartition(values, count - 1)[:count] if count else np.empty(0, np.intp)


def _deepest(x: Floats, y: Floats, count: int) -> NDArray[np.intp]:
    return _smallest(_depth(x, y), count)


def _refuse_outside(u: Floats, v: Floats, heart: Heart, t: int, scales: list[Floats], axis_u: float) -> None:
    """Raise where an outline leaves the picture, whose corners are those of u and v."""
    outline = np.linspace(0, 2 * np.pi, 33)
    epi, rv = scales[1][t], scales[2][t]
    around_u = np.concatenate([heart.epi.a[t] * epi * np.cos(outline), axis_u + heart.rv.a[t] * rv * np.cos(outline)])
    around_v = np.concatenate(
        [heart.epi.b[t] * epi * np.sin(outline), heart.rv_v + heart.rv.b[t] * rv * np.sin(outline)]
    )
    origin = np.array([u[0, 0], v[0, 0]])
    for end in (np.array([u[0, -1], v[0, -1]]), np.array([u[-1, 0], v[-1, 0]])):
        side = end - origin
        length = float(np.linalg.norm(side))
        along = ((around_u - origin[0]) * side[0] + (around_v - origin[1]) * side[1]) / max(length, 1e-12)
        if along.min() < 0 or along.max() > length:
            raise ValueError("the heart does not fit into the picture: more rows and columns, or larger pixels")
