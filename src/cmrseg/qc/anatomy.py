"""Do the masks look like a heart? Rules on the frames that numbers are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from cmrseg.numbering import frame_number
from cmrseg.qc import shapes
from cmrseg.qc.case import WORDS, Case, Spot, ventricle_of, worst_spot
from cmrseg.study import Finding

#: What cannot be measured without a structure.
_NEEDED_FOR = {
    "lv_cavity": "LV volumes and ejection fraction are",
    "lv_myocardium": "LV mass and wall thickness are",
    "rv_cavity": "RV volumes and ejection fraction are",
}


def structures_are_there(case: Case) -> Iterator[Finding]:
    """A network that finds no LV cavity or no myocardium failed; in masks that were given a structure may be absent,
    which withholds only what needs it. An empty frame or a missing RV asks for a look.
    """
    for name, curve in case.measurements.curves_ml.items():
        voxels = np.round(curve / case.segmentation.geometry.voxel_volume_ml)
        absent = np.flatnonzero(voxels < case.limits.fewest_pixels)
        word = WORDS[name]
        if case.segmentation.drawn and not voxels.any():
            yield Finding(
                f"{name}_absent",
                "review",
                f"No {word} is labelled in the masks that were given; {_NEEDED_FOR[name]} not measured.",
                ventricle=ventricle_of(name),
            )
        elif len(absent) == len(curve):
            yield Finding(
                f"{name}_absent",
                "review" if name == "rv_cavity" else "reject",
                f"The {word} was found in no frame (fewer than {case.limits.fewest_pixels} voxels everywhere), "
                "so nothing can be measured from it.",
                # without an LV the whole prediction failed
                ventricle="rv" if name == "rv_cavity" else None,
            )
        elif len(absent):
            yield _absent_in_frames(case, name, absent, len(curve))


def _absent_in_frames(case: Case, name: str, absent: NDArray[np.intp], frames: int) -> Finding:
    """A structure that is missing in some frames: worth a look, but for given masks whose numbers do not need them."""
    ed, es = case.measurements.ed_frame, case.measurements.es_frame
    needed = {ed} if name == "lv_myocardium" else {ed, es}
    spared = case.segmentation.drawn and not needed & set(absent.tolist())
    return Finding(
        f"{name}_absent_in_frame",
        "info" if spared else "review",
        f"The {WORDS[name]} is missing in {len(absent)} of {frames} labelled frames, the first of them frame "
        f"{frame_number(int(absent[0]))}.",
        frame=int(absent[0]),
        ventricle=ventricle_of(name),
    )


def cavity_is_enclosed(case: Case) -> Iterator[Finding]:
    """Between its first and last slice, myocardium lies around the LV cavity; the outflow tract opens it at the base.

    A frame without any myocardium has nothing to judge; `structures_are_there` tells it.
    """
    limit, spots = case.limits.open_outline_fraction, []
    for frame in case.frames:
        if not case.mask(frame, "lv_myocardium").any():
            continue
        cavity, nothing = case.mask(frame, "lv_cavity"), case.mask(frame, "background")
        for z in shapes.slices_with(cavity)[1:-1]:
            fraction = shapes.outline_fraction_touching(cavity[z], nothing[z])
            if fraction > limit:
                spots.append(Spot(fraction, frame, int(z)))
    yield from worst_spot(
        "lv_not_enclosed",
        spots,
        lambda spot: (
            f"{spot.value:.0%} of the LV cavity's outline has no myocardium around it inside the stack (at "
            f"most {limit:.0%} expected): the contour of cavity or myocardium is wrong there."
        ),
        ventricle="lv",
    )


def ventricles_are_apart(case: Case) -> Iterator[Finding]:
    """The septum lies between both cavities on every slice."""
    limit, spots = case.limits.rv_contact_fraction, []
    for frame in case.frames:
        left, right = case.mask(frame, "lv_cavity"), case.mask(frame, "rv_cavity")
        for z in shapes.slices_with(left):
            fraction = shapes.outline_fraction_touching(left[z], right[z])
            if fraction > limit:
                spots.append(Spot(fraction, frame, int(z)))
    yield from worst_spot(
        "rv_touches_lv",
        spots,
        lambda spot: (
            f"The RV cavity touches {spot.value:.0%} of the LV cavity's outline (at most {limit:.0%} expected): the "
            "septum between them is missing."
        ),
    )


def labels_are_not_swapped(case: Case) -> Iterator[Finding]:
    """Myocardium surrounds the left cavity, not the right one."""
    for frame in case.frames:
        wall = case.mask(frame, "lv_myocardium")
        left, right = (
            float(np.mean([shapes.outline_fraction_touching(m, w) for m, w in zip(mask, wall, strict=True)]))
            for mask in (case.mask(frame, "lv_cavity"), case.mask(frame, "rv_cavity"))
        )
        lone = not case.mask(frame, "lv_cavity").any()
        if right > (case.limits.rv_surrounded_fraction if lone else left):
            yield Finding(
                "labels_swapped",
                "reject",
                "Myocardium surrounds what is labelled as the RV cavity more than what is labelled as the LV cavity: "
                "the labels of the two are probably exchanged.",
                frame=frame,
            )


def each_structure_is_one_piece(case: Case) -> Iterator[Finding]:
    """A second piece of a structure is another organ, or an error; the phase with the larger one is named."""
    voxel_ml = case.segmentation.geometry.voxel_volume_ml
    for name, word in WORDS.items():
        apart = []
        for frame in case.frames:
            mask = case.mask(frame, name)
            stray_ml = shapes.voxels_outside_largest_piece(mask) * voxel_ml
            fraction = stray_ml / max(voxel_ml, float(mask.sum()) * voxel_ml)
            if fraction > case.limits.island_fraction and stray_ml > case.limits.island_ml:
                apart.append((fraction, stray_ml, frame))
        if apart:
            fraction, stray_ml, frame = max(apart)
            yield Finding(
                "islands",
                "review",
                f"{stray_ml:.1f} mL ({fraction:.0%}) of the {word} lie apart from its main part and are counted with "
                "it.",
                frame=frame,
                ventricle=ventricle_of(name),
            )


def no_holes(case: Case) -> Iterator[Finding]:
    """Cavities, and the LV with its myocardium, are filled on every slice."""
    for names, word in (
        (("lv_cavity",), "LV cavity"),
        (("rv_cavity",), "RV cavity"),
        (("lv_cavity", "lv_myocardium"), "left ventricle"),
    ):
        spots = []
        for frame in case.frames:
            mask = case.mask(frame, *names)
            # myocardium alone may be a ring: a cavity that closed at end-systole is no hole
            for z in shapes.slices_with(case.mask(frame, names[0])):
                pixels = shapes.hole_pixels(mask[z])
                if pixels >= case.limits.hole_pixels and pixels > case.limits.hole_fraction * int(mask[z].sum()):
                    spots.append(Spot(pixels, frame, int(z)))
        yield from worst_spot("holes", spots, _hole_message(word), ventricle=ventricle_of(names[0]))


def _hole_message(word: str) -> Callable[[Spot], str]:
    return lambda spot: f"The {word} has a hole of {spot.value:.0f} pixels on a slice; expert contours have none."


def no_slice_is_left_out(case: Case) -> Iterator[Finding]:
    """No slice without LV between slices with it."""
    for frame in case.frames:
        present = shapes.slices_with(case.mask(frame, "lv_cavity"))
        if len(present) and present[-1] - present[0] + 1 > len(present):
            missing = int(np.setdiff1d(np.arange(present[0], present[-1]), present)[0])
            yield Finding(
                "lv_gap",
                "review",
                "The LV cavity is missing on a slice between slices that show it; volumes are too small by that slice.",
                frame=frame,
                slice=missing,
                ventricle="lv",
            )


def slices_lie_in_line(case: Case) -> Iterator[Finding]:
    """No slice is shifted against both neighbours by much more than a heart leans."""
    limit, spots = case.limits.centroid_jump_mm, []
    for frame in case.frames:
        whole = case.mask(frame, "lv_cavity", "lv_myocardium")
        centroids = shapes.centroids_mm(whole, case.segmentation.geometry.spacing_xyz_mm[:2])
        jumps = np.nan_to_num(np.linalg.norm(shapes.off_the_neighbours(centroids), axis=1))
        spots += [Spot(float(jumps[z]), frame, int(z)) for z in np.flatnonzero(jumps > limit)]
    yield from worst_spot(
        "slice_shift",
        spots,
        lambda spot: (
            f"The LV of this slice lies {spot.value:.0f} mm off the middle of its neighbours (at most {limit:.0f} mm "
            "expected): a different breath-hold, or a wrong contour."
        ),
        ventricle="lv",
    )


def sizes_follow_each_other(case: Case) -> Iterator[Finding]:
    """No slice whose LV is much larger or smaller than both neighbours suggest; its ends taper anyway."""
    spots = []
    for frame in case.frames:
        areas = case.mask(frame, "lv_cavity", "lv_myocardium").sum(axis=(1, 2)).astype(np.float64)
        off = shapes.off_the_neighbours(areas)
        for z in np.flatnonzero(areas > 0)[1:-1]:
            expected = areas[z] - off[z]
            if abs(off[z]) > case.limits.area_jump_fraction * expected:
                spots.append(Spot(float(off[z] / expected), frame, int(z)))
    yield from worst_spot(
        "area_jump",
        spots,
        lambda spot: (
            f"The LV of this slice is {abs(spot.value):.0%} {'larger' if spot.value > 0 else 'smaller'} than its "
            "neighbours suggest: its contour is wrong, or it lies in the wrong place of the stack."
        ),
        ventricle="lv",
    )


def rv_lies_on_its_side(case: Case) -> Iterator[Finding]:
    """Where directions are known, the RV lies to the right and to the front of the LV."""
    frame, geometry = case.main_frame, case.segmentation.geometry
    if frame is None or not geometry.orientation_known:
        return
    left, right = (np.argwhere(case.mask(frame, name))[:, ::-1] for name in ("lv_cavity", "rv_cavity"))
    if len(left) == 0 or len(right) == 0:
        return
    towards_rv = geometry.to_lps(right.mean(axis=0)) - geometry.to_lps(left.mean(axis=0))
    cosine = float(towards_rv @ np.array([-1.0, -1.0, 0.0]) / (np.sqrt(2.0) * np.linalg.norm(towards_rv)))
    if cosine < case.limits.septum_side_cosine:
        yield Finding(
            "mirrored_or_dextrocardia",
            "review",
            "The RV lies to the left or behind the LV. The image is mirrored, the file's directions are wrong, or "
            "the heart lies on the right side; AHA segments and masks in other viewers may be mirrored.",
        )


def wall_is_plausible(case: Case) -> Iterator[Finding]:
    """Wall thickness that no heart has."""
    low, high = case.limits.wall_thickness_mm
    greatest = case.value("wall_thickness_ed_max_mm")
    if greatest is not None and greatest > high:
        yield Finding(
            "wall_too_thick",
            "review",
            f"The wall is up to {greatest:.0f} mm thick at end-diastole (at most {high:.0f} mm expected).",
            ventricle="lv",
        )
    table = case.measurements.segment_tables.get("wall_thickness_ed_mm", np.zeros(0))
    thin = [int(k) + 1 for k in np.flatnonzero(table < low)]
    if thin:
        yield Finding(
            "wall_too_thin",
            "review",
            f"The wall is thinner than {low:.0f} mm at end-diastole in AHA segments {', '.join(map(str, thin))}: "
            "an aneurysm, or myocardium that was left out.",
            ventricle="lv",
        )
