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

LV_BLOOD, RV_BLOOD, ATRIAL_BLOOD = 1.0, 0.72, 0.76
PERICARDIUM, RV_WALL, ATRIUM_WALL = 0.29, 0.27, 0.42
RV_WALL_MM, ATRIUM_WALL_MM, PERICARDIUM_MM = 3.0, 1.2, 3.0
#: Length of the roots of the great arteries above the base; what follows arches out of the short-axis planes.
GREAT_VESSEL_MM = 45.0
#: Share of muscle (trabeculae) in the blood at the LV endocardium, at ED and ES.
RIM_ED, RIM_ES = 0.75, 0.95
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
    signal = _around(behind, u, v, w, epi, rv - RV_WALL_MM, one, grains)
    signal = _above_base(signal, u, v, w, one, grains, edge_mm)
    muscle = MUSCLE * (1 + 0.07 * grains.fine)
    signal = cover(signal, RV_WALL, within(rv - RV_WALL_MM, edge_mm) * rv_below)
    signal = cover(signal, _rv_blood(u, v, w, np.maximum(rv, -epi), one, grains), within(rv, edge_mm) * rv_below)
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


def _around(
    signal: Floats, u: Floats, v: Floats, w: Floats, epi: Floats, rv: Floats, one: Heart, grains: Grains
) -> Floats:
    """Pericardium everywhere; fat in the grooves between the ventricles and in lobes over the RV."""
    below = within(w - np.float32(one.epi.top[0]), 4.0)
    outside = np.minimum(epi, rv)
    signal = cover(signal, PERICARDIUM, 0.85 * within(outside - PERICARDIUM_MM, 2.5) * below)
    above_rv_apex = np.clip((w - np.float32(one.rv.widest[0] - one.rv.c[0]) - 8) / 10, 0, 1)
    groove = np.exp(-np.maximum(np.maximum(epi, rv), 0) / 5) * above_rv_apex
    lobes = within(u + 10, 40.0) * np.clip(grains.coarse + 0.2, 0, 1.5)
    fat = within(outside - 2.0 - 3.0 * lobes - 6.0 * groove, 2.0) * within(1.0 - outside, 2.0)
    return cover(signal, FAT * (0.85 + 0.12 * grains.fine), fat * below * np.clip(lobes + 1.5 * groove, 0, 1))


def _rv_blood(u: Floats, v: Floats, w: Floats, rv: Floats, one: Heart, grains: Grains) -> Floats:
    """Blood with trabeculae, denser towards the apex and the free wall, and the moderator band."""
    apical = np.clip((np.float32(one.rv.top[0]) - w) / 70, 0, 1)
    inside = np.minimum(rv, 0)
    trabeculae = np.clip(grains.middle - 0.5 + apical, 0, 1) * np.exp(inside / 7) * (0.3 + 0.5 * apical)
    rim = 0.6 * np.exp(inside / 2.2)
    band = np.exp(-((w + 50) ** 2) / np.float32(2 * 3.0**2) - ((v - 8 - 0.2 * u) ** 2) / np.float32(2 * 2.0**2))
    blood = RV_BLOOD * (1 + 0.06 * grains.coarse + 0.03 * grains.fine)
    return cover(blood, MUSCLE, np.clip(trabeculae + rim + 0.7 * band, 0, 1))


def _lv_blood(u: Floats, v: Floats, w: Floats, endo: Floats, one: Heart, grains: Grains, muscle: Floats) -> Floats:
    """Blood with fast flow near the valves, trabeculae at its rim, and two papillary muscles that follow the wall.

    The rim is as wide as in public cines, where the mean signal rises over about 5 mm inside the drawn endocardium.
    """
    top, length = one.endo.top[0], one.endo.top[0] - one.endo.widest[0] + one.endo.c[0]
    level = (np.float32(top) - w) / np.float32(length)
    jet = np.exp(-((u + 4) ** 2 + v**2) / np.float32(2 * 8.0**2)) * np.clip(1 - 2.5 * np.abs(level), 0, 1)
    blood: Floats = LV_BLOOD * (1 + 0.05 * grains.coarse + 0.02 * grains.fine) - 0.12 * jet
    full = 1 - float(one.contraction[0])
    inside = np.minimum(endo, 0)
    rim = (RIM_ED * full + RIM_ES * (1 - full)) * np.exp(
        inside / (np.float32(2.6 + 2.0 * (1 - full)) + 6 * np.clip(level - 0.7, 0, 1))
    )
    lumps = np.clip(0.5 + 0.7 * grains.middle, 0, 1.4)
    blood = cover(blood, muscle, np.clip(rim * lumps + 0.25 * rim * np.clip(level, 0, 1), 0, 1))
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
    full = 1 + 0.08 * float(one.contraction[0])
    lv_top, rv_top = float(one.epi.top[0]), float(one.rv.top[0])
    for (cu, cv, above), radii, top in (
        ((-42.0, 17.0, 17.0), (30.0 * full, 29.0 * full, 27.0), rv_top),  # right atrium
        ((9.0, 11.0, 16.0), (32.0 * full, 25.0 * full, 25.0), lv_top),  # left atrium
    ):
        upright = Ellipsoids(*(np.array([r]) for r in (*radii, top + above, np.inf)))
        room = _distance(u - np.float32(cu), v - np.float32(cv), w, upright)
        signal = _vessel(signal, room, w, top, grains, edge_mm)
    for (cu, cv), (lean_u, lean_v), radius, top in (
        ((-31.0, -25.0), (0.3, -0.05), 17.0, rv_top),  # outflow tract and pulmonary trunk
        ((-15.0, -7.0), (-0.15, -0.1), 13.5, lv_top),  # aortic root
    ):
        rise = w - np.float32(top)
        across = np.hypot(u - cu - lean_u * rise, v - cv - lean_v * rise) - np.float32(radius)
        tube = np.maximum(across, rise - GREAT_VESSEL_MM)
        signal = _vessel(signal, tube, w, top, grains, edge_mm)
    return signal


def _vessel(signal: Floats, distance: Floats, w: Floats, top: float, grains: Grains, edge_mm: float) -> Floats:
    """Blood in a thin wall, only above `top`."""
    above = within(np.float32(top) - w, 2.0)
    signal = cover(signal, ATRIUM_WALL, within(distance - ATRIUM_WALL_MM, edge_mm) * above)
    blood = ATRIAL_BLOOD * (1 + 0.06 * grains.coarse + 0.03 * grains.fine)
    return cover(signal, blood, within(distance, edge_mm) * above)
