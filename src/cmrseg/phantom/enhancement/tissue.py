"""From a cine frame to the signal of the same tissues on LGE, before the scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.labels import LGE_RV
from cmrseg.phantom.enhancement.lesions import smooth_field
from cmrseg.phantom.enhancement.spec import EnhancementSpec

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: The RV wall and the epicardial fat are seen with the heart's contrast up to about this far from drawn structures.
_RIM_MM = 4.0
#: Coil sensitivity of the cine is smooth over this many mm (SD).
_COIL_MM = 25.0
_COARSE = 4
_MIN_CONTRAST = 0.1
#: Brightness over blood on cine from which tissue counts as the brightest kind, fat close to the coil.
_BRIGHTEST = 1.8
#: Grain of incomplete nulling from region to region, and of denser and looser scar, SD of smoothing.
_REGION_MM, _SCAR_MM = 8.0, 2.5
#: What lies against the heart is mixed with the muscle's signal over about this far outside it.
_PERICARDIUM_MM = 1.5


@dataclass(frozen=True)
class Tissues:
    """What every voxel of a stack is made of.

    Args:
        muscle: bool[Z, Y, X], the whole LV muscle.
        cavity: bool[Z, Y, X], the LV cavity.
        rv: bool[Z, Y, X], the RV cavity.
        scar: float32[Z, Y, X], share that is scar, no-reflow included.
        no_reflow: float32[Z, Y, X], share that is no-reflow.
    """

    muscle: Mask
    cavity: Mask
    rv: Mask
    scar: Floats
    no_reflow: Floats

    @property
    def heart(self) -> Mask:
        """Muscle and both cavities."""
        return self.muscle | self.cavity | self.rv

    def taken(self, slices: NDArray[np.intp]) -> Tissues:
        """The named slices alone."""
        masks = (self.muscle[slices], self.cavity[slices], self.rv[slices])
        return Tissues(*masks, self.scar[slices], self.no_reflow[slices])

    def labels(self) -> NDArray[np.uint8]:
        """Numbers of `labels.LGE_RV`; a voxel is scar when at least half of it is, no-reflow when most of that is."""
        labels = np.zeros(self.muscle.shape, np.uint8)
        for name, mask in (("rv_cavity", self.rv), ("lv_cavity", self.cavity), ("lv_myocardium", self.muscle)):
            labels[mask] = LGE_RV[name]
        infarct = self.scar >= 0.5
        labels[infarct] = LGE_RV["scar"]
        labels[infarct & (self.no_reflow > self.scar / 2)] = LGE_RV["no_reflow"]
        return labels


def tissue_signal(
    cine_ZYX: Floats,
    tissues: Tissues,
    spacing_xy_mm: tuple[float, float],
    spec: EnhancementSpec,
    random: np.random.Generator,
) -> Floats:
    """Signed LGE signal relative to LV blood, float32[Z, Y, X].

    How much blood a voxel in or near the heart holds is read off the cine, so that partial volume at the endocardium,
    papillary muscles and trabeculae are where they are on the patient's own picture. Further away the cine's grey
    values are mapped to those that the same tissues have on LGE.

    Args:
        cine_ZYX: one cine frame.
        tissues: its masks and the scar in it.
        spacing_xy_mm: pixel size.

    Raises:
        InputRefused: `empty_image` when blood is not brighter than muscle on the cine.
    """
    cine, muscle_level = _normalised(cine_ZYX, tissues, spacing_xy_mm)
    blood = np.clip((cine - muscle_level) / (1 - muscle_level), 0, 1.15)
    blood = np.where(tissues.cavity | tissues.rv, 1 - (1 - blood) * np.float32(spec.trabeculae), blood)
    n_slices = len(cine)
    by_slice = random.standard_normal((n_slices, 1, 1), dtype=np.float32) * np.float32(spec.remote_slice_sd)
    fields = [smooth_field(random, cine.shape, spec.texture_mm, spacing_xy_mm, 0.3) for _ in range(2)]
    regional = smooth_field(random, cine.shape, _REGION_MM, spacing_xy_mm, 0.5)
    away = distance_mm(tissues.heart, spacing_xy_mm)
    level = np.float32(spec.rim_signal - spec.remote_signal) * (1 - np.exp(-away / np.float32(_PERICARDIUM_MM)))
    muscle = level + np.float32(spec.remote_signal) + by_slice + np.float32(spec.remote_regional_sd) * regional
    muscle = muscle + np.float32(spec.muscle_texture) * fields[0]
    patches = smooth_field(random, cine.shape, _SCAR_MM, spacing_xy_mm, 0.3)
    muscle = _with_scar(muscle, tissues, patches, spacing_xy_mm, spec)
    bright = 1 + np.float32(spec.blood_texture) * fields[1]
    bright = bright * np.where(_nearer_to(tissues.rv, tissues.cavity | tissues.muscle), np.float32(spec.rv_signal), 1)
    heart = blood * bright + (1 - np.minimum(blood, 1)) * muscle
    greys = (0.0, muscle_level / 2, muscle_level, 1.0, _BRIGHTEST)
    around = np.interp(cine, greys, spec.background_signals).astype(np.float32)
    near = np.exp(-((away / np.float32(_RIM_MM)) ** 2))
    signal: Floats = near * heart + (1 - near) * around
    return signal


def _normalised(cine: Floats, tissues: Tissues, spacing_xy_mm: tuple[float, float]) -> tuple[Floats, float]:
    """The cine in units of LV blood with its coil's sensitivity taken out, and the level of muscle on it."""
    muscle, cavity, rv = tissues.muscle, tissues.cavity, tissues.rv
    inner = ndimage.binary_erosion(cavity, np.ones((1, 3, 3), bool))
    inner = inner if inner.any() else cavity
    if not inner.any():
        raise InputRefused("no_heart", "The masks hold no LV cavity.", "Give a frame with the left ventricle drawn.")
    blood_level, muscle_level = float(np.percentile(cine[inner], 60)), float(np.median(cine[muscle]))
    if blood_level - muscle_level < _MIN_CONTRAST * abs(blood_level) or blood_level <= 0:
        raise InputRefused(
            "empty_image",
            "Blood is not brighter than muscle in this frame, so it is no cine with its masks.",
            "Give a bright-blood cine frame and the masks that belong to it.",
        )
    levels = np.zeros_like(cine)
    levels[muscle], levels[cavity] = muscle_level, blood_level
    if rv.any():
        levels[rv] = np.percentile(cine[rv], 60)
    sensitivity = _sensitivity(cine, levels, spacing_xy_mm)
    return (cine / (sensitivity * np.float32(blood_level))).astype(np.float32), muscle_level / blood_level


def _sensitivity(cine: Floats, levels: Floats, spacing_xy_mm: tuple[float, float]) -> Floats:
    """Smooth factor by which each structure deviates from its own level; 1 far from them."""
    known = levels > 0
    ratio = np.clip(cine / np.where(known, levels, 1), 0.6, 1.7)
    logs = np.where(known, np.log(ratio), 0)[:, ::_COARSE, ::_COARSE]
    weight = known[:, ::_COARSE, ::_COARSE].astype(np.float32)
    sigma = (0.7, *(_COIL_MM / mm / _COARSE for mm in spacing_xy_mm[::-1]))
    over, under = (ndimage.gaussian_filter(a, sigma, mode="nearest") for a in (logs, weight))
    coarse = over / (under + np.float32(0.02))
    scale = (1, *(n / c for n, c in zip(cine.shape[1:], coarse.shape[1:], strict=True)))
    fine: Floats = np.exp(ndimage.zoom(coarse, scale, order=1, mode="nearest", grid_mode=True)).astype(np.float32)
    return fine


def _with_scar(
    muscle: Floats,
    tissues: Tissues,
    texture: Floats,
    spacing_xy_mm: tuple[float, float],
    spec: EnhancementSpec,
) -> Floats:
    """Signal of muscle with the share of scar in it, blurred over the grey zone."""
    scar, no_reflow = tissues.scar, tissues.no_reflow
    if not scar.any():
        return muscle
    sigma = (0.0, *(spec.grey_zone_mm / mm for mm in spacing_xy_mm[::-1]))
    whole, dark = (ndimage.gaussian_filter(a, sigma) if spec.grey_zone_mm else a for a in (scar, no_reflow))
    level = np.float32(spec.scar_signal) * (1 + np.float32(spec.scar_texture) * texture)
    signal: Floats = (1 - whole) * muscle + (whole - dark) * level + dark * np.float32(spec.no_reflow_signal)
    return signal


def _nearer_to(one: Mask, other: Mask) -> Mask:
    """Where a mask is nearer than another, slice by slice; nowhere on slices without it."""
    result = np.zeros(one.shape, bool)
    for z in np.flatnonzero(one.any(axis=(1, 2))):
        there = ndimage.gaussian_filter(one[z].astype(np.float32), 3.0)
        result[z] = one[z] | ((there > ndimage.gaussian_filter(other[z].astype(np.float32), 3.0)) & ~other[z])
    return result


def distance_mm(heart: Mask, spacing_xy_mm: tuple[float, float]) -> Floats:
    """Distance from a mask in the plane of each slice; far on slices without it."""
    away = np.full(heart.shape, 1e3, np.float32)
    for z in np.flatnonzero(heart.any(axis=(1, 2))):
        away[z] = ndimage.distance_transform_edt(~heart[z], sampling=spacing_xy_mm[::-1])
    return away
