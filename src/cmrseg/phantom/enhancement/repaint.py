"""A real LGE stack with its scar taken out and another painted in: muscle, blood and noise stay the patient's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.labels import LGE_RV
from cmrseg.phantom.enhancement.lesions import draw_lesions, smooth_field
from cmrseg.phantom.enhancement.make import SUPERSAMPLING
from cmrseg.phantom.enhancement.spec import Lesion
from cmrseg.phantom.enhancement.tissue import Tissues, distance_mm
from cmrseg.phantom.enhancement.wall import Wall, wall_coordinates

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Muscle this near a drawn scar may hold some of it: up to the first it is painted over, up to the second it tells
#: nothing.
_OVER_MM, _APART_MM = 1.0, 2.5
#: Finer than this is noise and texture, coarser is structure; grain of the latter (SD of smoothing).
_NOISE_MM, _REGION_MM, _SCAR_MM = 1.5, 6.0, 2.5
#: Blur of a painted border by the scanner (SD in pixels), and of its grey zone (SD, drawn from this range).
_POINT_SPREAD_PIXELS, _GREY_ZONE_MM = 0.6, (0.3, 1.5)
#: Depths of the wall at which the signal of muscle without scar is read, since partial volume brightens its borders.
_DEPTHS = np.linspace(0.1, 0.9, 5)
_FEWEST_PIXELS = 60
#: Scar beside blood where the patient has none to take the contrast from.
_SCAR_OVER_BLOOD = 1.1
#: How much the contrast of a painted scar differs from the patient's own (SD of its logarithm).
_CONTRAST_SD = 0.2
#: Unevenness of scar, as a share of its contrast: where the patient shows none, and at most.
_UNEVEN_SCAR = (0.1, 0.4)
_DARK_CORE = (0.0, 0.3)


@dataclass(frozen=True)
class _Muscle:
    """What a stack's muscle looks like where no scar is.

    Args:
        coarse: float32[Z, Y, X], signal without noise; 0 outside the muscle.
        bare: float32[Z, Y, X], what it would be without any scar.
        noise: float32[Z, Y, X], what is finer, as strong in scar as beside it.
        fine: float32[Z, Y, X], what is finer on the picture as it is.
        contrast: by how much scar is brighter than muscle.
        patchiness: SD of the coarse signal in scar, as a share of the contrast.
    """

    coarse: Floats
    bare: Floats
    noise: Floats
    fine: Floats
    contrast: float
    patchiness: float


def repaint(
    picture_ZYX: Floats,
    labels_ZYX: NDArray[np.uint8],
    geometry: Geometry,
    lesions: tuple[Lesion, ...],
    seed: int,
) -> tuple[Floats, NDArray[np.uint8]] | None:
    """Take the scar out of a real LGE stack and paint others into its muscle, as bright as the patient's own.

    Args:
        picture_ZYX: one LGE stack.
        labels_ZYX: its masks in the numbers of `labels.LGE_RV`.
        geometry: grid of both.
        lesions: what to paint; none makes a heart without scar.
        seed: of every random part.

    Returns:
        float32[Z, Y, X] and its masks, scar where at least half of a voxel is; None where too little muscle without
        scar is left to tell what muscle looks like.

    Raises:
        InputRefused: `no_heart` without LV muscle.
    """
    random = np.random.default_rng([seed, 17])
    muscle = LGE_RV.whole_myocardium(labels_ZYX)
    cavity, rv = (LGE_RV.mask(labels_ZYX, name) for name in ("lv_cavity", "rv_cavity"))
    spacing_xy_mm = geometry.spacing_xyz_mm[:2]
    wall = wall_coordinates(muscle, cavity, rv, geometry)
    looks = _looks(picture_ZYX, muscle, cavity, LGE_RV.infarct(labels_ZYX), wall, spacing_xy_mm, random)
    if looks is None:
        return None
    if lesions:
        wall = wall_coordinates(muscle, cavity, rv, geometry, SUPERSAMPLING)
    scar, dark = draw_lesions(lesions, wall, muscle, spacing_xy_mm, random)
    sigma = (0.0, *(random.uniform(*_GREY_ZONE_MM) / mm for mm in spacing_xy_mm[::-1]))
    soft_scar, soft_dark = (ndimage.gaussian_filter(a, sigma) * muscle for a in (scar, dark))
    patches = 1 + np.float32(looks.patchiness) * smooth_field(random, scar.shape, _SCAR_MM, spacing_xy_mm, 0.3)
    contrast = np.float32(looks.contrast * np.exp(random.normal(0, _CONTRAST_SD)))
    bright = looks.bare + contrast * ((soft_scar - soft_dark) * patches + soft_dark * random.uniform(*_DARK_CORE))
    change = ndimage.gaussian_filter(bright - looks.coarse, (0, _POINT_SPREAD_PIXELS, _POINT_SPREAD_PIXELS))
    painted = picture_ZYX + change + np.where(muscle, looks.noise - looks.fine, 0)
    painted = np.maximum(painted, picture_ZYX.min()).astype(np.float32)
    return painted, Tissues(muscle, cavity, rv, scar, dark).labels()


def _looks(
    picture: Floats,
    muscle: Mask,
    cavity: Mask,
    infarct: Mask,
    wall: Wall,
    spacing_xy_mm: tuple[float, float],
    random: np.random.Generator,
) -> _Muscle | None:
    """Read off a stack what its muscle looks like; None where too little of it is free of scar."""
    away = distance_mm(infarct, spacing_xy_mm)
    healthy, scarred = muscle & (away > _APART_MM), muscle & (away <= _OVER_MM)
    if healthy.sum() < _FEWEST_PIXELS:
        return None
    old = np.where(muscle, np.clip((_APART_MM - away) / (_APART_MM - _OVER_MM), 0, 1), 0).astype(np.float32)
    coarse = np.zeros_like(picture)
    for part in (scarred, muscle & ~scarred):
        coarse[part] = _smoothed(picture, part, spacing_xy_mm)[part]
    fine = np.where(muscle, picture - coarse, 0).astype(np.float32)
    quiet = fine[healthy].std() / max(float(fine[scarred].std()), 1e-6) if scarred.any() else 1.0
    noise = fine * np.where(scarred, np.float32(min(1.0, quiet)), 1)
    levels = _levels(picture, healthy)
    depth = np.full(picture.shape, 0.5, np.float32)
    depth[:, *wall.box] = wall.depth
    usual = levels + _by_depth(coarse - levels, healthy, depth)
    uneven = float((coarse - usual)[healthy].std())
    usual = usual + np.float32(uneven) * smooth_field(random, picture.shape, _REGION_MM, spacing_xy_mm, 0.3)
    bare = np.where(muscle, old * usual + (1 - old) * coarse, 0).astype(np.float32)
    return _Muscle(coarse, bare, noise, fine, *_scar_contrast(coarse - levels, infarct, picture, cavity, levels))


def _scar_contrast(above: Floats, infarct: Mask, picture: Floats, cavity: Mask, levels: Floats) -> tuple[float, float]:
    """How much brighter than muscle scar is, and how unevenly; relative to blood where the patient shows none."""
    core = above[infarct & ndimage.binary_erosion(infarct, np.ones((1, 3, 3), bool))]
    contrast = float(np.median(core)) if len(core) >= _FEWEST_PIXELS // 3 else 0.0
    if contrast > 0:
        return contrast, min(float(core.std()) / contrast, _UNEVEN_SCAR[1])
    blood = float(np.median(picture[cavity])) if cavity.any() else float(picture.max())
    return _SCAR_OVER_BLOOD * blood - float(levels.mean()), _UNEVEN_SCAR[0]


def _smoothed(picture: Floats, mask: Mask, spacing_xy_mm: tuple[float, float]) -> Floats:
    """The picture within a mask without its noise; nothing from outside the mask comes in."""
    sigma = (0.0, *(_NOISE_MM / mm for mm in spacing_xy_mm[::-1]))
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth: Floats = ndimage.gaussian_filter(np.where(mask, picture, 0).astype(np.float32), sigma)
    smooth /= np.maximum(weight, np.float32(1e-3))
    return smooth


def _levels(picture: Floats, healthy: Mask) -> Floats:
    """Signal of muscle without scar of each slice, float32[Z, 1, 1]; where a slice has too little, of the stack."""
    whole = np.median(picture[healthy])
    enough = healthy.sum(axis=(1, 2)) >= _FEWEST_PIXELS
    return np.array(
        [np.median(p[h]) if e else whole for p, h, e in zip(picture, healthy, enough, strict=True)], np.float32
    )[:, None, None]


def _by_depth(above: Floats, healthy: Mask, depth: Floats) -> Floats:
    """How much brighter than on average muscle is at its depth of the wall."""
    values, depths = above[healthy], depth[healthy]
    width = (_DEPTHS[1] - _DEPTHS[0]) / 2
    at_depth = [values[np.abs(depths - d) <= width] for d in _DEPTHS]
    usual = [float(np.median(v)) if len(v) else 0.0 for v in at_depth]
    result: Floats = np.interp(depth, _DEPTHS, usual).astype(np.float32)
    return result
