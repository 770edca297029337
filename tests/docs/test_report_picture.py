"""The picture of the report in README.md: of the demo that its numbers are of, and told in words."""

from __future__ import annotations

import hashlib
import json
import re

from docpages import ROOT

SHORT = {
    "lv_ef_percent": "LVEF",
    "lv_edv_ml": "LVEDV",
    "lv_esv_ml": "LVESV",
    "lv_mass_g": "LV mass",
    "rv_ef_percent": "RVEF",
}


def test_the_picture_is_the_one_whose_numbers_are_written_down() -> None:
    record = json.loads((ROOT / "docs" / "images" / "report.json").read_text(encoding="utf-8"))
    picture = (ROOT / "docs" / "images" / "report.png").read_bytes()
    assert hashlib.sha256(picture).hexdigest() == record["sha256"], "take the picture by: make picture"


def test_the_text_of_the_picture_gives_its_numbers() -> None:
    record = json.loads((ROOT / "docs" / "images" / "report.json").read_text(encoding="utf-8"))
    text = re.search(r"!\[([^]]*)\]\(docs/images/report\.png\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert text is not None
    assert set(record["measured"]) == set(SHORT)
    for key, value in record["measured"].items():
        assert f"{SHORT[key]} {value:.0f} " in text[1]
