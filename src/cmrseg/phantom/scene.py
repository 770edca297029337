"""What the scanner sees. First version: heart in a plain chest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmrseg.geometry import Geometry
from cmrseg.phantom.heart import Heart
from cmrseg.phantom.spec import HeartSpec
from cmrseg.phantom.stack import slice_levels, slice_points

BLOOD_UNITS = 700.0


def render_stack(spec: HeartSpec, heart: Heart, geometry: Geometry) -> NDArray[np.float32]:
    """The cine, float32[T, Z, Y, X] in whole numbers from 0 to 2047."""
    random = np.random.default_rng([spec.seed, 1])
    data = np.empty((spec.phases, spec.slices, *spec.shape_xy[::-1]), np.float32)
    levels = slice_levels(spec)
    edge = 1.0 / min(spec.pixel_spacing_xy_mm)
    for z in range(spec.slices):
        u, v = slice_points(spec, geometry, z)
        for t in range(spec.phases):
            picture = np.full(u.shape, 0.12)
            for du, a, b, shape, value in (
                (heart.rv_axis_u(levels[z : z + 1])[t, 0], heart.rv.a[t], heart.rv.b[t], heart.rv, 0.9),
                (0.0, heart.epi.a[t], heart.epi.b[t], heart.epi, 0.33),
                (0.0, heart.endo.a[t], heart.endo.b[t], heart.endo, 1.0),
            ):
                scale = shape.scale(levels[z : z + 1])[t, 0]
                if scale > 0:
                    centre_v = heart.rv_v if shape is heart.rv else 0.0
                    radius = np.hypot((u - du) / a, (v - centre_v) / b)
                    inside = np.clip(0.5 + (scale - radius) * min(a, b) * edge, 0, 1)
                    picture += (value - picture) * inside
            noise = random.normal(0.0, spec.noise, (2, *u.shape))
            data[t, z] = np.hypot(picture + noise[0], noise[1]) * BLOOD_UNITS
    result: NDArray[np.float32] = np.clip(np.rint(data), 0, 2047).astype(np.float32)
    return result
