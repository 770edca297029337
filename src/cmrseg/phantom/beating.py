"""What beats: both ventricles with their walls, atria, roots of the great arteries, and the fat around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.phantom.chest import FAT, MUSCLE, cover, within
from cmrseg.phantom.heart import Ellipsoids, Heart
from cmrseg.phantom.texture import Texture

Floats = NDArray[np.floating[Any]]

LV_BLOOD, RV_BLOOD, ATRIAL_BLOOD = 1.0, 0.93, 0.92
RV_WALL_MM, ATRIUM_WALL_MM = 3.0, 2.0
#: Heart coordinates beyond which nothing beats: lowest and highest u, v, w in mm.
REACH = ((-100.0, 65.0), (-75.0, 75.0), (-115.0, 75.0))


@dataclass(frozen=True)
class Grains:
    """Texture at the points of one plane, by grain: made once, used at every phase.

    Args:
        fine: grain of a few mm.
        middle: grain of the trabeculae.
        coarse: grain of fat lobes and slow flow.
    """

    fine: Floats
    middle: Floats
    coarse: Floats

    @classmethod
    def at(cls, u: Floats, v: Floats, w: Floats, texture: Texture) -> Grains:
        """Look the texture up at points in heart coordinates."""
        return cls(texture.at(u, v, w, 1.3), texture.at(u, v, w, 2.2), texture.at(u, v, w, 8.0))


def heart_signal(
    behind: Floats, u: Floats, v: Floats, w: Floats, heart: Heart, frame: int, grains: Grains, edge_mm: float
) -> Floats:
    """Signal of one phase laid over what is behind it.

    Args:
        behind: signal of the chest, any shape; u, v, w and the grains broadcast to it.
        heart: shapes of all phases.
        frame: which phase.
        edge_mm: width over which one tissue gives way to the next in the picture.
    """
    one = heart.at(frame)
    rv_u = u - np.float32(one.rv_base_u[0]) - np.float32(one.rv_slope[0]) * (w - np.float32(one.rv.top[0]))
    rv = _distance(rv_u, v - np.float32(one.rv_v), w, one.rv)
    epi = _distance(u, v, w, one.epi)
    lv_below, rv_below = (within(w - np.float32(s.top[0]), 2.0) for s in (one.epi, one.rv))
    signal = _fat(behind, u, v, w, epi, rv - RV_WALL_MM, one, grains)
    signal = _above_base(signal, u, v, w, one, grains, edge_mm)
    muscle = MUSCLE * (1 + 0.07 * grains.fine)
    signal = cover(signal, muscle, within(rv - RV_WALL_MM, edge_mm) * rv_below)
    signal = cover(signal, _rv_blood(u, v, w, rv, one, grains), within(rv, edge_mm) * rv_below)
    signal = cover(signal, muscle, within(epi, edge_mm) * lv_below)
    endo = _distance(u, v, w, one.endo)
    return cover(signal, _lv_blood(u, v, w, endo, one, grains, muscle), within(endo, edge_mm) * lv_below)


def _distance(u: Floats, v: Floats, w: Floats, shape: Ellipsoids) -> Floats:
    """About the distance in mm from the ellipsoid of one phase, in its upright coordinates; negative inside."""
    a, b, c = (np.float32(s[0]) for s in (shape.a, shape.b, shape.c))
    x, y, z = u / a, v / b, (w - np.float32(shape.widest[0])) / c
    squared = x * x + y * y + z * z
    slope = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    distance: Floats = (squared - np.sqrt(squared)) / np.maximum(slope, np.float32(1e-6))
    return distance


def _fat(
    signal: Floats, u: Floats, v: Floats, w: Floats, epi: Floats, rv: Floats, one: Heart, grains: Grains
) -> Floats:
    """Fat on the heart's surface: thick in the groove at the base and over the RV, hardly any over the lateral wall."""
    groove = np.exp(-((w - np.float32(one.epi.top[0]) - 4) ** 2) / np.float32(2 * 9.0**2))
    septal = within(u + 5, 40.0)
    thickness = 0.5 + 5.0 * groove + 4.0 * septal * np.clip(grains.coarse + 0.6, 0, 2)
    beside = within(np.minimum(epi, rv) - thickness, 2.5) * within(w - np.float32(one.epi.top[0]) - 10, 6.0)
    return cover(signal, FAT * (0.95 + 0.08 * grains.fine), beside)


def _rv_blood(u: Floats, v: Floats, w: Floats, rv: Floats, one: Heart, grains: Grains) -> Floats:
    """Blood with trabeculae, denser towards the apex and the free wall, and the moderator band."""
    apical = np.clip((np.float32(one.rv.top[0]) - w) / 70, 0, 1)
    near_wall = np.exp(np.minimum(rv, 0) / 6)
    trabeculae = np.clip(grains.middle - 0.9 + 0.9 * apical * near_wall, 0, 1) * (0.25 + 0.75 * near_wall * apical)
    band = np.exp(-((w + 50) ** 2) / np.float32(2 * 3.0**2) - ((v - 8 - 0.2 * u) ** 2) / np.float32(2 * 2.0**2))
    blood = RV_BLOOD * (1 + 0.06 * grains.coarse + 0.03 * grains.fine)
    darkened: Floats = blood - 0.55 * np.clip(trabeculae + 0.7 * band, 0, 1)
    return darkened


def _lv_blood(u: Floats, v: Floats, w: Floats, endo: Floats, one: Heart, grains: Grains, muscle: Floats) -> Floats:
    """Blood with fast flow near the valves, trabeculae at its rim, and two papillary muscles that follow the wall."""
    top, length = one.endo.top[0], one.endo.top[0] - one.endo.widest[0] + one.endo.c[0]
    level = (np.float32(top) - w) / np.float32(length)
    jet = np.exp(-((u + 4) ** 2 + v**2) / np.float32(2 * 8.0**2)) * np.clip(1 - 2.5 * np.abs(level), 0, 1)
    blood: Floats = LV_BLOOD * (1 + 0.05 * grains.coarse + 0.02 * grains.fine) - 0.12 * jet
    rim = np.exp(np.minimum(endo, 0) / 3) * np.clip(level * 1.6 - 0.3, 0, 1)
    blood = blood - 0.55 * np.clip(grains.middle - 0.2, 0, 1) * rim
    span = np.clip((level - 0.30) / 0.08, 0, 1) * np.clip((0.74 - level) / 0.08, 0, 1)
    scale = np.sqrt(np.clip(1 - ((w - np.float32(one.endo.widest[0])) / np.float32(one.endo.c[0])) ** 2, 0, 1))
    for degrees, long_mm, short_mm in ((-38.0, 5.0, 3.4), (118.0, 5.2, 3.6)):
        along, across = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        middle = 0.72 * scale
        du = u - np.float32(one.endo.a[0] * along) * middle
        dv = v - np.float32(one.endo.b[0] * across) * middle
        radial = du * np.float32(along) + dv * np.float32(across)
        tangential = dv * np.float32(along) - du * np.float32(across)
        shape = (np.sqrt((radial / np.float32(long_mm)) ** 2 + (tangential / np.float32(short_mm)) ** 2) - 1) * short_mm
        blood = cover(blood, muscle, within(shape, 2.0) * span)
    return blood


def _above_base(signal: Floats, u: Floats, v: Floats, w: Floats, one: Heart, grains: Grains, edge_mm: float) -> Floats:
    """Left and right atrium, aortic root and outflow tract above the base planes; atria fill while ventricles empty."""
    full = 1 + 0.14 * float(one.contraction[0])
    lv_top, rv_top = float(one.epi.top[0]), float(one.rv.top[0])
    for (cu, cv, above), radii, top in (
        ((-44.0, 16.0, 24.0), (26.0 * full, 27.0 * full, 27.0), rv_top),  # right atrium
        ((4.0, 9.0, 24.0), (27.0 * full, 22.0 * full, 25.0), lv_top),  # left atrium
    ):
        upright = Ellipsoids(*(np.array([r]) for r in (*radii, top + above, np.inf)))
        room = _distance(u - np.float32(cu), v - np.float32(cv), w, upright)
        signal = _vessel(signal, room, w, top, grains, edge_mm)
    for (cu, cv), (lean_u, lean_v), radius, top in (
        ((-30.0, -26.0), (0.25, -0.05), 14.0, rv_top),  # outflow tract and pulmonary trunk
        ((-17.0, -8.0), (-0.15, -0.1), 13.0, lv_top),  # aortic root
    ):
        rise = w - np.float32(top)
        tube = np.hypot(u - cu - lean_u * rise, v - cv - lean_v * rise) - np.float32(radius)
        signal = _vessel(signal, tube, w, top, grains, edge_mm)
    return signal


def _vessel(signal: Floats, distance: Floats, w: Floats, top: float, grains: Grains, edge_mm: float) -> Floats:
    """Blood in a thin wall, only above `top`."""
    above = within(np.float32(top) - w, 2.0)
    signal = cover(signal, MUSCLE, within(distance - ATRIUM_WALL_MM, edge_mm) * above)
    blood = ATRIAL_BLOOD * (1 + 0.06 * grains.coarse + 0.03 * grains.fine)
    return cover(signal, blood, within(distance, edge_mm) * above)
