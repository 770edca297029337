"""Does the left ventricle beat like one? Rules on the volume curves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cmrseg.numbering import frame_number
from cmrseg.qc.case import Case
from cmrseg.quantify.heart_phases import smooth_over_the_beat
from cmrseg.study import Finding


def enough_phases(case: Case) -> Iterator[Finding]:
    """Few phases miss end-systole, unless a person named both frames."""
    frames = case.image.n_frames
    if frames >= case.limits.fewest_phases:
        return
    drawn = case.segmentation.drawn
    if frames == 1:
        what = "One phase only is labelled" if drawn else "There is one phase only"
        yield Finding("one_phase", "review", f"{what}: no stroke volume and no ejection fraction.")
        return
    # who labels two frames of a cine has chosen them
    named = {"ed", "es"} <= set(case.image.annotated_frames) or (drawn and frames == 2)
    yield Finding(
        "few_phases",
        "info" if named else "review",
        f"{frames} phases of the beat are {'labelled' if drawn else 'there'} (at least {case.limits.fewest_phases} "
        "expected); end-systole may lie between two of them, and EF is then too low.",
    )


def _lv_curve(case: Case) -> NDArray[np.float64] | None:
    """The LV curve where its shape can be judged, otherwise None: of frames without LV, another rule tells."""
    curve = case.measurements.curves_ml["lv_cavity"]
    both = case.measurements.ed_frame is not None and case.measurements.es_frame is not None
    return curve if both and len(curve) >= case.limits.fewest_phases_for_curve and curve.min() > 0 else None


def ventricle_beats(case: Case) -> Iterator[Finding]:
    """A volume that is the same in every frame is not that of a beating heart."""
    curve = case.measurements.curves_ml["lv_cavity"]
    if len(curve) > 1 and curve.max() > 0 and curve.max() == curve.min():
        yield Finding(
            "no_beat", "reject", "The LV volume is the same in every frame: the same image, or the same mask."
        )


def curve_is_smooth(case: Case) -> Iterator[Finding]:
    """Each frame lies near the cubic through the two frames before and the two after it; the ends of the recording
    do not stick out over both neighbours.
    """
    curve = _lv_curve(case)
    if curve is None:
        return
    before, after = np.roll(curve, 1), np.roll(curve, -1)
    off = np.abs(curve - (4 * before + 4 * after - np.roll(curve, 2) - np.roll(curve, -2)) / 6) / curve.max()
    # a recording may leave out the end of the beat: no cubic goes through its seam, but a spike stands out there
    spike = np.minimum(np.abs(curve - before), np.abs(curve - after)) * ((curve - before) * (curve - after) > 0)
    seam = np.r_[0, 1, len(curve) - 2, len(curve) - 1]
    off[seam] = spike[seam] / curve.max()
    limit = np.full(len(curve), case.limits.frame_jump_fraction)
    limit[seam] = case.limits.frame_spike_fraction
    worst = int((off / limit).argmax())
    if off[worst] > limit[worst]:
        yield Finding(
            "volume_jump",
            "review",
            f"The LV volume of {curve[worst]:.0f} mL in one frame lies {off[worst]:.0%} of EDV off its neighbours "
            "(at most "
            f"{limit[worst]:.0%} expected): the contours of that frame differ.",
            frame=worst,
            ventricle="lv",
        )


def ventricle_empties_once(case: Case) -> Iterator[Finding]:
    """One minimum per beat."""
    curve = _lv_curve(case)
    if curve is None or case.measurements.ed_frame is None:
        return
    from_ed = np.roll(smooth_over_the_beat(curve), -case.measurements.ed_frame)
    dips = _dips(np.append(from_ed, from_ed[0]), case.limits.second_dip_fraction * (curve.max() - curve.min()))
    if len(dips) > 1:
        found = sorted(int(d + case.measurements.ed_frame) % len(curve) for d in dips)
        frames = [str(frame_number(frame)) for frame in found]
        yield Finding(
            "two_minima",
            "review",
            f"The LV volume has {len(dips)} minima over the beat, at frames {', '.join(frames)}; a heart "
            "empties once. Several beats, arrhythmia, or frames in the wrong order?",
        )


def _dips(curve: NDArray[np.float64], depth: float) -> list[int]:
    """Where a curve is lowest between its ends, in the middle of what is flat.

    Args:
        curve: at least one value.
        depth: how far the curve must rise on either side, before it falls below the dip or ends.
    """
    steps = np.flatnonzero(np.diff(curve))
    found = []
    for first, last in zip(steps[:-1] + 1, steps[1:], strict=True):
        level, before, after = curve[first], curve[first - 1 :: -1], curve[last + 1 :]
        rise = min(_highest_above(before, level), _highest_above(after, level)) - level
        if min(before[0], after[0]) > level and rise >= depth:
            found.append(int(first + last) // 2)
    return found


def _highest_above(values: NDArray[np.float64], level: float) -> float:
    """The highest of some values (at least one) before the first that is below a level."""
    below = np.flatnonzero(values < level)
    return float(values[: below[0]].max(initial=level) if below.size else values.max())


def systole_has_its_time(case: Case) -> Iterator[Finding]:
    """End-systole comes about a third of the beat after end-diastole."""
    curve = _lv_curve(case)
    ed, es = case.measurements.ed_frame, case.measurements.es_frame
    if curve is None or ed is None or es is None:
        return
    fraction = ((es - ed) % len(curve)) / len(curve)
    low, high = case.limits.es_fraction
    if not low <= fraction <= high:
        yield Finding(
            "systole_timing",
            "review",
            f"End-systole lies {fraction:.0%} of the beat after end-diastole ({low:.0%} to {high:.0%} expected): one "
            "of the two frames may be wrong.",
            frame=es,
        )


def beat_closes(case: Case) -> Iterator[Finding]:
    """The last frame leads back to the first."""
    curve = _lv_curve(case)
    if curve is None:
        return
    difference = float(abs(curve[-1] - curve[0]) / curve.max())
    if difference > case.limits.open_beat_fraction:
        yield Finding(
            "open_beat",
            "info",
            f"First and last LV volume differ by {difference:.0%} of EDV (at most {case.limits.open_beat_fraction:.0%} "
            "expected): the recording may leave out the end of the beat, and EDV may be too small.",
        )


def myocardium_keeps_its_mass(case: Case) -> Iterator[Finding]:
    """Myocardium changes its shape over the beat, not its volume."""
    at_ed, at_es = case.value("lv_mass_g"), case.value("lv_mass_es_g")
    if at_ed and at_es:
        difference = abs(at_ed - at_es) / ((at_ed + at_es) / 2)
        if difference > case.limits.mass_difference_fraction:
            yield Finding(
                "mass_mismatch",
                "review",
                f"LV mass is {at_ed:.0f} g at end-diastole and {at_es:.0f} g at end-systole, {difference:.0%} apart "
                f"(at most {case.limits.mass_difference_fraction:.0%} expected): its contours differ.",
                ventricle="lv",
            )
    curve = case.measurements.curves_ml["lv_myocardium"]
    curve = curve[curve > 0]
    if len(curve) >= case.limits.fewest_phases_for_curve:
        variation = float(curve.std() / curve.mean())
        if variation > case.limits.mass_variation:
            yield Finding(
                "mass_varies",
                "review",
                f"The volume of the myocardium varies by {variation:.0%} (standard deviation) over the beat (at most "
                f"{case.limits.mass_variation:.0%} expected).",
                ventricle="lv",
            )


def ventricles_pump_alike(case: Case) -> Iterator[Finding]:
    """What leaves one ventricle leaves the other; a large difference is a leak, a shunt, or a wrong base of the RV."""
    left, right = case.value("lv_sv_ml"), case.value("rv_sv_ml")
    if left is None or right is None or left + right <= 0:
        return
    difference = abs(left - right) / ((left + right) / 2)
    if difference > case.limits.stroke_difference_fraction:
        grave = difference > case.limits.stroke_difference_review_fraction
        yield Finding(
            "stroke_volumes_differ",
            "review" if grave else "info",
            f"LV and RV stroke volumes are {left:.0f} and {right:.0f} mL, {difference:.0%} apart; without "
            "a leaking valve or a shunt they agree. The base of the RV is the usual error.",
            ventricle="rv",
        )


def phases_agree(case: Case) -> Iterator[Finding]:
    """The RV's smallest volume, and frames named by hand, against the LV's end-systole."""
    ed, es, frames = case.measurements.ed_frame, case.measurements.es_frame, case.image.n_frames
    if ed is None or es is None:
        return
    right = case.measurements.curves_ml["rv_cavity"]
    if frames >= case.limits.fewest_phases_for_curve and right.max() > right.min():
        rv_es = int(smooth_over_the_beat(right).argmin())
        if _apart(rv_es, es, frames) > case.limits.phase_disagreement_fraction:
            yield Finding(
                "rv_phase",
                "info",
                f"The RV is smallest at frame {frame_number(rv_es)}, the LV at frame {frame_number(es)}; RV volumes "
                "are read at the LV's frames.",
                ventricle="rv",
            )
    for name, found, word in (("ed", ed, "End-diastole"), ("es", es, "End-systole")):
        annotated = case.image.annotated_frames.get(name)
        if annotated is not None and _apart(annotated, found, frames) > case.limits.phase_disagreement_fraction:
            yield Finding(
                f"annotated_{name}_differs",
                "info",
                f"{word} was found at frame {frame_number(found)}; the data set names frame {frame_number(annotated)}.",
            )


def _apart(one: int, other: int, frames: int) -> float:
    """Distance of two frames around the beat, as a part of it."""
    steps = abs(one - other) % frames
    return min(steps, frames - steps) / frames
