"""What names of files say: late enhancement in any spelling, and not where its letters only happen to stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmrseg.io.datasets import names

LATE = """patient01_LGEsax DelayedEnhancement lge_psir PSIR MDE LateGad lategad lgesax SAXLGE saxLGE patLGE desax
    cardiacDE DE_SA Late-Gadolinium-Enhancement LATEGD p1_psirsax lgestack LGE01 5_LGE_PSIR_sa IR_DE ViabilitySA myLGE
    3DLGE lge3d sa_delayed DE-MRI lateEnhancement 20000101_psir_sa_12 10min_delay_sa DELAY_ENH
    SA_post_gad postContrast viab_sax LGE.sax lge.v2"""
OTHER_WORDS = """bulge indulge algebra helge plate template undelayed belgium code decade demo model video slide inside
    late_diastole lateSystole EarlyEnhancement early_enhancement enhanced_dicom DeSa_cine De_Sousa isolate palate
    Helgesen trigger_delay_sa cine_post_gad_ed
    t1map_post_contrast molli_postcontrast capsir cine_sa stress_SA frame01 SA_ED translate 001"""


@pytest.mark.parametrize("name", LATE.split())
def test_late_enhancement_in_any_spelling(name: str) -> None:
    assert names.named_lge(Path(f"{name}.nii.gz"))
    assert names.named_lge(Path(name) / "image.nii")
    assert not names.named_other(Path(f"{name}.nii.gz"))


@pytest.mark.parametrize("name", OTHER_WORDS.split())
def test_no_late_enhancement_inside_other_words(name: str) -> None:
    assert not names.named_lge(Path(f"{name}.nii.gz"))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("cine_2ch", True),
        ("cine_4CH", True),
        ("sa_stress_perf", True),
        ("T1_map", True),
        ("LA_cine", True),
        ("5_cine_LAX_b3", True),
        ("cine_sax_12ch_coil", False),
        ("SA_long_breath_hold", False),
        ("cine", False),
        ("heart_LGE_4ch", False),
    ],
)
def test_other_series_are_told(name: str, other: bool) -> None:
    assert names.named_other(Path(f"{name}.nii.gz")) is other


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("patient01_cine_20000101120000_5.nii.gz", {"patient": "1", "date": "20000101"}),
        ("sub-03/ses-1/lge.nii.gz", {"sub": "3", "ses": "1"}),
        ("case_P001.nii", {"case": "p001"}),
        ("cine_sax_b3_12.nii.gz", {}),
        ("idiot3.nii.gz", {}),
    ],
)
def test_persons_and_days_in_names(path: str, told: dict[str, str]) -> None:
    assert names.persons(Path(path)) == told
