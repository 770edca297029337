"""Features of one stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import UsageError
from cmrseg.features.definitions import CINE_FEATURES, LGE_FEATURES
from cmrseg.features.intensity import intensity_features
from cmrseg.labels import CINE, LGE, LGE_RV
from cmrseg.quantify import measure
from cmrseg.quantify.scar_shape import perimeter_mm
from cmrseg.study import Image, Measurements, Patient, Segmentation

Mask = NDArray[np.bool_]
_NOBODY = Patient()


def features_of(
    segmentation: Segmentation, image: Image | None = None, patient: Patient = _NOBODY
) -> dict[str, float | None]:
    """Features of a segmented cine or LGE stack.

    Args:
        segmentation: in the scheme `labels.CINE`, `labels.LGE` or `labels.LGE_RV`.
        image: it is of; without it, what is read from brightness has no value.
        patient: not needed by any feature; taken for the same call as measuring.

    Returns:
        values by key of `definitions.CINE_FEATURES` or `LGE_FEATURES`, in that order. What cannot be known is None:
        of a heart without scar, size is 0 and shape and brightness of scar have no value.

    Raises:
        UsageError: another scheme.
    """
    measured = measure(segmentation, patient=patient, image=image)
    if segmentation.scheme.name == CINE.name:
        return _cine(segmentation, measured)
    if segmentation.scheme.name in (LGE.name, LGE_RV.name):
        return _lge(segmentation, measured, image)
    raise UsageError(f"There are no features of the scheme {segmentation.scheme.name!r}.", "Give cine or LGE masks.")


def _values(measured: Measurements) -> dict[str, float | None]:
    return {m.key: m.value for m in measured.values}


def _cine(segmentation: Segmentation, measured: Measurements) -> dict[str, float | None]:
    known = _values(measured)
    mass, volume = known["lv_mass_g"], known["lv_edv_ml"]
    if mass is not None and volume:
        known["lv_mass_to_volume_g_ml"] = mass / volume
    if measured.ed_frame is not None:
        known["lv_sphericity_ed"] = _sphericity(segmentation, measured.ed_frame)
    return {key: known.get(key) for key in CINE_FEATURES}


def _sphericity(segmentation: Segmentation, frame: int) -> float | None:
    x_mm, y_mm, z_mm = segmentation.geometry.spacing_xyz_mm
    areas_mm2 = segmentation.scheme.mask(segmentation.labels[frame], "lv_cavity").sum((1, 2)) * x_mm * y_mm
    slices = int((areas_mm2 > 0).sum())
    return float(np.sqrt(4 * areas_mm2.max() / np.pi)) / (slices * z_mm) if slices else None


def _lge(segmentation: Segmentation, measured: Measurements, image: Image | None) -> dict[str, float | None]:
    scheme, labels_ZYX = segmentation.scheme, segmentation.labels[0]
    scar = scheme.mask(labels_ZYX, "scar", "no_reflow")
    known = _values(measured) | _scar_shape(scar, segmentation)
    remote = scheme.mask(labels_ZYX, "lv_myocardium")
    if image is None:
        known["remote_voxels"] = float(remote.sum())
    else:
        pixels, cavity = image.data[0], scheme.mask(labels_ZYX, "lv_cavity")
        known |= intensity_features(pixels[scar], pixels[remote], pixels[cavity])
    return {key: known.get(key) for key in LGE_FEATURES}


def _scar_shape(scar_ZYX: Mask, segmentation: Segmentation) -> dict[str, float | None]:
    x_mm, y_mm, _ = segmentation.geometry.spacing_xyz_mm
    known: dict[str, float | None] = {"scar_slices": float(scar_ZYX.any((1, 2)).sum())}
    if not scar_ZYX.any():
        return known
    regions, _ = ndimage.label(scar_ZYX, np.ones((3, 3, 3), bool))
    sizes = np.bincount(regions.ravel())[1:]
    perimeter = sum(perimeter_mm(picture, (y_mm, x_mm)) for picture in scar_ZYX)
    return known | {
        "scar_largest_percent": 100.0 * float(sizes.max()) / float(sizes.sum()),
        "scar_perimeter_mm": perimeter,
        "scar_perimeter_per_area_per_mm": perimeter / (float(scar_ZYX.sum()) * x_mm * y_mm),
    }
