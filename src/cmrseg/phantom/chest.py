"""What lies around the heart and does not move: lungs, liver, chest wall, great vessels of the back.

Chest coordinates are LPS millimetres of a patient whose heart lies in the default pose: X to the left, Y to the back, Z
to the head, the LV base centre at `LV_BASE`. The chest is fixed to the heart, so it turns with it in unusual poses.
Signal is relative to that of LV blood in a balanced steady-state cine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrseg.phantom.spec import HeartSpec
from cmrseg.phantom.stack import heart_pose
from cmrseg.phantom.texture import Texture

Floats = NDArray[np.floating[Any]]

LV_BASE = np.array([25.0, 0.0, 20.0])
#: Rows are u, v, w of the default pose in chest coordinates.
HEART_AXES = heart_pose(HeartSpec()).axes

LUNG, LIVER, FAT, MUSCLE, BLOOD = 0.12, 0.34, 0.80, 0.36, 0.95
BODY_CENTRE_Y = 10.0
BODY_X, BODY_Y = 165.0, 112.0
SKIN_FAT_MM, WALL_MM = 12.0, 15.0


def to_chest(u: Floats, v: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Chest coordinates of heart coordinates; arrays that broadcast."""
    axes, base = HEART_AXES.astype(np.float32), LV_BASE.astype(np.float32)
    x, y, z = (base[k] + axes[0, k] * u + axes[1, k] * v + axes[2, k] * w for k in range(3))
    return x, y, z


def cover(signal: Floats, value: Floats | float, inside: Floats) -> Floats:
    """`value` laid over `signal` where `inside` is 1, mixed where it is between 0 and 1."""
    mixed: Floats = signal + (value - signal) * inside
    return mixed


def within(distance_mm: Floats, edge_mm: float) -> Floats:
    """1 inside (negative distance), 0 outside, a ramp of width `edge_mm` between."""
    ramp: Floats = np.clip(np.float32(0.5) - distance_mm / np.float32(edge_mm), 0, 1)
    return ramp


def ball(points: tuple[Floats, Floats, Floats], centre: tuple[float, ...], radii: tuple[float, ...]) -> Floats:
    """About the distance in mm from an ellipsoid, negative inside; an infinite radius makes it a tube."""
    scaled = [(p - np.float32(c)) / np.float32(r) for p, c, r in zip(points, centre, radii, strict=True)]
    radius = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    slope = np.sqrt(sum((s / np.float32(r)) ** 2 for s, r in zip(scaled, radii, strict=True)))
    distance: Floats = (radius - 1) * radius / np.maximum(slope, np.float32(1e-6))
    return distance


def chest_signal(u: Floats, v: Floats, w: Floats, texture: Texture, edge_mm: float) -> Floats:
    """Signal of the chest without the heart at points in heart coordinates (arrays that broadcast)."""
    points = to_chest(u, v, w)
    x, y, z = points
    fine, coarse = texture.at(x, y, z, 1.6), texture.at(x, y, z, 7.0)
    depth = -ball(points, (0.0, BODY_CENTRE_Y, 0.0), (BODY_X, BODY_Y, np.inf))
    inner = depth - (SKIN_FAT_MM + 4 * coarse) - (WALL_MM + 2 * coarse)
    signal = _chest_wall(x, y, z, depth, coarse, fine, edge_mm)
    thorax = within(-inner, edge_mm)
    signal = cover(signal, _lungs(x, y, z, fine, texture), thorax)
    signal = cover(
        signal, _belly(points, coarse, fine, texture, edge_mm), thorax * within(z - _diaphragm(x, y), edge_mm)
    )
    signal = _mediastinum(signal, points, coarse, fine, edge_mm)
    result: Floats = signal * within(-depth, edge_mm)
    return result


def _diaphragm(x: Floats, y: Floats) -> Floats:
    """Z of the diaphragm: highest under the right lung, falling to the left and the front."""
    height: Floats = -14 - 0.0018 * (x + 45) ** 2 - 0.0020 * (y - 10) ** 2
    return height


def _chest_wall(x: Floats, y: Floats, z: Floats, depth: Floats, coarse: Floats, fine: Floats, edge_mm: float) -> Floats:
    """Skin fat over muscle, with ribs that run forwards and down."""
    fat = FAT * (1.05 + 0.08 * coarse)
    muscle = MUSCLE * (1 + 0.15 * fine)
    rib = np.sin((z + 0.45 * y + 6 * coarse) * np.float32(2 * np.pi / 30))
    muscle = np.where(rib > 0.55, 0.22 + 0.10 * fine, np.where(rib < -0.8, 0.60, muscle))
    return cover(fat, muscle.astype(np.float32), within(SKIN_FAT_MM + 4 * coarse - depth, edge_mm))


def _lungs(x: Floats, y: Floats, z: Floats, fine: Floats, texture: Texture) -> Floats:
    """Dark, with vessels as bright spots that are denser near the root of the lung."""
    root = np.exp(-((x - 40) ** 2 + (y - 30) ** 2 + (z - 40) ** 2) / np.float32(2 * 70.0**2))
    vessels = np.clip((texture.at(x, y, z, 1.9) - 2.5 + 0.6 * root) * 1.6, 0, 1)
    signal: Floats = (LUNG + 0.012 * fine + 0.75 * vessels).astype(np.float32)
    return signal


def _belly(
    points: tuple[Floats, Floats, Floats], coarse: Floats, fine: Floats, texture: Texture, edge_mm: float
) -> Floats:
    """Liver with vessels on the right and in the middle, stomach and spleen in fat on the left."""
    x, y, z = points
    ridge, where = texture.at(x, y, z, 9.0), texture.at(x, y, z, 14.0)
    vessels = np.clip(1.6 - 14 * np.abs(ridge), 0, 1) * np.clip(where * 2, 0, 1)
    liver = LIVER * (1 + 0.07 * fine) + 0.35 * vessels
    fat = FAT * (0.85 + 0.15 * coarse)
    signal = cover(liver.astype(np.float32), fat, within(62 - x - 8 * coarse, 4.0))
    stomach = ball(points, (84.0, 5.0, -92.0), (42.0, 46.0, 38.0))
    signal = cover(signal, MUSCLE, within(stomach - 3, edge_mm))
    signal = cover(signal, (0.47 + 0.07 * texture.at(x, y, z, 3.0)).astype(np.float32), within(stomach, edge_mm))
    spleen = ball(points, (112.0, 72.0, -85.0), (32.0, 42.0, 45.0))
    return cover(signal, (0.36 + 0.02 * fine).astype(np.float32), within(spleen, edge_mm))


def _mediastinum(
    signal: Floats, points: tuple[Floats, Floats, Floats], coarse: Floats, fine: Floats, edge_mm: float
) -> Floats:
    """Soft tissue behind the heart with spine, aorta, oesophagus and inferior vena cava; fat behind the breastbone."""
    tissue = np.where(coarse > 0.1, FAT * 0.75, 0.36) + 0.05 * fine
    middle = ball(points, (2.0, 48.0, 0.0), (38.0, 50.0, np.inf))
    signal = cover(signal, tissue.astype(np.float32), within(middle + 5 * coarse, 3.0))
    behind_sternum = ball(points, (-12.0, -82.0, -10.0), (34.0, 12.0, 80.0))
    signal = cover(signal, (FAT * (0.9 + 0.1 * coarse)).astype(np.float32), within(behind_sternum + 3 * coarse, 3.0))
    for centre, radius, value in (
        ((0.0, 88.0), 21.0, 0.38),  # vertebral body
        ((0.0, 116.0), 8.0, 0.85),  # spinal canal
        ((14.0, 50.0), 6.5, 0.42),  # oesophagus
    ):
        tube = ball(points, (*centre, 0.0), (radius, radius, np.inf))
        signal = cover(signal, (value + 0.05 * fine).astype(np.float32), within(tube, edge_mm))
    for centre, radius in (((25.0, 64.0), 11.0), ((-24.0, 26.0), 12.0)):  # descending aorta, inferior vena cava
        tube = ball(points, (*centre, 0.0), (radius, radius, np.inf))
        signal = cover(signal, 0.28, within(tube - 2, edge_mm))
        signal = cover(signal, (BLOOD * (1 + 0.04 * fine)).astype(np.float32), within(tube, edge_mm))
    return signal
