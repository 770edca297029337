"""Numbers on the page of the LGE stack are those of the synthetic infarct, and its limits those of the code."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from docpages import ROOT, table_rows

from cmrseg.io.dicom import lge as rules
from cmrseg.phantom import INFARCT, HeartSpec, LgePhantom, Phantom, make_lge, make_phantom
from cmrseg.quantify.lge import measure_lge
from cmrseg.quantify.scar import find_scar

PAGE = ROOT / "docs" / "explanation" / "lge-stack.md"
#: Voxels on a border fall to either side with the last bit of a product of matrices, which differs between processors.
TOLERANCE_G = 0.15


@pytest.fixture(scope="module")
def heart() -> Phantom:
    return make_phantom(HeartSpec(phases=1))


def found_g(lge: LgePhantom, method: str, twin: bool = False, less: float = 0.0) -> float:
    """Scar mass that a method finds inside the true myocardium."""
    made = lge.phase_sensitive if twin else lge.magnitude
    image = replace(made.image, data=made.image.data - np.float32(less))
    mass_g = measure_lge(find_scar(image, made.segmentation, method), image)["scar_mass_g"]
    assert mass_g is not None
    return mass_g


def test_what_the_offset_does(heart: Phantom) -> None:
    lge = make_lge(heart)
    for method, *shown in table_rows(PAGE, "Magnitude or PSIR"):
        masses = (
            lge.truth["scar_mass_g"],
            found_g(lge, method),
            found_g(lge, method, twin=True),
            found_g(lge, method, twin=True, less=lge.offset),
        )
        assert [float(mass) for mass in shown] == pytest.approx(masses, abs=TOLERANCE_G)


def test_what_a_short_inversion_time_does(heart: Phantom) -> None:
    lge = make_lge(heart, replace(INFARCT, remote_signal=-0.15))
    page = " ".join(PAGE.read_text("utf-8").split())
    pattern = r"`ewa` on magnitude finds ([\d.]+) g .*?of the same ([\d.]+) g when myocardium .*?and ([\d.]+) g on PSIR"
    shown = re.search(pattern, page)
    assert shown is not None
    masses = (found_g(lge, "ewa"), lge.truth["scar_mass_g"], found_g(lge, "ewa", twin=True))
    assert [float(mass) for mass in shown.groups()] == pytest.approx(masses, abs=TOLERANCE_G)


def test_limits_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text("utf-8").split())
    low, high = rules.LGE_DISTANCE_MM
    assert f"{low:.0f} to {high:.0f} mm apart" in page
    low, high = rules.USUAL_INVERSION_MS
    assert f"outside {low:.0f} to {high:.0f} ms" in page
    assert f"an inversion time above {high:.0f} ms counts less" in page
    assert f"echo time above {rules.MAX_ECHO_MS:.0f} ms" in page
    assert f"at most {rules.MAX_REPEATS} per slice" in page
