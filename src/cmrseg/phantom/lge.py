"""The LGE stack of a phantom's heart: on slices of its own in the same patient, magnitude and phase-sensitive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cmrseg.phantom.enhancement.make import Enhanced, make_lge_phantom
from cmrseg.phantom.enhancement.spec import EnhancementSpec, Lesion
from cmrseg.phantom.make import Phantom
from cmrseg.phantom.spec import HeartSpec
from cmrseg.study import Image, Segmentation

#: An infarct of the anterior wall and septum with a dark core, seen by a scanner with a little of every fault.
INFARCT = EnhancementSpec(
    lesions=(
        Lesion(
            angle_degrees=60.0,
            width_degrees=130.0,
            level=0.6,
            length=0.9,
            transmurality=0.8,
            taper=0.4,
            roughness=0.3,
            no_reflow=0.5,
        ),
    ),
    remote_signal=0.12,
    scar_texture=0.1,
    muscle_texture=0.04,
    blood_texture=0.05,
    gain=0.15,
    only_muscle=True,
)
#: Pixels of the LGE stack are smaller than those of the cine by this much, and its slices lie this much of a slice
#: distance nearer to the base, so that neither grid can be taken for the other.
_PIXEL_RATIO, _SHIFT = 0.8, 0.3


@dataclass(frozen=True)
class LgePhantom:
    """The LGE of a phantom's heart, with its answers.

    Args:
        magnitude: image, masks in the numbers of `labels.LGE_RV`, share of scar in every voxel, true masses.
        phase_sensitive: the same slices and scar as signed signal on an offset; nulled muscle may lie below it.
    """

    magnitude: Enhanced
    phase_sensitive: Enhanced

    @property
    def image(self) -> Image:
        """The magnitude stack."""
        return self.magnitude.image

    @property
    def segmentation(self) -> Segmentation:
        """Its masks."""
        return self.magnitude.segmentation

    @property
    def truth(self) -> Mapping[str, float]:
        """True masses, under keys of measurements.json."""
        return self.magnitude.truth

    @property
    def offset(self) -> float:
        """What the phase-sensitive pictures hold for no signal."""
        spec = self.phase_sensitive.spec
        return float(round(spec.psir_offset * spec.blood_units))


def make_lge(phantom: Phantom, enhancement: EnhancementSpec = INFARCT) -> LgePhantom:
    """Make the LGE stack of a phantom's heart at end-diastole.

    Args:
        phantom: whose heart, patient and frame of reference it shares; its breath holds are not repeated.
        enhancement: scars, contrast and scanner; `psir` is set for the phase-sensitive twin.
    """
    heart = lge_spec(phantom.spec)
    plain, signed = (replace(enhancement, psir=psir) for psir in (False, True))
    return LgePhantom(make_lge_phantom(heart, plain), make_lge_phantom(heart, signed))


def lge_spec(spec: HeartSpec) -> HeartSpec:
    """The same heart on the grid of its LGE stack."""
    (x_mm, y_mm), (columns, rows) = spec.pixel_spacing_xy_mm, spec.shape_xy
    return replace(
        spec,
        slices=spec.slices + 1,
        stack_shift_mm=spec.stack_shift_mm + _SHIFT * spec.slice_distance_mm,
        pixel_spacing_xy_mm=(_PIXEL_RATIO * x_mm, _PIXEL_RATIO * y_mm),
        shape_xy=(round(columns / _PIXEL_RATIO), round(rows / _PIXEL_RATIO)),
        breath_hold_shifts_mm=(),
    )
