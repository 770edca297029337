"""The shapes of the heart at every phase, in closed form, with their areas and volumes.

The LV endocardium and epicardium are ellipsoids with one common widest level, cut by the base plane. The RV is a
sheared ellipsoid cut by its own base plane, less the LV epicardium. Nothing here knows of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from cmrseg.phantom.spec import HeartSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipsoids:
    """One ellipsoid per phase, upright along w, cut off above `top`.

    Args:
        a, b, c: semi-axes along u, v, w in mm, float64[T].
        widest: w of the widest level, float64[T].
        top: w of the cutting plane, float64[T].
    """

    a: Floats
    b: Floats
    c: Floats
    widest: Floats
    top: Floats

    def scale(self, w: ArrayLike) -> Floats:
        """Radius at level w over that at the widest level, float64[T, W]; 0 outside the ellipsoid and above its top."""
        level = np.asarray(w, float)[None, :]
        squared = 1.0 - ((level - self.widest[:, None]) / self.c[:, None]) ** 2
        return np.sqrt(np.where(level < self.top[:, None], np.maximum(squared, 0.0), 0.0))

    def areas_mm2(self, w: ArrayLike) -> Floats:
        """Area of the cross-section at level w, float64[T, W]."""
        return np.pi * (self.a * self.b)[:, None] * self.scale(w) ** 2

    @property
    def volumes_ml(self) -> Floats:
        """Volume below the top, float64[T]: pi a b (2c/3 + h - h^3 / 3c^2), h being top less widest level."""
        h = self.top - self.widest
        return np.pi * self.a * self.b * (2 * self.c / 3 + h - h**3 / (3 * self.c**2)) / 1000.0


@dataclass(frozen=True)
class Heart:
    """Shapes of both ventricles at every phase.

    Args:
        contraction: 0 at ED, 1 at ES, float64[T].
        endo: LV endocardium.
        epi: LV epicardium; the muscle lies between.
        rv: the RV's ellipsoid before the LV is cut out; its axis is sheared by `rv_axis_u`.
        wall_mm: LV wall thickness at the widest level, float64[T].
        rv_slope: shift of the RV's axis along u per mm of w, float64[T].
        rv_base_u: u of the RV's axis at its base plane, float64[T].
        rv_v: v of the RV's axis.
    """

    contraction: Floats
    endo: Ellipsoids
    epi: Ellipsoids
    rv: Ellipsoids
    wall_mm: Floats
    rv_slope: Floats
    rv_base_u: Floats
    rv_v: float

    def rv_axis_u(self, w: ArrayLike) -> Floats:
        """u of the RV's axis at level w, float64[T, W]."""
        return self.rv_base_u[:, None] + self.rv_slope[:, None] * (np.asarray(w, float)[None, :] - self.rv.top[:, None])

    def rv_areas_mm2(self, w: ArrayLike, samples: int = 1024) -> Floats:
        """Area of the RV cavity at level w: its ellipse less the LV epicardium's, float64[T, W].

        The area is a sum over `samples` lines along u; on each line the length outside the epicardium is exact. Lines
        lie at equal steps of the angle, which takes the roots out of the ends of the integral.
        """
        level = np.asarray(w, float)
        angles = ((np.arange(samples) + 0.5) / samples - 0.5) * np.pi
        rv_scale = self.rv.scale(level)[..., None]
        half_height = self.rv.b[:, None, None] * rv_scale
        half_width = self.rv.a[:, None, None] * rv_scale * np.cos(angles)
        v = self.rv_v + half_height * np.sin(angles)
        epi_scale = self.epi.scale(level)[..., None]
        epi_height = np.maximum(self.epi.b[:, None, None] * epi_scale, 1e-12)
        epi_width = self.epi.a[:, None, None] * epi_scale * np.sqrt(np.maximum(0.0, 1 - (v / epi_height) ** 2))
        centre = self.rv_axis_u(level)[..., None]
        overlap = np.minimum(centre + half_width, epi_width) - np.maximum(centre - half_width, -epi_width)
        length = 2 * half_width - np.maximum(overlap, 0.0)
        areas: Floats = (length * half_height * np.cos(angles)).sum(axis=-1) * (np.pi / samples)
        return areas

    def rv_volumes_ml(self, levels: int = 256, samples: int = 512) -> Floats:
        """Volume of the RV cavity, float64[T], by quadrature of the continuous shape along w.

        Levels lie at equal steps of the angle of the ellipsoid, where the integrand is smooth. Doubling both numbers
        moves the result by less than 0.01 %.
        """
        volumes = np.empty(len(self.contraction))
        for t in range(len(volumes)):
            one = self.at(t)
            highest = np.arcsin((one.rv.top[0] - one.rv.widest[0]) / one.rv.c[0])
            step = (highest + np.pi / 2) / levels
            angles = -np.pi / 2 + (np.arange(levels) + 0.5) * step
            areas = one.rv_areas_mm2(one.rv.widest[0] + one.rv.c[0] * np.sin(angles), samples)[0]
            volumes[t] = (areas * one.rv.c[0] * np.cos(angles)).sum() * step / 1000.0
        return volumes

    def at(self, frame: int) -> Heart:
        """The heart of one phase, all arrays of length 1."""
        one = slice(frame, frame + 1)

        def cut(shape: Ellipsoids) -> Ellipsoids:
            return Ellipsoids(shape.a[one], shape.b[one], shape.c[one], shape.widest[one], shape.top[one])

        return Heart(
            self.contraction[one],
            cut(self.endo),
            cut(self.epi),
            cut(self.rv),
            self.wall_mm[one],
            self.rv_slope[one],
            self.rv_base_u[one],
            self.rv_v,
        )


def contraction_curve(spec: HeartSpec) -> Floats:
    """How far the heart is contracted at every frame, float64[T]: 0 at ED, 1 at ES.

    Systole, rapid filling, diastasis and the atrial kick, joined so that nothing overshoots.
    """
    if spec.phases == 1:
        return np.zeros(1)
    es = spec.systole_frames / spec.phases
    rest = 1.0 - es
    times = [0.0, 0.12 * es, 0.5 * es, es, es + 0.10 * rest, es + 0.42 * rest, es + 0.75 * rest, 1.0]
    values = [0.0, 0.04, 0.52, 1.0, 0.93, 0.28, 0.20, 0.0]
    frames = (np.arange(spec.phases) - spec.ed_frame) % spec.phases
    curve: Floats = PchipInterpolator(times, values)(frames / spec.phases)
    return curve


def beat(spec: HeartSpec) -> Heart:
    """The heart of a spec at every phase.

    The wall thickness of each phase is found by halving an interval until the muscle has its ED volume to 1e-9 mL.
    """
    s = contraction_curve(spec)
    a, b = (ed + (es - ed) * s for ed, es in zip(spec.lv_radii_ed_mm, spec.lv_radii_es_mm, strict=True))
    base = -spec.lv_base_descent_mm * s
    apex = -(spec.lv_length_mm + spec.apex_wall_ratio * spec.lv_wall_ed_mm)
    muscle_ml = _muscle_ml(
        *_ventricle(
            spec,
            a[:1] * 0 + spec.lv_radii_ed_mm[0],
            a[:1] * 0 + spec.lv_radii_ed_mm[1],
            np.zeros(1),
            apex,
            np.full(1, spec.lv_wall_ed_mm),
        )
    )
    low, high = np.zeros_like(s), np.full_like(s, 5 * spec.lv_wall_ed_mm)
    for _ in range(60):
        wall = (low + high) / 2
        too_thin = _muscle_ml(*_ventricle(spec, a, b, base, apex, wall)) < muscle_ml
        low, high = np.where(too_thin, wall, low), np.where(too_thin, high, wall)
    wall = (low + high) / 2
    endo, epi = _ventricle(spec, a, b, base, apex, wall)
    rv, slope, base_u = _right_ventricle(spec, s)
    return Heart(s, endo, epi, rv, wall, slope, base_u, -spec.rv_anterior_mm)


def _ventricle(
    spec: HeartSpec, a: Floats, b: Floats, base: Floats, apex: float, wall: Floats
) -> tuple[Ellipsoids, Ellipsoids]:
    """Endocardium and epicardium for a given wall; the epicardial apex stays at w = `apex`."""
    c = (base - apex - spec.apex_wall_ratio * wall) / (1 + spec.base_above_widest)
    widest = base - spec.base_above_widest * c
    return (
        Ellipsoids(a, b, c, widest, base),
        Ellipsoids(a + wall, b + wall, c + spec.apex_wall_ratio * wall, widest, base),
    )


def _muscle_ml(endo: Ellipsoids, epi: Ellipsoids) -> Floats:
    return epi.volumes_ml - endo.volumes_ml


def _right_ventricle(spec: HeartSpec, s: Floats) -> tuple[Ellipsoids, Floats, Floats]:
    """The RV's ellipsoid, the slope of its axis and the axis' u at the base plane; the RV apex stays."""
    a, b = (ed + (es - ed) * s for ed, es in zip(spec.rv_radii_ed_mm, spec.rv_radii_es_mm, strict=True))
    base = -spec.rv_base_descent_mm * s
    length = base + spec.rv_length_mm
    c = length / (1 + spec.base_above_widest)
    at_base, at_apex = spec.rv_offset_mm
    slope = np.full_like(s, -(at_base - at_apex) / spec.rv_length_mm)
    base_u = -at_apex + slope * length
    return Ellipsoids(a, b, c, base - spec.base_above_widest * c, base), slope, base_u
