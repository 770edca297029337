"""The shapes against volumes worked out by hand, and the beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmrseg.phantom import HeartSpec, tiny
from cmrseg.phantom.heart import Ellipsoids, beat, contraction_curve


def ellipsoid(a: float, b: float, c: float, widest: float, top: float) -> Ellipsoids:
    return Ellipsoids(*(np.array([x]) for x in (a, b, c, widest, top)))


def test_half_ellipsoid_by_hand() -> None:
    # 2/3 pi * 30 * 20 * 60 mm3 = 75398.2 mm3
    assert ellipsoid(30, 20, 60, 0, 0).volumes_ml[0] == pytest.approx(75.39822, abs=1e-4)


def test_whole_ellipsoid_by_hand() -> None:
    # 4/3 pi * 30 * 20 * 60 mm3 = 150796.4 mm3
    assert ellipsoid(30, 20, 60, -7, 53).volumes_ml[0] == pytest.approx(150.79645, abs=1e-4)


def test_area_by_hand() -> None:
    # Half way down the semi-axis the squared scale is 1 - 1/4: pi * 30 * 20 * 0.75 = 1413.72 mm2.
    shape = ellipsoid(30, 20, 60, 10, 25)
    areas = shape.areas_mm2([10, -20, 25.1, -50.1])[0]
    assert areas == pytest.approx([1884.956, 1413.717, 0, 0], abs=1e-3)


def test_default_left_ventricle_by_hand() -> None:
    # c = 82 / 1.25 = 65.6, h = 16.4: pi * 27.5 * 26.5 * 65.6 * (2/3 + 0.25 - 0.25**3 / 3) = 136.9 mL.
    expected = np.pi * 27.5 * 26.5 * 65.6 * (2 / 3 + 0.25 - 0.25**3 / 3) / 1000
    assert beat(HeartSpec()).endo.volumes_ml[0] == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(136.9, abs=0.05)


def test_volume_is_the_integral_of_area() -> None:
    heart = beat(HeartSpec())
    w = np.linspace(-120, 10, 130_001)
    for shape in (heart.endo, heart.epi):
        summed = shape.areas_mm2(w).sum(axis=1) * (w[1] - w[0]) / 1000
        assert summed == pytest.approx(shape.volumes_ml, rel=2e-4)


def test_right_ventricle_without_the_left_is_an_ellipsoid() -> None:
    # Far from the LV nothing is cut out: c = 80 / 1.25 = 64; pi * 30 * 40 * 64 * (2/3 + 1/4 - 1/192).
    spec = replace(
        HeartSpec(), rv_offset_mm=(400.0, 380.0), rv_radii_ed_mm=(30.0, 40.0), rv_length_mm=80.0, rv_anterior_mm=0.0
    )
    expected = np.pi * 30 * 40 * 64 * (2 / 3 + 1 / 4 - 1 / 192) / 1000
    assert beat(spec).rv_volumes_ml()[0] == pytest.approx(expected, rel=1e-5)


def test_right_ventricle_around_the_whole_left_is_the_difference() -> None:
    # On one axis and wide enough to hold the epicardium, the RV's area is the difference of two ellipses.
    spec = replace(HeartSpec(), rv_offset_mm=(0.0, 0.0), rv_radii_ed_mm=(90.0, 80.0), rv_anterior_mm=0.0)
    heart = beat(spec)
    w = np.array([-5.0, -25.0, -45.0])
    expected = np.pi * 90 * 80 * heart.rv.scale(w)[0] ** 2 - heart.epi.areas_mm2(w)[0]
    assert heart.rv_areas_mm2(w)[0] == pytest.approx(expected, rel=1e-4)


def test_right_ventricle_agrees_with_random_points() -> None:
    heart = beat(HeartSpec()).at(0)
    n = 2_000_000
    low, high = np.array([-90.0, -60.0, -80.0]), np.array([20.0, 60.0, 0.0])
    u, v, w = (low + (high - low) * np.random.default_rng(1).random((n, 3))).T
    axis_u = heart.rv_base_u[0] + heart.rv_slope[0] * (w - heart.rv.top[0])
    in_rv = ((u - axis_u) / heart.rv.a[0]) ** 2 + ((v - heart.rv_v) / heart.rv.b[0]) ** 2
    in_rv += ((w - heart.rv.widest[0]) / heart.rv.c[0]) ** 2
    in_epi = (u / heart.epi.a[0]) ** 2 + (v / heart.epi.b[0]) ** 2
    in_epi += ((w - heart.epi.widest[0]) / heart.epi.c[0]) ** 2
    share = np.mean((in_rv < 1) & (in_epi > 1))
    volume = float(np.prod(high - low)) / 1000
    sd = volume * np.sqrt(share * (1 - share) / n)
    assert heart.rv_volumes_ml()[0] == pytest.approx(share * volume, abs=4 * sd)


def test_right_ventricle_quadrature_has_converged() -> None:
    heart = beat(HeartSpec(phases=3))
    assert heart.rv_volumes_ml() == pytest.approx(heart.rv_volumes_ml(levels=1024, samples=2048), rel=1e-4)


def test_muscle_keeps_its_volume_and_thickens() -> None:
    heart = beat(HeartSpec(phases=30))
    muscle = heart.epi.volumes_ml - heart.endo.volumes_ml
    assert np.ptp(muscle) < 1e-6
    assert heart.wall_mm[0] == pytest.approx(9.0, abs=1e-9)
    assert heart.wall_mm.argmax() == HeartSpec(phases=30).es_frame
    assert heart.wall_mm.max() > 12


def test_apex_stays_and_base_descends() -> None:
    spec = HeartSpec()
    heart = beat(spec)
    apex = heart.epi.widest - heart.epi.c
    assert apex == pytest.approx(np.full(spec.phases, -(82 + 0.6 * 9)), abs=1e-9)
    assert heart.epi.top[spec.es_frame] == pytest.approx(-10.0)
    assert heart.epi.top[spec.ed_frame] == 0


@pytest.mark.parametrize("phases", [2, 3, 8, 20, 25, 30, 50])
@pytest.mark.parametrize("ed_frame", [0, 1])
def test_end_diastole_and_end_systole(phases: int, ed_frame: int) -> None:
    spec = HeartSpec(phases=phases, ed_frame=ed_frame)
    volumes = beat(spec).endo.volumes_ml
    assert volumes.argmax() == spec.ed_frame == ed_frame
    assert volumes.argmin() == spec.es_frame
    assert contraction_curve(spec).min() == 0
    assert contraction_curve(spec).max() == 1


def test_one_phase_is_end_diastole() -> None:
    spec = tiny(phases=1)
    assert (spec.ed_frame, spec.es_frame) == (0, 0)
    assert contraction_curve(spec).tolist() == [0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lv_length_mm": 0.0}, "positive"),
        ({"pixel_spacing_xy_mm": (1.4, float("nan"))}, "positive"),
        ({"phases": 0}, "at least one"),
        ({"base_above_widest": 1.0}, "base_above_widest"),
        ({"rv_base_descent_mm": 9.0, "lv_base_descent_mm": 10.0}, "come down"),
        ({"slice_thickness_mm": 10.5}, "overlap"),
        ({"breath_hold_shifts_mm": ((1.0, 0.0),)}, "1 breath-hold shifts for 11 slices"),
        ({"ed_frame": 20}, "ed_frame"),
        ({"lv_radii_es_mm": (28.0, 17.0)}, "larger"),
    ],
)
def test_impossible_hearts_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(HeartSpec(), **changes)  # type: ignore[arg-type]
