"""Can the scar be believed? Rules for the masks and the picture of an LGE stack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.qc import shapes
from cmrseg.qc.case import Case, Mask
from cmrseg.study import Finding

_FULL = np.ones((3, 3, 3), bool)
_IN_PLANE = np.ones((3, 3), bool)
#: Percentile of the remote wall's depth that stands for its thickness on a slice.
_WALL_PERCENTILE = 99.0
#: A slice whose muscle is less than this part remote has no wall to compare the scar with.
_LEAST_REMOTE = 0.2


def _infarct(case: Case) -> Mask:
    return case.mask(0, "scar", "no_reflow")


def _remote(case: Case) -> Mask:
    return case.mask(0, "lv_myocardium") & ~_infarct(case)


def cavity_is_there(case: Case) -> Iterator[Finding]:
    """Depth of scar is counted from the cavity, so muscle without a cavity is not enough."""
    if case.mask(0, "lv_myocardium").any() and not case.mask(0, "lv_cavity").any():
        yield Finding(
            "lge_no_cavity",
            "review",
            "LV muscle is labelled but no LV cavity: transmurality and layers cannot be measured, and the muscle may "
            "lie in the wrong place.",
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
    """Scar is what enhances: clearly brighter than remote muscle; no-reflow is not."""
    scar = case.mask(0, "scar")
    contrast = _over_remote(case, scar)
    if contrast is not None and not contrast >= case.limits.scar_contrast:
        yield Finding(
            "scar_not_bright",
            "review",
            f"What is labelled scar is brighter than remote muscle by {contrast:.1f} of its standard deviations only "
            f"(at least {case.limits.scar_contrast:.1f} expected): faint scar, masks in the wrong place, or another "
            "kind of image.",
        )


def muscle_is_nulled(case: Case) -> Iterator[Finding]:
    """Healthy muscle is nulled and so darker than blood."""
    contrast = _over_remote(case, case.mask(0, "lv_cavity"))
    if contrast is not None and not contrast >= case.limits.blood_contrast:
        yield Finding(
            "muscle_not_nulled",
            "review",
            f"Blood is brighter than healthy muscle by {contrast:.1f} standard deviations only (at least "
            f"{case.limits.blood_contrast:.1f} expected): a wrong inversion time, a dark-blood sequence, or another "
            "kind of image. Scar cannot be told from muscle by brightness then.",
        )


def _over_remote(case: Case, mask: Mask) -> float | None:
    """Median of a structure over that of remote muscle, in standard deviations of the latter; None for few voxels."""
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
    """Scar on the first or last slice that shows muscle may go on where nothing was acquired."""
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
    if not muscle.any() or _infarct(case).any():
        return
    number = len(shapes.slices_with(muscle))
    length = number * case.segmentation.geometry.spacing_xyz_mm[2]
    yield Finding(
        "scar_none",
        "info",
        f"No scar was found on {number} slices that show LV muscle ({length:.0f} mm of the ventricle). Overlooked "
        "would be: scar beyond or between the slices, scar of a few pixels or hardly brighter than muscle, thin "
        "sub-endocardial scar as bright as the blood beside it, and diffuse fibrosis, which LGE does not show.",
    )
