"""A verdict for each ventricle, and masks that hold some structures only: what is there is measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cmrseg.labels import CINE
from cmrseg.phantom import HeartSpec, make_phantom
from cmrseg.pipeline.assess import assess
from cmrseg.pipeline.record import Clock
from cmrseg.report.tables import measurements_json
from cmrseg.study import VENTRICLES, Study

RV, MYOCARDIUM, LV = (CINE[name] for name in ("rv_cavity", "lv_myocardium", "lv_cavity"))
LV_VOLUMES = {"lv_edv_ml", "lv_esv_ml", "lv_sv_ml", "lv_ef_percent", "lv_co_l_min"}
LV_INDEXED = {"lv_edvi_ml_m2", "lv_esvi_ml_m2", "lv_svi_ml_m2", "lv_ci_l_min_m2"}
MASS = {"lv_mass_g", "lv_mass_es_g", "lv_massi_g_m2"}
RV_VOLUMES = {"rv_edv_ml", "rv_esv_ml", "rv_sv_ml", "rv_ef_percent", "rv_edvi_ml_m2", "rv_esvi_ml_m2", "rv_svi_ml_m2"}
OF_THE_PATIENT = {"bsa_m2", "heart_rate_bpm"}


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(
        HeartSpec(
            phases=6, slices=9, slice_distance_mm=12.0, shape_xy=(96, 96), pixel_spacing_xy_mm=(2.2, 2.2), subplanes=2
        )
    )


def judged(phantom, labels, *, drawn=True):
    segmentation = replace(phantom.segmentation, labels=labels, drawn=drawn)
    study = Study("phantom", Path("phantom"), (phantom.image,), phantom.patient)
    return assess(study, [(phantom.image, segmentation)], Clock(), {"bundles": {}}, {})


def only(phantom, *structures):
    return np.where(np.isin(phantom.segmentation.labels, structures), phantom.segmentation.labels, 0).astype(np.uint8)


def known(analysis):
    return {m.key for m in analysis.parts[0].measurements.values if m.value is not None}


@pytest.mark.parametrize(
    ("structures", "expected", "absent"),
    [
        ((LV,), LV_VOLUMES | LV_INDEXED, {"lv_myocardium", "rv_cavity"}),
        ((RV,), RV_VOLUMES, {"lv_cavity", "lv_myocardium"}),
        ((MYOCARDIUM,), MASS, {"lv_cavity", "rv_cavity"}),
        ((LV, RV), LV_VOLUMES | LV_INDEXED | RV_VOLUMES, {"lv_myocardium"}),
        ((MYOCARDIUM, RV), MASS | RV_VOLUMES, {"lv_cavity"}),
    ],
    ids=["LV cavity", "RV cavity", "myocardium", "both cavities", "myocardium and RV"],
)
def test_what_was_drawn_is_measured_and_what_was_not_says_so(phantom, structures, expected, absent):
    analysis = judged(phantom, only(phantom, *structures))
    whole = judged(phantom, phantom.segmentation.labels)
    assert analysis.verdict.status == "review"
    assert known(analysis) == expected | OF_THE_PATIENT
    for key in expected:
        assert analysis.parts[0].measurements[key] == whole.parts[0].measurements[key], key
    codes = {f.code for f in analysis.verdict.findings}
    assert {f"{name}_absent" for name in absent} <= codes
    assert not {"lv_not_enclosed", "mass_varies", "labels_swapped"} & codes
    for measurement in analysis.parts[0].measurements.values:
        assert measurement.value is not None or ("No " in measurement.note and "Withheld" not in measurement.note)


def test_end_diastole_alone_gives_its_volumes(phantom):
    labels = phantom.segmentation.labels.copy()
    labels[1:] = 0
    analysis = judged(phantom, labels)
    assert {"lv_edv_ml", "rv_edv_ml", "lv_mass_g", "wall_thickness_ed_mean_mm"} <= known(analysis)
    assert not {"lv_esv_ml", "lv_ef_percent", "rv_esv_ml"} & known(analysis)
    assert analysis.verdict.status == "review"
    assert "one_phase" in {f.code for f in analysis.verdict.reasons}


def test_epicardium_at_end_diastole_only_withholds_nothing_else(phantom):
    labels = phantom.segmentation.labels.copy()
    es = phantom.truth.es_frame
    for frame in range(len(labels)):
        if frame == es:
            labels[frame][labels[frame] != LV] = 0
        elif frame != phantom.truth.ed_frame:
            labels[frame] = 0
    labels[labels == RV] = 0
    analysis = judged(phantom, labels)
    assert LV_VOLUMES | {"lv_mass_g"} <= known(analysis)
    assert "lv_not_enclosed" not in {f.code for f in analysis.verdict.findings}
    assert {f.code: f.severity for f in analysis.verdict.findings}["lv_myocardium_absent_in_frame"] == "info"


def test_an_rv_drawn_at_its_own_end_systole_leaves_the_lv_phases_alone(phantom):
    labels = phantom.segmentation.labels.copy()
    rv_es = phantom.truth.es_frame + 1
    labels[rv_es][labels[rv_es] != RV] = 0
    analysis = judged(phantom, labels)
    assert analysis.parts[0].measurements.es_frame == phantom.truth.es_frame
    assert analysis.parts[0].measurements["lv_esv_ml"] is not None


def test_filled_epicardial_contours_have_no_mass(phantom):
    labels = phantom.segmentation.labels.copy()
    labels[labels == RV] = 0
    labels[labels == LV] = MYOCARDIUM
    measured = judged(phantom, labels).parts[0].measurements
    assert measured["lv_mass_g"] is None
    assert measured.ed_frame is None


def test_a_ventricle_under_the_other_number_is_still_rejected(phantom):
    """Masks of a scheme that numbers the cavities the other way, without the other ventricle."""
    labels = only(phantom, LV, MYOCARDIUM)
    labels[labels == LV] = RV
    analysis = judged(phantom, labels)
    assert "labels_swapped" in {f.code for f in analysis.verdict.reasons}
    assert analysis.verdict.status == "reject"


@pytest.mark.parametrize("missing", [LV, MYOCARDIUM])
def test_a_network_that_finds_no_wall_or_no_cavity_failed(phantom, missing):
    labels = phantom.segmentation.labels.copy()
    labels[labels == missing] = 0
    analysis = judged(phantom, labels, drawn=False)
    assert analysis.verdict.status == "reject"
    assert known(analysis) == set()


def test_a_rejected_lv_leaves_the_rv_its_numbers(phantom):
    labels = phantom.segmentation.labels.copy()
    es = phantom.truth.es_frame
    for here in labels[es]:
        depth = ndimage.distance_transform_edt(here == LV)
        here[(depth > 0) & (depth < depth.max() - 0.5)] = MYOCARDIUM  # an LVEF of nearly 100 %
    analysis = judged(phantom, labels, drawn=False)
    assert {side: analysis.verdict.of_ventricle(side).status for side in VENTRICLES}["lv"] == "reject"
    assert analysis.verdict.of_ventricle("rv").status != "reject"
    assert {key for key in known(analysis) if key.startswith(("lv_", "wall_"))} == set()
    assert known(analysis) >= RV_VOLUMES | OF_THE_PATIENT
    assert set(analysis.parts[0].measurements.curves_ml) == {"rv_cavity"}
    note = next(m.note for m in analysis.parts[0].measurements.values if m.key == "lv_edv_ml")
    assert note == "Withheld: quality control rejected the left ventricle."


def test_a_rejected_rv_leaves_the_lv_its_numbers(phantom):
    labels = phantom.segmentation.labels.copy()
    es = phantom.truth.es_frame
    right = np.flatnonzero(labels[es] == RV)
    labels[es].reshape(-1)[right[12:]] = 0  # an RVEF of nearly 100 %
    analysis = judged(phantom, labels, drawn=False)
    assert analysis.verdict.status == "reject"
    assert analysis.verdict.of_ventricle("lv").status != "reject"
    assert known(analysis) >= LV_VOLUMES | MASS
    assert not RV_VOLUMES & known(analysis)
    assert measurements_json(analysis)["verdicts"] == {
        "lv": analysis.verdict.of_ventricle("lv").status,
        "rv": "reject",
        "lge": None,
    }
