"""What the data-set layouts share: cases, the masks people drew on them, and how volumes become an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, RefusalCode
from cmrseg.geometry import Geometry
from cmrseg.io.nifti import NiftiVolume, looks_like_masks
from cmrseg.labels import CINE, LabelScheme
from cmrseg.study import Finding, Image, Kind

_HEIGHT_RANGE_CM = (40.0, 250.0)
_WEIGHT_RANGE_KG = (2.0, 350.0)
_AGE_RANGE_YEARS = (0.0, 120.0)
#: A number this small can only be a height in metres.
_MAX_HEIGHT_M = 2.5


@dataclass(frozen=True)
class Case:
    """One patient of a data set.

    Args:
        case_id: name of the folder.
        path: the folder.
        group: diagnosis or vendor group, as the data set calls it; empty where it names none.
    """

    case_id: str
    path: Path
    group: str = ""


@dataclass(frozen=True)
class Truth:
    """Masks of one case.

    Args:
        labels: uint8[K, Z, Y, X] in the numbers of `scheme`.
        frames: for each of the K, the frame of the study's image it belongs to, counted from 0.
        geometry: grid of the masks.
        scheme: `labels.CINE`; for an LGE set `labels.LGE_RV`, or `labels.LGE` where it draws no right ventricle.
        not_assessed: structures of the scheme that the data set's own numbers do not tell, as in `study.Segmentation`.
    """

    labels: NDArray[np.uint8]
    frames: tuple[int, ...]
    geometry: Geometry
    scheme: LabelScheme = CINE
    not_assessed: Mapping[str, str] = field(default_factory=dict)


def image_of(volume: NiftiVolume, kind: Kind, reader: str, annotated: Mapping[str, int] | None = None) -> Image:
    """The image of a volume; refuses what cannot be a stack of that kind.

    Args:
        reader: which layout it came from, for run.json.
        annotated: frames the data set names, counted from 0.

    Raises:
        InputRefused: `no_cine` or `no_lge`: masks instead of an image, a single slice, an LGE stack with phases.
    """
    code: RefusalCode = "no_lge" if kind == "lge" else "no_cine"
    n_frames, n_slices = volume.data.shape[:2]
    if looks_like_masks(volume.data):
        raise InputRefused(
            code,
            "The file holds masks (a few label numbers), not an image.",
            "Give the image; to measure given masks use the measure command with both.",
        )
    if n_slices < 2:
        raise InputRefused(
            code,
            "The file holds a single slice, which gives no volume.",
            "Give the whole short-axis stack, in one file or as the folder with all its slices.",
        )
    if kind == "lge" and n_frames > 1:
        raise InputRefused(
            code, f"An LGE stack has one phase; this file has {n_frames}.", "Leave the kind out, or say cine."
        )
    return Image(
        kind,
        volume.data,
        volume.geometry,
        volume.frame_times_ms,
        source={"reader": reader},
        origin=volume.origin,
        annotated_frames=annotated or {},
    )


def stack_frames(volumes: list[NiftiVolume]) -> NiftiVolume:
    """One volume of several single frames on one grid; a single volume comes back as it is.

    Raises:
        InputRefused: `geometry`, when their grids differ.
    """
    first = volumes[0]
    if len(volumes) == 1:
        return first
    if any(len(v.data) != 1 or not v.geometry.agrees_with(first.geometry) for v in volumes):
        raise InputRefused(
            "geometry", "The frames of this patient lie on different grids.", "Copy the patient from the source again."
        )
    data = np.concatenate([v.data for v in volumes])
    return replace(first, data=data, frame_times_ms=None)


def stack_masks(
    masks: list[tuple[NDArray[np.uint8], Geometry]],
) -> tuple[NDArray[np.uint8], Geometry]:
    """Masks of several single frames in one array uint8[K, Z, Y, X], with their grid.

    Raises:
        InputRefused: `mask_mismatch`, when their grids differ.
    """
    geometry = masks[0][1]
    if any(len(labels) != 1 or not grid.agrees_with(geometry) for labels, grid in masks):
        raise InputRefused(
            "mask_mismatch", "The masks of this patient lie on different grids.", "Copy the patient again."
        )
    return np.concatenate([labels for labels, _ in masks]), geometry


def patient_numbers(
    height: str | None, weight: str | None, age: str | None = None
) -> tuple[float | None, float | None, float | None, tuple[Finding, ...]]:
    """Height in cm, weight in kg and age in years from text; None where the text is no believable number.

    A height below 2.5 is one in metres: no patient is so few centimetres tall.
    """
    height_cm = _number(height)
    if height_cm is not None and height_cm <= _MAX_HEIGHT_M:
        height_cm *= 100.0
    wanted = {
        "height": (height_cm, _HEIGHT_RANGE_CM),
        "weight": (_number(weight), _WEIGHT_RANGE_KG),
        "age": (_number(age), _AGE_RANGE_YEARS),
    }
    believed: dict[str, float | None] = {}
    findings: tuple[Finding, ...] = ()
    for name, (value, (low, high)) in wanted.items():
        believed[name] = value if value is not None and low <= value <= high else None
        if value is not None and believed[name] is None:
            message = f"The {name} that the data set gives is impossible; it is not used."
            findings += (Finding("patient_size", "info", message),)
    return believed["height"], believed["weight"], believed["age"], findings


def _number(text: str | None) -> float | None:
    """The number a text holds; None for no text, for words, and for "nan", which tables write for missing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return None if np.isnan(value) else value
