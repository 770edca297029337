"""Can the scar be believed? Rules for the masks and the image of an LGE stack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.qc import shapes
from cmrseg.qc.case import Case, Mask
from cmrseg.quantify.scar.bright import BRIGHT_FROM, height_over_remote
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.study import Finding

_FULL = np.ones((3, 3, 3), bool)
_IN_PLANE = np.ones((3, 3), bool)
#: Percentile of the remote wall's depth that stands for its thickness on a slice.
_WALL_PERCENTILE = 99.0
#: A slice whose myocardium is less than this part remote has no wall to compare the scar with.
_LEAST_REMOTE = 0.2


def _infarct(case: Case) -> Mask:
    return case.mask(0, "scar", "no_reflow")


def _remote(case: Case) -> Mask:
    return case.mask(0, "lv_myocardium") & ~_infarct(case)


def cavity_is_there(case: Case) -> Iterator[Finding]:
    """Depth of scar is counted from the cavity, so myocardium without a cavity is not enough."""
    if case.mask(0, "lv_myocardium").any() and not case.mask(0, "lv_cavity").any():
        yield Finding(
            "lge_no_cavity",
            "review",
            "LV myocardium is labelled but no LV cavity: transmurality and layers cannot be measured, and the "
            "myocardium may lie in the wrong place.",
        )


def scar_lies_in_the_wall(case: Case) -> Iterator[Finding]:
    """Scar is part of the wall: not apart from the ventricle, and not farther out than the rest of the wall."""
    infarct = _infarct(case)
    if not infarct.any():
        return
    remote, cavity = _remote(case), case.mask(0, "lv_cavity")
    outside = np.stack([_off_the_wall(case, i, r, c) for i, r, c in zip(infarct, remote, cavity, strict=True)])
    fraction = float(outside.sum() / infarct.sum())
    if fraction > case.limits.scar_outside_fraction:
        z = int(outside.sum(axis=(1, 2)).argmax())
        yield Finding(
            "scar_outside_wall",
            "review",
            f"{fraction:.0%} of the scar (at most {case.limits.scar_outside_fraction:.0%} expected) lies apart from "
            f"the left ventricle, or more than {case.limits.scar_beyond_wall_mm:.0f} mm farther out than the rest of "
            "the wall: bright fat, fluid or the right ventricle may have been taken for scar.",
            slice=z,
        )


def _off_the_wall(case: Case, infarct_YX: Mask, remote_YX: Mask, cavity_YX: Mask) -> Mask:
    """Scar of one slice that does not belong to its wall."""
    pieces, number = ndimage.label(infarct_YX | remote_YX | cavity_YX, _IN_PLANE)
    if not number or not infarct_YX.any():
        return np.zeros_like(infarct_YX)
    heart = (cavity_YX | remote_YX) if (cavity_YX | remote_YX).any() else infarct_YX
    main = int(np.bincount(pieces[heart], minlength=number + 1)[1:].argmax()) + 1
    outside: Mask = infarct_YX & (pieces != main)
    if cavity_YX.any() and remote_YX.sum() >= _LEAST_REMOTE * (remote_YX | infarct_YX).sum():
        x_mm, y_mm, _ = case.segmentation.geometry.spacing_xyz_mm
        from_cavity = ndimage.distance_transform_edt(~cavity_YX, sampling=(y_mm, x_mm))
        wall_mm = float(np.percentile(from_cavity[remote_YX], _WALL_PERCENTILE))
        outside |= infarct_YX & (from_cavity > wall_mm + case.limits.scar_beyond_wall_mm)
    return outside


def scar_is_not_scattered(case: Case) -> Iterator[Finding]:
    """A scar comes in few pieces; noise above a threshold comes in many."""
    _, pieces = ndimage.label(_infarct(case), _FULL)
    if pieces > case.limits.scar_pieces:
        yield Finding(
            "scar_scattered",
            "review",
            f"The scar is scattered over {pieces} separate pieces (at most {case.limits.scar_pieces} expected): noise "
            "or uneven brightness may have been taken for scar. Patchy fibrosis looks so too.",
        )


def scar_is_bright(case: Case) -> Iterator[Finding]:
    """Scar is what enhances: clearly brighter than remote myocardium; no-reflow is not."""
    scar = case.mask(0, "scar")
    contrast = _over_remote(case, scar)
    if contrast is not None and not contrast >= case.limits.scar_contrast:
        yield Finding(
            "scar_not_bright",
            "review",
            f"What is labelled scar is brighter than remote myocardium by {contrast:.1f} of its standard deviations "
            f"only (at least {case.limits.scar_contrast:.1f} expected): faint scar, masks in the wrong place, or "
            "another kind of image.",
        )


def myocardium_is_nulled(case: Case) -> Iterator[Finding]:
    """Healthy myocardium is nulled and so darker than blood."""
    contrast = _over_remote(case, case.mask(0, "lv_cavity"))
    if contrast is not None and not contrast >= case.limits.blood_contrast:
        yield Finding(
            "muscle_not_nulled",
            "review",
            f"Blood is brighter than remote myocardium by {contrast:.1f} standard deviations only (at least "
            f"{case.limits.blood_contrast:.1f} expected): a wrong inversion time, a dark-blood sequence, or another "
            "kind of image. Scar cannot be told from myocardium by brightness then.",
        )


def _over_remote(case: Case, mask: Mask) -> float | None:
    """Median of a structure over that of remote myocardium, in SD of the latter; None for few voxels."""
    remote, values = (_brightness(case, m) for m in (_remote(case), mask))
    if min(len(remote), len(values)) < case.limits.fewest_pixels:
        return None
    difference, spread = float(np.median(values) - np.median(remote)), float(remote.std())
    return difference / spread if spread > 0 else float(np.copysign(np.inf, difference) if difference else 0.0)


def _brightness(case: Case, mask: Mask) -> NDArray[np.float64]:
    values = case.image.data[0][mask].astype(np.float64)
    finite: NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def scar_on_more_than_one_slice(case: Case) -> Iterator[Finding]:
    """Scar that no neighbouring slice shows should be seen in another plane before it is believed."""
    seen = shapes.slices_with(_infarct(case))
    if len(seen) == 1 and len(shapes.slices_with(case.mask(0, "lv_myocardium"))) > 1:
        yield Finding(
            "scar_on_one_slice",
            "info",
            "Scar is on one slice only: a small scar, or an artefact. Look for it in a long axis or with the phase "
            "encoding swapped.",
            slice=int(seen[0]),
        )


def scar_ends_inside_the_stack(case: Case) -> Iterator[Finding]:
    """Scar on the first or last slice that shows myocardium may go on where nothing was acquired."""
    muscle, scarred = shapes.slices_with(case.mask(0, "lv_myocardium")), shapes.slices_with(_infarct(case))
    ends = {0, len(case.image.data[0]) - 1}
    cut = [int(z) for z in scarred if int(z) in ends] if len(muscle) > 1 else []
    if cut:
        yield Finding(
            "scar_at_end_of_stack",
            "info",
            "Scar lies on an outermost slice of the stack; it may go on beyond it, and its mass is a lower limit.",
            slice=cut[0],
        )


def scar_was_found(case: Case) -> Iterator[Finding]:
    """Where no scar is, say on how much of the heart, and what such a result can overlook."""
    muscle = case.mask(0, "lv_myocardium")
    if not muscle.any() or _infarct(case).any() or "scar" in case.segmentation.not_assessed:
        return
    number = len(shapes.slices_with(muscle))
    length = number * case.segmentation.geometry.spacing_xyz_mm[2]
    yield Finding(
        "scar_none",
        "info",
        f"No scar was found on {number} slices that show LV myocardium ({length:.0f} mm of the ventricle). Overlooked "
        "would be: scar beyond or between the slices, scar of a few pixels or hardly brighter than myocardium, thin "
        "sub-endocardial scar as bright as the blood beside it, and diffuse fibrosis, which LGE does not show.",
    )


def bright_wall_is_labelled(case: Case) -> Iterator[Finding]:
    """Where the wall is as bright as scar, scar is labelled: brightness alone is asked for a second opinion."""
    infarct, wall = _infarct(case), case.mask(0, "lv_myocardium")
    bright = (_height(case) > BRIGHT_FROM) & ~ndimage.binary_dilation(infarct, _IN_PLANE[None])
    pieces, voxels = _pieces(bright)
    largest = int(voxels.max(initial=0))
    expected = max(case.limits.scar_missed_fraction * wall.sum(), case.limits.scar_missed_of_scar * infarct.sum())
    if largest <= expected:
        return
    region = pieces == 1 + int(voxels.argmax())
    to_g = case.segmentation.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML
    labelled = f"{infarct.sum() * to_g:.1f} g of scar" if infarct.any() else "no scar (0.0 g)"
    share, slices = largest / wall.sum(), len(shapes.slices_with(region))
    yield Finding(
        "scar_missed",
        "review",
        f"The masks hold {labelled}, but apart from that {largest * to_g:.1f} g inside the wall ({share:.1%} of LV "
        f"mass, one connected region on {slices} slice{'s' if slices > 1 else ''}, most of it on this one) are "
        "brighter than half-way from remote myocardium to blood (at most "
        f"{case.limits.scar_missed_fraction:.1%} expected): scar may have been missed there. That is what a threshold "
        "sees of the inner two thirds of the wall without its rim; the scar may be larger.",
        slice=int(region.sum(axis=(1, 2)).argmax()),
    )


def each_piece_of_scar_is_bright(case: Case) -> Iterator[Finding]:
    """Every larger piece of scar is brighter than half-way from remote myocardium to blood, in part at least."""
    height, to_ml = _height(case), case.segmentation.geometry.voxel_volume_ml
    pieces, voxels = _pieces(_infarct(case))
    for number in 1 + np.argsort(-voxels):
        piece = pieces == number
        seen = height[piece & np.isfinite(height)]
        if voxels[number - 1] * to_ml < case.limits.scar_piece_ml or len(seen) < case.limits.fewest_pixels:
            continue
        bright = float((seen > BRIGHT_FROM).mean())
        if bright < case.limits.scar_piece_bright_fraction:
            grams = voxels[number - 1] * to_ml * MYOCARDIUM_DENSITY_G_ML
            yield Finding(
                "scar_unsupported",
                "review",
                f"The masks hold a piece of scar of {grams:.1f} g of which, inside the wall, only {bright:.0%} is "
                "brighter than half-way from remote myocardium to blood (at least "
                f"{case.limits.scar_piece_bright_fraction:.0%} expected), which is {bright * grams:.1f} g: it may be "
                "none, or a no-reflow core that was labelled scar.",
                slice=int(piece.sum(axis=(1, 2)).argmax()),
            )
            return


def _height(case: Case) -> NDArray[np.float64]:
    """See `height_over_remote`."""
    return height_over_remote(
        case.image.data[0],
        case.mask(0, "lv_myocardium"),
        case.mask(0, "lv_cavity"),
        _infarct(case),
        case.segmentation.geometry.spacing_xyz_mm[:2],
    )


def _pieces(mask_ZYX: Mask) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Connected regions (26 neighbours) as numbers from 1, and the voxels of each."""
    pieces, number = ndimage.label(mask_ZYX, _FULL)
    return pieces, np.bincount(pieces.ravel(), minlength=number + 1)[1:]
