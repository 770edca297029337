import pytest

from cmrseg.quantify.definitions import CINE
from cmrseg.quantify.definitions import measurement as build
from cmrseg.quantify.reference_ranges import TABLES, reference_range
from cmrseg.study import Patient


def test_a_man_of_fifty_has_the_published_range():
    found, note = reference_range("lv_ef_percent", Patient("M", 50.0))
    assert (found.mean, found.sd) == (58.0, 5.0)
    assert (found.low, found.high) == (48.0, 68.0)
    assert "men" in found.group
    assert "Petersen" in found.source
    assert "papillary muscles belong to the cavity" in found.source
    assert note == ""


def test_women_have_their_own():
    found, _ = reference_range("lv_massi_g_m2", Patient("F", 74.9))
    assert (found.mean, found.sd) == (42.0, 7.0)


@pytest.mark.parametrize(
    ("patient", "word"),
    [
        (Patient(None, 50.0), "sex"),
        (Patient("F", None), "age"),
        (Patient("F", 44.9), "45 to 74"),
        (Patient("F", 75.0), "45 to 74"),
        (Patient("M", 8.0), "45 to 74"),
    ],
)
def test_nobody_else_is_given_a_range(patient, word):
    found, note = reference_range("lv_edv_ml", patient)
    assert found is None
    assert word in note


def test_measurements_without_a_table_are_silent():
    assert reference_range("rv_edv_ml", Patient("M", 50.0)) == (None, "")


def test_tables_speak_of_measurements_that_exist_and_of_both_sexes():
    for table in TABLES:
        for key, by_sex in table.values.items():
            assert key in CINE
            assert set(by_sex) == {"M", "F"}
            assert all(mean > 2 * sd > 0 for mean, sd in by_sex.values())


def test_a_range_is_only_given_with_a_value():
    missing = build("lv_edv_ml", None, Patient("M", 50.0), "Nothing there.")
    assert missing.reference is None
    assert missing.note == "Nothing there."
    given = build("lv_edv_ml", 150.0, Patient("M", 50.0))
    assert given.reference.mean == 166.0
    assert given.note == ""
