"""What a generated LGE picture is made of: lesions, tissue signals, and how the scanner spoils them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Pattern = Literal["ischaemic", "midwall", "subepicardial", "patchy"]


@dataclass(frozen=True)
class Lesion:
    """One scar in the coordinates of the wall: angle round the ventricle, level from base to apex, depth from within.

    An ischaemic scar grows from the endocardium outwards, as the wavefront of necrosis does (Reimer and Jennings, Lab
    Invest 1979;40:633), so that it is deepest in the middle of its territory.
    """

    pattern: Pattern = "ischaemic"
    """``ischaemic`` reaches from the endocardium outwards, ``subepicardial`` from the epicardium inwards, ``midwall``
    spares both; ``patchy`` is made of islands through the whole depth it is given."""
    angle_degrees: float = 90.0
    """Middle of the scar: 0 is the middle of the septum, 90 anterior, 180 lateral, 270 inferior."""
    width_degrees: float = 90.0
    """Arc it covers; 360 and more is the whole ring."""
    level: float = 0.5
    """Middle of the scar along the ventricle: 0 is the base, 1 the apex."""
    length: float = 0.6
    """Share of the ventricle's length it covers; 2 and more is all of it whatever the level."""
    transmurality: float = 0.7
    """Share of the wall's depth that is scar where it is deepest."""
    spared: float = 0.0
    """Share of the wall's depth next to the endocardium that an ischaemic scar leaves out."""
    depth: float = 0.5
    """Depth of the middle of a mid-wall scar: 0 is the endocardium, 1 the epicardium."""
    taper: float = 0.5
    """Share of its half width over which the depth falls to nothing; 0 is a scar with walls."""
    roughness: float = 0.5
    """How ragged the border is; 0 is smooth, 1 deviates by about a quarter of the half width."""
    density: float = 1.0
    """Share of a patchy scar that is scar; the other patterns are dense."""
    no_reflow: float = 0.0
    """Extent of the dark core of an ischaemic scar relative to the scar's own, 0 to 1; 0 is none."""

    def __post_init__(self) -> None:
        shares = (self.level, self.transmurality, self.spared, self.depth, self.taper, self.density, self.no_reflow)
        if not np.isfinite(shares).all() or min(shares) < 0 or max(shares) > 1:
            raise ValueError("all shares of a lesion, and its level and depth, lie in 0 to 1")
        if self.width_degrees <= 0 or self.length <= 0 or self.roughness < 0:
            raise ValueError("a lesion needs a width and a length above 0 and a roughness of at least 0")


@dataclass(frozen=True)
class EnhancementSpec:
    """One LGE picture. Signals are relative to that of LV blood. The defaults are a clean picture without scar."""

    lesions: tuple[Lesion, ...] = ()
    """Scars; none is a heart without scar. Where two overlap the muscle is scar once."""
    psir: bool = False
    """Phase-sensitive reconstruction: signed signal on a grey offset, with noise that is not rectified."""
    psir_offset: float = 0.5
    """Signal that a phase-sensitive picture writes as grey; added before it is written."""

    remote_signal: float = 0.08
    """Signal of nulled muscle; negative where the inversion time is too short, which magnitude pictures rectify."""
    remote_slice_sd: float = 0.0
    """How much that differs from slice to slice, as inversion times do (SD)."""
    remote_regional_sd: float = 0.0
    """How much that differs from one region of the wall to the next, as nulling and motion do (SD)."""
    scar_signal: float = 1.2
    """Signal of dense scar."""
    no_reflow_signal: float = 0.1
    """Signal of the dark core."""
    rv_signal: float = 0.9
    """Signal of blood in the right ventricle."""
    rim_signal: float = 0.1
    """Signal of what lies against the heart and is dark on cine: RV wall, pericardium, fluid."""
    background_signals: tuple[float, float, float, float, float] = (0.0, 0.08, 0.3, 0.8, 1.2)
    """Signal around the heart of what on cine is black, half as bright as muscle (lung), as muscle, as blood, brightest
    (fat)."""
    grey_zone_mm: float = 0.5
    """Blur of the scar's signal over its border (SD), where strands of scar and muscle mix."""
    scar_texture: float = 0.0
    """Variation of signal within the scar (SD, as a share of it)."""
    muscle_texture: float = 0.0
    """Variation of signal within nulled muscle (SD, relative to blood)."""
    blood_texture: float = 0.0
    """Variation of signal within blood (SD, as a share of it)."""
    texture_mm: float = 1.5
    """Grain of the variation within muscle and blood: SD of the smoothing that makes it."""
    trabeculae: float = 1.0
    """How much of the papillary muscles and trabeculae of the cine is seen in the blood, 0 to 1."""

    resolution_xy_mm: tuple[float, float] = (1.4, 1.4)
    """Acquired pixel size along x and y; where the grid is finer the picture is interpolated, with its ringing."""
    noise: float = 0.03
    """SD of the noise in each of the two receiver channels."""
    ghosting: float = 0.0
    """SD of the phase errors of the beating heart from line to line, in radians; makes ripples and ghosts along y."""
    gain: float = 0.0
    """SD of the logarithm of the coil's sensitivity over the picture."""
    gain_corrected: float = 0.0
    """Share of that which the scanner takes out again, noise included."""
    slice_gain: float = 0.0
    """SD of the logarithm of the gain from slice to slice."""
    breath_hold_mm: float = 0.0
    """SD of the shift of every slice along x and along y, rounded to whole pixels; masks move with it."""
    slice_distance_mm: float | None = None
    """Keep every n-th slice, so that they lie about this far apart; None keeps them all."""
    only_muscle: bool = False
    """Leave slices without LV muscle out."""
    blood_units: float = 1000.0
    """What the signal of blood is written as."""

    def __post_init__(self) -> None:
        amounts = (
            *self.background_signals,
            self.grey_zone_mm,
            self.scar_texture,
            self.muscle_texture,
            self.blood_texture,
            self.noise,
            self.ghosting,
            self.gain,
            self.slice_gain,
            self.breath_hold_mm,
            self.remote_slice_sd,
            self.remote_regional_sd,
        )
        if not np.isfinite(amounts).all() or min(amounts) < 0:
            raise ValueError("background signals, textures, noise, ghosting, gains and shifts must be at least 0")
        if min(*self.resolution_xy_mm, self.blood_units, self.texture_mm) <= 0 or (self.slice_distance_mm or 1.0) <= 0:
            raise ValueError("resolution, grain, slice distance and units must be above 0")
        if not (0 <= self.trabeculae <= 1 and 0 <= self.gain_corrected <= 1):
            raise ValueError("trabeculae and gain_corrected lie in 0 to 1")
