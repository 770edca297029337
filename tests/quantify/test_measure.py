from types import SimpleNamespace

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.labels import CINE as SCHEME
from cmrseg.labels import MNMS
from cmrseg.phantom import make_phantom, tiny
from cmrseg.quantify import measure
from cmrseg.quantify.definitions import CINE
from cmrseg.study import Patient, Segmentation

RV, MUSCLE, LV = SCHEME["rv_cavity"], SCHEME["lv_myocardium"], SCHEME["lv_cavity"]

KEYS_OF_THE_CONTRACT = {
    *("lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", "lv_co_l_min", "lv_mass_g", "lv_mass_es_g"),
    *("rv_edv_ml", "rv_esv_ml", "rv_sv_ml", "rv_ef_percent", "lv_edvi_ml_m2", "lv_esvi_ml_m2", "lv_svi_ml_m2"),
    *("lv_ci_l_min_m2", "lv_massi_g_m2", "rv_edvi_ml_m2", "rv_esvi_ml_m2", "rv_svi_ml_m2", "bsa_m2"),
    *("heart_rate_bpm", "wall_thickness_ed_max_mm"),
    *(f"wall_thickness_ed_aha{n:02d}_mm" for n in range(1, 17)),
}


def beating_box(hearts: SimpleNamespace) -> Segmentation:
    """Boxes of 1 mL voxels: LV 100, 40, 70; muscle 90, 100, 95; RV 80, 50, 30 voxels in three frames."""
    labels = np.zeros((3, 5, 20, 20), np.uint8)
    for frame, (lv, muscle, rv) in enumerate([(100, 90, 80), (40, 100, 50), (70, 95, 30)]):
        flat = labels[frame].reshape(-1)
        flat[:lv], flat[400 : 400 + muscle], flat[800 : 800 + rv] = LV, MUSCLE, RV
    return hearts.as_segmentation(labels, hearts.plain_geometry((5, 20, 20), (5.0, 5.0, 40.0)))


def test_every_key_of_the_contract_is_there_with_its_meaning(hearts):
    measured = measure(beating_box(hearts))
    keys = [m.key for m in measured.values]
    assert set(keys) >= KEYS_OF_THE_CONTRACT
    assert keys == list(CINE)
    for m in measured.values:
        assert m.unit
        assert m.label
        assert m.definition
        assert m.source
        assert m.value is not None or m.note, m.key


def test_volumes_output_and_mass_by_hand(hearts):
    measured = measure(beating_box(hearts), patient=Patient(height_cm=180, weight_kg=80), heart_rate_bpm=70)
    assert (measured.ed_frame, measured.es_frame) == (0, 1)
    assert measured.curves_ml["lv_cavity"] == pytest.approx([100, 40, 70])
    assert measured.curves_ml["lv_myocardium"] == pytest.approx([90, 100, 95])
    expected = {
        "lv_edv_ml": 100,
        "lv_esv_ml": 40,
        "lv_sv_ml": 60,
        "lv_ef_percent": 60,
        "lv_co_l_min": 4.2,
        "lv_mass_g": 94.5,
        "lv_mass_es_g": 105,
        "rv_edv_ml": 80,
        "rv_esv_ml": 50,  # at the LV's end-systole, not at the RV's own smallest volume of 30
        "rv_ef_percent": 37.5,
        "lv_edvi_ml_m2": 50,
        "lv_ci_l_min_m2": 2.1,
        "lv_massi_g_m2": 47.25,
        "rv_svi_ml_m2": 15,
        "bsa_m2": 2,
        "heart_rate_bpm": 70,
    }
    for key, value in expected.items():
        assert measured[key] == pytest.approx(value), key


@pytest.mark.parametrize("rate", [None, 0.0, -60.0, float("nan")])
def test_no_output_without_a_heart_rate(hearts, rate):
    measured = measure(beating_box(hearts), heart_rate_bpm=rate)
    assert measured["lv_co_l_min"] is None
    assert measured["heart_rate_bpm"] is None
    assert measured["lv_sv_ml"] == pytest.approx(60)


def test_no_index_without_a_believable_body(hearts):
    measured = measure(beating_box(hearts), patient=Patient(height_cm=1.8, weight_kg=80))
    assert measured["bsa_m2"] is None
    index = next(m for m in measured.values if m.key == "lv_edvi_ml_m2")
    assert index.value is None
    assert "1.8 cm" in index.note


def test_one_frame_gives_volumes_but_no_ejection_fraction(hearts):
    box = beating_box(hearts)
    one = Segmentation(box.labels[:1].copy(), box.scheme, box.geometry)
    measured = measure(one)
    assert measured["lv_edv_ml"] == pytest.approx(100)
    assert (measured.ed_frame, measured.es_frame) == (0, None)
    for key in ("lv_esv_ml", "lv_sv_ml", "lv_ef_percent", "rv_ef_percent", "lv_mass_es_g"):
        assert measured[key] is None
        assert "One phase" in next(m.note for m in measured.values if m.key == key)


def test_blank_masks_give_no_number_at_all(hearts):
    labels = np.zeros((4, 3, 16, 16), np.uint8)
    measured = measure(
        hearts.as_segmentation(labels, hearts.plain_geometry((3, 16, 16))), patient=Patient("F", 50, 170, 60)
    )
    assert measured.ed_frame is None
    numbers = {m.key for m in measured.values if m.value is not None}
    assert numbers == {"bsa_m2"}


def test_a_structure_missing_at_one_phase_is_not_zero_millilitres(hearts):
    box = beating_box(hearts)
    labels = box.labels.copy()
    labels[1][labels[1] == RV] = 0
    measured = measure(Segmentation(labels, box.scheme, box.geometry))
    assert measured["rv_edv_ml"] == pytest.approx(80)
    assert measured["rv_esv_ml"] is None
    assert measured["rv_ef_percent"] is None


def test_no_ejection_fraction_under_ten_millilitres(hearts):
    box = beating_box(hearts)
    small = Segmentation(box.labels, box.scheme, hearts.plain_geometry((5, 20, 20), (2.0, 2.0, 20.0)))  # 0.08 mL voxels
    measured = measure(small)
    assert measured["lv_edv_ml"] == pytest.approx(8.0)
    assert measured["lv_ef_percent"] is None
    assert "10 mL" in next(m.note for m in measured.values if m.key == "lv_ef_percent")


def test_other_schemes_are_refused(hearts):
    labels = np.zeros((1, 3, 16, 16), np.uint8)
    with pytest.raises(UsageError, match="mnms"):
        measure(Segmentation(labels, MNMS, hearts.plain_geometry((3, 16, 16))))


def test_wall_of_a_ring_heart_by_segment(hearts):
    labels = np.stack(
        [hearts.ring_slice(endo_mm=20 - 0.3 * z, epi_mm=29 - 0.5 * z, rv_width_mm=15 - z) for z in range(9)]
    )
    measured = measure(hearts.as_segmentation(np.stack([labels, labels]), hearts.oblique_geometry(labels.shape)))
    table = measured.segment_tables["wall_thickness_ed_mm"]
    assert table.shape == (16,)
    assert table[:6] == pytest.approx(np.full(6, 8.8), abs=0.25)  # slices 0 to 2: 9.0, 8.8, 8.6 mm
    assert table[6:12] == pytest.approx(np.full(6, 8.2), abs=0.25)
    assert table[12:] == pytest.approx(np.full(4, 7.6), abs=0.25)
    assert measured["wall_thickness_ed_aha07_mm"] == pytest.approx(table[6])
    assert measured["wall_thickness_ed_mean_mm"] == pytest.approx(8.2, abs=0.15)
    assert measured["wall_thickness_ed_max_mm"] == pytest.approx(9.0, abs=0.7)


def test_a_thick_segment_is_found_in_its_place(hearts):
    """The anteroseptal wall of a ring is thickened by 6 mm at every level: segments 2 and 8."""
    stack = hearts.tapering_stack()
    thick = np.stack(
        [
            hearts.ring_slice(endo_mm=24 * np.sqrt(1 - (z / 9) ** 2) - 9, epi_mm=30, rv_width_mm=0)
            for z in range(len(stack))
        ]
    )
    rows, columns = np.mgrid[: stack.shape[1], : stack.shape[2]]
    angle = np.degrees(np.arctan2(-(rows - 47.5), columns - 47.5)) % 360
    wedge = (angle >= 120) & (angle < 180)
    stack[:5][(stack[:5] == LV) & (thick[:5] == MUSCLE) & wedge] = MUSCLE
    measured = measure(hearts.as_segmentation(stack[None], hearts.oblique_geometry(stack.shape)))
    table = measured.segment_tables["wall_thickness_ed_mm"]
    assert int(table[:6].argmax()) + 1 == 2
    assert int(table[6:12].argmax()) + 7 == 8


def test_segments_without_rv_are_not_a_number_and_say_why(hearts):
    labels = hearts.tapering_stack()
    labels[labels == RV] = 0
    measured = measure(hearts.as_segmentation(labels[None], hearts.oblique_geometry(labels.shape)))
    assert np.isnan(measured.segment_tables["wall_thickness_ed_mm"]).all()
    assert measured["wall_thickness_ed_mean_mm"] is not None  # the mid-cavity mean needs no orientation
    assert [f.code for f in measured.findings] == ["aha_not_oriented"]
    segment = next(m for m in measured.values if m.key == "wall_thickness_ed_aha01_mm")
    assert segment.value is None
    assert "right ventricle" in segment.note


def test_phantom_numbers_are_those_of_its_construction():
    phantom = make_phantom(tiny())
    measured = measure(phantom.segmentation, patient=phantom.patient, heart_rate_bpm=phantom.truth.heart_rate_bpm)
    assert (measured.ed_frame, measured.es_frame) == (phantom.truth.ed_frame, phantom.truth.es_frame)
    for key in ("lv_edv_ml", "lv_esv_ml", "rv_edv_ml", "rv_esv_ml", "lv_sv_ml", "lv_ef_percent", "lv_co_l_min"):
        assert measured[key] == pytest.approx(phantom.truth.numbers()[key], rel=0.005), key
    assert measured["wall_thickness_ed_max_mm"] == pytest.approx(phantom.truth.wall_thickness_ed_mm, abs=0.8)
    assert np.isfinite(measured.segment_tables["wall_thickness_ed_mm"]).all()
