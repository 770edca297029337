"""Files that hold no image any more: those that may have been a slice, and those that lie beside images as a rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom.small_studies import PHASES, cine, codes, expected, refusal, save

from cmrseg.io.dicom import read_dicom
from cmrseg.phantom import Phantom, write_dicom

PAGE = b"<!DOCTYPE html><html><body>Not found</body></html>"
Spoil = Callable[[bytes], bytes]
SPOILED: list[Spoil] = [
    lambda whole: b"",
    lambda whole: bytes(len(whole)),
    lambda whole: whole[:100],
    lambda whole: PAGE,
    lambda whole: b"\xff" * len(whole),
]


def names(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("pattern", ["{:04d}.dcm", "IM{:04d}", "i{:07d}.MRDC", "1.2.840.{}"])
@pytest.mark.parametrize("base", [True, False])
def test_a_whole_slice_of_lost_files_is_refused(tmp_path: Path, spoil: Spoil, pattern: str, base: bool) -> None:
    folder = save(tmp_path, cine(range(6)).values(), name=pattern)
    files = sorted(folder.iterdir(), key=lambda f: [int("".join(filter(str.isdigit, f.name)))])
    for file in files[-PHASES:] if base else files[:PHASES]:
        file.write_bytes(spoil(file.read_bytes()))
    error = refusal(folder)
    assert error.code == "unreadable"
    assert f"{PHASES} file(s) that cannot be read may hold a slice" in error.cause


@pytest.mark.parametrize("name", ["lost/{}", "{}.part", "{}.crdownload", "copy/deep/{}"])
def test_lost_files_elsewhere_or_unfinished(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path, cine(range(6)).values())
    for file in names(folder)[-PHASES:]:
        file.unlink()
        other = folder / name.format(file.name)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(b"")
    assert refusal(folder).code == "unreadable"


@pytest.mark.parametrize("style", ["series-per-slice", "enhanced-per-slice"])
def test_a_lost_series_or_object(tmp_path: Path, tiny_phantom: Phantom, style: str) -> None:
    files = write_dicom(tiny_phantom, tmp_path, style=style)  # type: ignore[arg-type]
    for file in files[-len(files) // 8 :]:
        file.write_bytes(b"")
    assert refusal(tmp_path).code == "unreadable"


def test_fewer_than_a_slice_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path, cine().values())
    for number in (45, 46):
        (folder / f"{number:04d}.dcm").write_bytes(b"")
    study = read_dicom(folder)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert [(f.code, f.severity) for f in study.findings] == [("unreadable_files", "review")]
    assert "2 file(s)" in study.findings[0].message
    assert "file 0046 (an empty file)" in study.findings[0].message


def test_lost_files_of_another_series_are_not_of_the_stack(tmp_path: Path) -> None:
    save(tmp_path / "cine", cine().values())
    other = save(tmp_path / "4ch", cine([0], series="4ch", number=3, description="4ch", phases=12).values())
    for file in names(other)[:PHASES]:
        file.write_bytes(b"")
    assert codes(read_dicom(tmp_path)) == []
    flat = tmp_path / "flat"
    save(flat, cine([0], series="4ch", number=3, description="4ch", phases=12).values())
    save(flat, cine().values())
    for file in names(flat)[1 : 1 + PHASES]:
        file.write_bytes(b"")
    assert codes(read_dicom(flat)) == []


@pytest.mark.parametrize(
    "name",
    [
        "README.txt", "thumbs.db", ".DS_Store", "._0001.dcm", "desktop.ini", "AUTORUN.INF", "viewer/run.exe",
        "report.pdf", "IM0001.jpg", "index.htm", "results/measurements.json", "VERSION", "notes", "empty", "a.xml",
    ],
)  # fmt: skip
@pytest.mark.parametrize("content", [b"", bytes(300), PAGE])
def test_companions_are_no_lost_images(tmp_path: Path, name: str, content: bytes) -> None:
    folder = save(tmp_path, cine().values())
    for copy in range(PHASES):
        file = folder / (name if not copy else f"c{copy}/{name}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    study = read_dicom(folder)
    np.testing.assert_array_equal(study.images[0].data, expected())
    assert codes(study) == []


def test_only_empty_files(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(b"")
    error = refusal(tmp_path)
    assert error.code == "not_found"
    assert "3 are empty, cut or no images any more" in error.cause
