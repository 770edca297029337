"""Clean-up after the network: one heart, no islands, no holes; what was removed is reported."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.geometry import Geometry
from cmrseg.labels import LabelScheme
from cmrseg.study import Finding

#: Removing more than this share of a structure is worth telling the reader.
NOTABLE_SHARE = 0.05
NOTABLE_ML = 1.0
#: Smaller connected pieces of scar count as muscle. Of the scar that experts drew in 30 MyoPS patients, 0.09 % lies in
#: such pieces, and no patient has those alone; networks draw them in hearts without scar.
SMALLEST_SCAR_ML = 1.0
#: Pieces smaller than this count as muscle too where the networks are not sure of them: below this mean probability. Of
#: 50 generated hearts without scar, pieces are left in 7 instead of 15; in 30 MyoPS patients the rule takes no true
#: scar (Dice 0.612 before and 0.613 after), and 0.8 would take one of 4 g. Both were looked at in choosing.
SMALL_SCAR_ML, SURE_OF_SCAR = 3.0, 0.75


def keep_the_heart(
    labels_TZYX: NDArray[np.uint8],
    scheme: LabelScheme,
    geometry: Geometry,
    scar_TZYX: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    """Keep, in every frame, the largest connected left ventricle and the largest connected right ventricle.

    Labels of a scheme without LV cavity, such as scar alone, are no heart and stay as they are.

    The left ventricle is cavity and muscle together, so that a cavity cut off from its muscle does not survive; voxels
    that touch by a corner are connected. Background enclosed by a ventricle within a slice becomes its cavity. Pieces
    of scar, no-reflow included, of less than `SMALLEST_SCAR_ML` become muscle, and larger ones under `SMALL_SCAR_ML`
    of which the network is not sure.

    Args:
        labels_TZYX: uint8 labels in `scheme`.
        scheme: what they mean.
        geometry: their grid, for the volumes in the findings.
        scar_TZYX: probability of scar or no-reflow, 0..1; None where nobody says, as of masks that a person drew, which
            takes every voxel for sure.

    Returns:
        cleaned labels (a new array), and a finding for each structure of which a notable part was removed, or any scar.
    """
    cleaned = labels_TZYX.copy()
    if "lv_cavity" not in scheme.numbers:
        return cleaned, ()
    left_names = tuple(n for n in scheme.foreground_names if n != "rv_cavity")
    groups = {"left ventricle": left_names, "right ventricle": ("rv_cavity",)}
    findings = []
    for title, names in groups.items():
        if any(n not in scheme.numbers for n in names):
            continue
        removed = total = 0
        worst_frame = worst = 0
        for frame in range(len(cleaned)):
            mask = scheme.mask(cleaned[frame], *names)
            islands = mask & ~_largest_component(mask)
            cleaned[frame][islands] = 0
            lost = int(islands.sum())
            removed, total = removed + lost, total + int(mask.sum())
            if lost > worst:
                worst, worst_frame = lost, frame
        worst_ml = worst * geometry.voxel_volume_ml
        if total and removed / total > NOTABLE_SHARE and worst_ml > NOTABLE_ML:
            findings.append(
                Finding(
                    "islands_removed",
                    "info",
                    f"{100 * removed / total:.0f} % of the voxels first labelled {title} lay apart from it and were "
                    f"removed (at most {worst_ml:.1f} mL in one frame).",
                    frame=worst_frame,
                )
            )
    _fill_holes(cleaned, scheme, left_names, "lv_cavity")
    if "rv_cavity" in scheme.numbers:
        _fill_holes(cleaned, scheme, ("rv_cavity",), "rv_cavity")
    if "scar" in scheme.numbers:
        findings += _specks_of_scar(cleaned, scheme, geometry, scar_TZYX)
    return cleaned, tuple(findings)


def without_specks(labels_ZYX: NDArray[np.uint8], scheme: LabelScheme, voxel_volume_ml: float) -> NDArray[np.uint8]:
    """Labels in which pieces of scar, no-reflow included, of less than `SMALLEST_SCAR_ML` are muscle."""
    components, volumes_ml = _pieces_of_scar(labels_ZYX, scheme, voxel_volume_ml)
    small = volumes_ml < SMALLEST_SCAR_ML
    small[0] = False
    cleaned: NDArray[np.uint8] = np.where(small[components], np.uint8(scheme["lv_myocardium"]), labels_ZYX)
    return cleaned


def _pieces_of_scar(
    labels_ZYX: NDArray[np.uint8], scheme: LabelScheme, voxel_volume_ml: float
) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
    """Connected pieces of scar as numbers from 1, [Z, Y, X], and the volume of each number; 0 is everything else."""
    components, _ = ndimage.label(scheme.infarct(labels_ZYX), structure=np.ones((3, 3, 3)))
    return components, np.bincount(components.ravel()) * voxel_volume_ml


def _specks_of_scar(
    labels_TZYX: NDArray[np.uint8],
    scheme: LabelScheme,
    geometry: Geometry,
    scar_TZYX: NDArray[np.floating] | None,
) -> list[Finding]:
    """Small pieces of scar, and faint ones not much larger, become muscle, in place; a finding where there were any."""
    pieces, voxels = 0, 0
    for frame, labels_ZYX in enumerate(labels_TZYX):
        components, volumes_ml = _pieces_of_scar(labels_ZYX, scheme, geometry.voxel_volume_ml)
        dropped = volumes_ml < SMALLEST_SCAR_ML
        if scar_TZYX is not None and len(volumes_ml) > 1:
            sure = ndimage.mean(scar_TZYX[frame], components, np.arange(len(volumes_ml)))
            dropped |= (volumes_ml < SMALL_SCAR_ML) & (np.asarray(sure) < SURE_OF_SCAR)
        dropped[0] = False
        specks = dropped[components]
        labels_ZYX[specks] = scheme["lv_myocardium"]
        pieces, voxels = pieces + int(dropped.sum()), voxels + int(specks.sum())
    if not pieces:
        return []
    together_ml = voxels * geometry.voxel_volume_ml
    message = (
        f"{pieces} piece{'s' if pieces > 1 else ''} of scar, together {together_ml:.1f} mL, counted as muscle: smaller "
        f"than {SMALLEST_SCAR_ML:.0f} mL, or than {SMALL_SCAR_ML:.0f} mL and uncertain. Such pieces are rarely scar."
    )
    return [Finding("specks_of_scar", "info", message)]


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    components, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = components == int(sizes.argmax())
    return largest


def _fill_holes(labels_TZYX: NDArray[np.uint8], scheme: LabelScheme, names: tuple[str, ...], filling: str) -> None:
    """Background enclosed by the named structures within a slice becomes `filling`, in place."""
    for labels_YX in labels_TZYX.reshape(-1, *labels_TZYX.shape[2:]):
        mask = scheme.mask(labels_YX, *names)
        for place in ndimage.find_objects(mask.astype(np.uint8)):  # where it is, if anywhere
            near = labels_YX[place]
            near[ndimage.binary_fill_holes(mask[place]) & (near == 0)] = scheme[filling]
