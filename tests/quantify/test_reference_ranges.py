import pytest

from cmrseg.quantify.definitions import CINE
from cmrseg.quantify.definitions import measurement as build
from cmrseg.quantify.reference_ranges import reference_range
from cmrseg.quantify.reference_tables import HEALTHY_HEARTS, TABLES
from cmrseg.study import Patient

BANDS = [(table, sex) for table in HEALTHY_HEARTS for sex in ("F", "M")]
BAND_NAMES = [f"{sex} from {table.age_years[0]}" for table, sex in BANDS]


def test_a_man_of_fifty_has_the_published_range():
    found, note = reference_range("lv_ef_percent", Patient("M", 50.0))
    assert (found.low, found.high) == (47.0, 72.0)
    assert (found.mean, found.sd) == (59.5, 6.25)
    assert found.group == "healthy men of White ethnicity, 50 to 59 years"
    assert "Raisi-Estabragh" in found.source
    assert "papillary muscles and trabeculae belong to the cavity" in found.source
    assert note == ""


@pytest.mark.parametrize(
    ("key", "patient", "low", "high"),
    [
        ("lv_edv_ml", Patient("F", 18.0), 107, 191),
        ("lv_esv_ml", Patient("F", 44.0), 30, 75),
        ("lv_sv_ml", Patient("M", 61.0), 57, 133),
        ("lv_mass_g", Patient("M", 35.0), 79, 149),
        ("lv_edvi_ml_m2", Patient("M", 55.0), 54, 109),
        ("lv_esvi_ml_m2", Patient("F", 65.0), 14, 38),
        ("lv_svi_ml_m2", Patient("M", 25.0), 36, 72),
        ("lv_massi_g_m2", Patient("F", 90.0), 31, 50),
        ("rv_edv_ml", Patient("M", 45.0), 127, 250),
        ("rv_esv_ml", Patient("F", 33.0), 33, 82),
        ("rv_sv_ml", Patient("F", 52.0), 51, 114),
        ("rv_ef_percent", Patient("M", 75.0), 46, 72),
        ("rv_edvi_ml_m2", Patient("F", 52.0), 51, 96),
        ("rv_esvi_ml_m2", Patient("M", 60.0), 17, 51),
        ("rv_svi_ml_m2", Patient("M", 20.0), 36, 76),
    ],
)
def test_both_ventricles_have_ranges_by_sex_and_age(key, patient, low, high):
    found, _ = reference_range(key, patient)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize(
    ("age", "high", "years"),
    [
        (18.0, 252, "18 to 29 years"),
        (29.9, 252, "18 to 29 years"),
        (30.0, 244, "30 to 39 years"),
        (40.0, 235, "40 to 49 years"),
        (59.9, 227, "50 to 59 years"),
        (69.0, 218, "60 to 69 years"),
        (70.0, 210, "70 years and older"),
        (101.0, 210, "70 years and older"),
    ],
)
def test_birthdays_change_the_band(age, high, years):
    found, _ = reference_range("lv_edv_ml", Patient("M", age))
    assert found.high == high
    assert found.group == f"healthy men of White ethnicity, {years}"


def test_wall_thickness_keeps_the_published_mean_and_sd():
    found, _ = reference_range("wall_thickness_ed_mean_mm", Patient("F", 60.0))
    assert (found.mean, found.sd) == (5.3, 0.9)
    assert found.group == "healthy women, 49 to 82 years"


@pytest.mark.parametrize(
    ("key", "patient", "word"),
    [
        ("rv_edv_ml", Patient(None, 50.0), "sex"),
        ("rv_edv_ml", Patient("F", None), "age is not known (the table is for 18 years and older)"),
        ("rv_edv_ml", Patient("F", 17.9), "18 years and older"),
        ("lv_edv_ml", Patient("M", 8.0), "18 years and older"),
        ("wall_thickness_ed_mean_mm", Patient("F", 48.9), "49 to 82 years"),
        ("wall_thickness_ed_mean_mm", Patient("F", 83.0), "49 to 82 years"),
    ],
)
def test_nobody_else_is_given_a_range(key, patient, word):
    found, note = reference_range(key, patient)
    assert found is None
    assert word in note


def test_measurements_without_a_table_are_silent():
    assert reference_range("lv_co_l_min", Patient("M", 50.0)) == (None, "")


def test_tables_speak_of_measurements_that_exist_and_of_both_sexes():
    for table in TABLES:
        for key, by_sex in table.values.items():
            assert key in CINE
            assert set(by_sex) == {"M", "F"}
            assert all(mean > 2 * sd > 0 for mean, sd in by_sex.values())


def test_bands_follow_each_other_without_gap_or_overlap():
    ages = [table.age_years for table in HEALTHY_HEARTS]
    assert [oldest + 1 for _, oldest in ages[:-1]] == [youngest for youngest, _ in ages[1:]]
    assert ages[-1][1] is None


@pytest.mark.parametrize(("table", "sex"), BANDS, ids=BAND_NAMES)
@pytest.mark.parametrize("side", ["lv", "rv"])
def test_middles_agree_with_each_other(table, sex, side):
    """Printed limits are whole numbers: a middle is true to half a unit."""
    edv, esv, sv, ef = (table.values[f"{side}_{name}"][sex][0] for name in ("edv_ml", "esv_ml", "sv_ml", "ef_percent"))
    assert edv - esv == pytest.approx(sv, abs=1.5)
    assert 100 * (edv - esv) / edv == pytest.approx(ef, abs=1.0)


@pytest.mark.parametrize(("table", "sex"), BANDS, ids=BAND_NAMES)
def test_absolute_over_indexed_is_one_body_surface_area(table, sex):
    pairs = [(f"{side}_{name}_ml", f"{side}_{name}i_ml_m2") for side in ("lv", "rv") for name in ("edv", "esv", "sv")]
    pairs.append(("lv_mass_g", "lv_massi_g_m2"))
    areas = [table.values[whole][sex][0] / table.values[indexed][sex][0] for whole, indexed in pairs]
    assert max(areas) - min(areas) < 0.06
    assert (1.7 if sex == "F" else 1.9) < min(areas) < max(areas) < (1.9 if sex == "F" else 2.15)


@pytest.mark.parametrize(
    ("key", "men", "women"),
    [
        ("lv_edv_ml", 166.0, 124.0),
        ("lv_esv_ml", 69.0, 49.0),
        ("lv_sv_ml", 96.0, 75.0),
        ("lv_ef_percent", 58.0, 61.0),
        ("lv_svi_ml_m2", 49.0, 45.0),
        ("lv_massi_g_m2", 53.0, 42.0),
    ],
)
def test_middles_agree_with_another_cohort_of_the_same_convention(key, men, women):
    """Means of UK Biobank, 45 to 74 years (Petersen et al., J Cardiovasc Magn Reson 2017;19:18, Table 12)."""
    middle_aged = [table.values[key] for table in HEALTHY_HEARTS if 50 <= table.age_years[0] < 70]
    for sex, mean in (("M", men), ("F", women)):
        assert sum(by_sex[sex][0] for by_sex in middle_aged) / 2 == pytest.approx(mean, rel=0.07)


def test_a_range_is_only_given_with_a_value():
    missing = build("lv_edv_ml", None, Patient("M", 50.0), "Nothing there.")
    assert missing.reference is None
    assert missing.note == "Nothing there."
    given = build("lv_edv_ml", 150.0, Patient("M", 50.0))
    assert (given.reference.low, given.reference.high) == (109.0, 227.0)
    assert given.note == ""
