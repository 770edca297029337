from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from cmrseg.labels import CINE
from cmrseg.qc import curves
from cmrseg.study import Measurement

RV, MUSCLE = CINE["rv_cavity"], CINE["lv_myocardium"]


def beat(frames=20, es=7, start=0, edv=140.0, esv=55.0):
    """A usual LV curve: emptying until `es`, early filling, rest, atrial kick."""
    t = np.arange(frames)
    late = (t - es) / (frames - es)
    filling = 0.75 * np.clip(late / 0.45, 0, 1) ** 1.5 + 0.25 * np.clip((late - 0.75) / 0.25, 0, 1)
    volume = np.where(t <= es, 0.5 + 0.5 * np.cos(np.pi * t / es), filling)
    return np.roll(esv + (edv - esv) * volume, start)


def codes(rule, case):
    return [(f.code, f.severity) for f in rule(case)]


CURVE_RULES = [
    curves.ventricle_beats,
    curves.curve_is_smooth,
    curves.ventricle_empties_once,
    curves.systole_has_its_time,
    curves.beat_closes,
]


@pytest.mark.parametrize("rule", CURVE_RULES)
@pytest.mark.parametrize(
    "curve",
    [
        beat(),
        beat(start=9),
        beat(frames=30, es=11),
        beat(frames=12, es=5),
        beat(frames=10, es=3),
        beat(edv=300.0, esv=255.0),
        beat(frames=25, es=9) + np.random.default_rng(3).normal(0, 1.5, 25),
    ],
)
def test_usual_curves_are_left_alone(rule, curve, case_of):
    assert codes(rule, case_of(curve)) == []


@pytest.mark.parametrize("frame", [0, 3, 10, 16, 24])
@pytest.mark.parametrize("error_ml", [-30.0, 30.0])
def test_one_frame_off_the_curve_is_noticed(frame, error_ml, case_of):
    curve = beat(frames=25, es=9)
    curve[frame] += error_ml
    found = list(curves.curve_is_smooth(case_of(curve)))
    assert [f.code for f in found] == ["volume_jump"]
    assert found[0].frame == frame


def test_two_beats_in_one_recording_are_noticed(case_of):
    assert codes(curves.ventricle_empties_once, case_of(np.tile(beat(frames=15, es=5), 2))) == [
        ("two_minima", "review")
    ]


def test_frames_in_the_wrong_order_are_noticed(case_of):
    shuffled = beat(frames=24, es=8).reshape(2, 12).T.ravel()
    found = {code for rule in CURVE_RULES for code, _ in codes(rule, case_of(shuffled))}
    assert "two_minima" in found or "volume_jump" in found


@pytest.mark.parametrize("es", [2, 15])
def test_systole_at_the_wrong_time_is_noticed(es, case_of):
    assert codes(curves.systole_has_its_time, case_of(beat(es=es))) == [("systole_timing", "review")]


def test_a_recording_that_stops_early_is_mentioned(case_of):
    assert codes(curves.beat_closes, case_of(beat(frames=40, es=14)[:22])) == [("open_beat", "info")]


def test_a_heart_that_stands_still_is_rejected(case_of):
    assert codes(curves.ventricle_beats, case_of(np.full(20, 120.0))) == [("no_beat", "reject")]
    assert codes(curves.ventricle_beats, case_of(np.array([120.0]))) == []


def test_short_curves_are_not_judged(case_of):
    rough = np.array([140.0, 60, 130, 55, 120, 50])
    for rule in CURVE_RULES[1:]:
        assert codes(rule, case_of(rough)) == []


@pytest.mark.parametrize(
    ("frames", "annotated", "expected"),
    [
        (20, {}, []),
        (15, {}, []),
        (14, {}, [("few_phases", "review")]),
        (2, {"ed": 0, "es": 1}, [("few_phases", "info")]),
        (2, {"ed": 0}, [("few_phases", "review")]),
        (1, {}, [("one_phase", "review")]),
    ],
)
def test_number_of_phases(frames, annotated, expected, case_of):
    case = case_of(np.linspace(140.0, 60.0, frames))
    case = replace(case, image=replace(case.image, annotated_frames=annotated))
    assert codes(curves.enough_phases, case) == expected


def with_values(case, **values):
    made = tuple(Measurement(key, value, "", key, "", "") for key, value in values.items())
    return replace(case, measurements=replace(case.measurements, values=made))


@pytest.mark.parametrize(("at_es", "expected"), [(130.0, []), (100.0, []), (160.0, [("mass_mismatch", "review")])])
def test_mass_at_both_phases(at_es, expected, case_of):
    case = with_values(case_of(beat()), lv_mass_g=100.0, lv_mass_es_g=at_es)
    assert codes(curves.myocardium_keeps_its_mass, case) == expected


def test_muscle_that_comes_and_goes_is_noticed(case_of):
    case = case_of(beat())
    swinging = {**case.measurements.curves_ml, "lv_myocardium": 100 + 30 * np.sin(np.arange(20) * 1.3)}
    spoilt = replace(case, measurements=replace(case.measurements, curves_ml=swinging))
    assert codes(curves.myocardium_keeps_its_mass, case) == []
    assert codes(curves.myocardium_keeps_its_mass, spoilt) == [("mass_varies", "review")]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (80.0, []),
        (60.0, []),
        (45.0, [("stroke_volumes_differ", "info")]),
        (20.0, [("stroke_volumes_differ", "review")]),
        (-10.0, [("stroke_volumes_differ", "review")]),
        (None, []),
    ],
)
def test_stroke_volumes(right, expected, case_of):
    case = with_values(case_of(beat()), lv_sv_ml=80.0, rv_sv_ml=right)
    assert codes(curves.ventricles_pump_alike, case) == expected


def test_ventricles_out_of_step_are_mentioned(case_of):
    assert codes(curves.phases_agree, case_of(beat(), rv=beat(es=8))) == []
    assert codes(curves.phases_agree, case_of(beat(), rv=beat(start=8))) == [("rv_phase", "info")]


def test_annotated_frames_far_from_those_found_are_mentioned(case_of):
    def annotated(**frames):
        case = case_of(beat())  # ED 0, ES 7 of 20
        return codes(curves.phases_agree, replace(case, image=replace(case.image, annotated_frames=frames)))

    assert annotated(ed=0, es=8) == []
    assert annotated(ed=19, es=7) == []  # next to frame 0 around the beat
    assert annotated(ed=5, es=7) == [("annotated_ed_differs", "info")]
    assert annotated(ed=0, es=12) == [("annotated_es_differs", "info")]


def test_curve_rules_reach_the_verdict(heart):
    heart.labels[12] = heart.labels[7]  # one diastolic frame with the masks of end-systole
    assert heart.severity_of("volume_jump") == "review"


def test_a_stopped_heart_reaches_the_verdict(heart):
    heart.labels[:] = heart.labels[0]
    assert heart.severity_of("no_beat") == "reject"


def test_dips_are_those_of_scipy():
    """Curves with flat places, of few values and of one, and depths that are met exactly."""
    draw = np.random.default_rng(0)
    for _ in range(500):
        curve = draw.random(draw.integers(1, 30))
        if draw.integers(2):
            curve = np.floor(curve * draw.integers(2, 12))
        depth = float(draw.choice([1e-9, 0.1, 0.3, 1.0, 2.0, 3.0]))
        assert curves._dips(curve, depth) == signal.find_peaks(-curve, prominence=depth)[0].tolist(), (curve, depth)
