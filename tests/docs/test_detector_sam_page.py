"""The page on detector and SAM names what there is: rows C1 to C17, sums, experiments."""

from __future__ import annotations

import importlib
import re

from docpages import ROOT, table_rows

from cmrseg.experiments.run import EXPERIMENTS
from cmrseg.losses import noisy_labels

PAGE = ROOT / "docs" / "explanation" / "detector-sam.md"


def test_every_row_has_a_place_in_the_code() -> None:
    rows = table_rows(PAGE, "Row by row")
    numbers = [n for row in rows for n in re.findall(r"C(\d+)", row[0])]
    assert [int(n) for n in numbers] == list(range(1, 18))
    for row in rows:
        assert all(row)
        for place in row[3].replace("`", "").split(", "):
            parts = place.split(".")
            module, names = _module(parts)
            assert all(hasattr(module, name) for name in names), place


def _module(parts: list[str]) -> tuple[object, list[str]]:
    """The longest module that there is, and what is left of the name."""
    for end in range(len(parts), 0, -1):
        try:
            return importlib.import_module(".".join(["cmrseg", *parts[:end]])), parts[end:]
        except ModuleNotFoundError:
            continue
    raise AssertionError(parts)


def test_every_sum_is_explained() -> None:
    assert [row[0] for row in table_rows(PAGE, "Sums with a name")] == list(noisy_labels.NAMES)


def test_every_experiment_is_listed() -> None:
    how_to = (ROOT / "docs" / "how-to" / "rerun-the-papers.md").read_text("utf-8")
    listed = re.findall(r"^\| `(yolosam-[a-z-]+)` \|", how_to, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in EXPERIMENTS if name.startswith("yolosam-"))


def test_every_signature_is_a_finding_of_quality_control() -> None:
    signatures = [row[1].split(":")[0].strip("`") for row in table_rows(PAGE, "Failure signatures")]
    source = (ROOT / "src" / "cmrseg" / "qc" / "signatures.py").read_text("utf-8")
    assert len(signatures) == 3
    assert all(f'"{code}"' in source for code in signatures)
