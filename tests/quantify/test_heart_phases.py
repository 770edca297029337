import numpy as np
import pytest

from cmrseg.quantify.heart_phases import find_phases, smooth_over_the_beat


def beat(frames: int, ed: int, es: int) -> np.ndarray:
    """A smooth LV curve, 150 mL at `ed` and 60 mL at `es`."""
    to_es = (es - ed) % frames
    since_ed = (np.arange(frames) - ed) % frames
    phase = np.where(since_ed <= to_es, since_ed / to_es, 1 + (since_ed - to_es) / (frames - to_es))
    return 105.0 + 45.0 * np.cos(np.pi * phase)


@pytest.mark.parametrize(("ed", "es"), [(0, 7), (12, 19), (19, 6), (3, 10)])
def test_both_phases_are_found_wherever_the_recording_starts(ed, es):
    phases = find_phases(beat(20, ed, es))
    assert (phases.ed_frame, phases.es_frame) == (ed, es)


def test_one_bad_frame_in_diastole_is_not_end_systole():
    curve = beat(25, 0, 9)
    curve[18] = 55.0  # below the true end-systolic volume of 60
    assert int(curve.argmin()) == 18
    assert find_phases(curve).es_frame == 9


def test_a_recording_that_misses_the_end_of_the_beat_keeps_its_first_frame_as_end_diastole():
    curve = beat(30, 0, 10)[:24]  # prospective gating: the last frame is far from the first
    assert curve[-1] < 145.0
    assert find_phases(curve).ed_frame == 0


def test_measured_values_decide_between_neighbours():
    curve = np.array([150.0, 140, 120, 95, 75, 61, 60, 66, 90, 110, 125, 140])
    assert find_phases(curve).es_frame == 6


def test_two_frames_are_told_apart_without_smoothing():
    phases = find_phases(np.array([60.0, 140.0]))
    assert (phases.ed_frame, phases.es_frame) == (1, 0)


def test_one_frame_has_no_end_systole():
    phases = find_phases(np.array([120.0]))
    assert (phases.ed_frame, phases.es_frame) == (0, None)
    assert "One phase" in phases.note


def test_a_volume_that_never_changes_has_no_end_systole():
    phases = find_phases(np.full(20, 100.0))
    assert phases.es_frame is None
    assert phases.note


def test_an_empty_ventricle_has_no_phases():
    phases = find_phases(np.zeros(20))
    assert (phases.ed_frame, phases.es_frame) == (None, None)
    assert phases.note


def test_smoothing_goes_round_the_beat_and_keeps_the_mean():
    curve = np.zeros(10)
    curve[0] = 4.0
    assert smooth_over_the_beat(curve) == pytest.approx([2, 1, 0, 0, 0, 0, 0, 0, 0, 1])
    assert smooth_over_the_beat(curve[:5]) == pytest.approx([4, 0, 0, 0, 0])  # too few frames to average
