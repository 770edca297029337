"""Broken studies through the command a user types: a named reason each, exit code 1, and nothing on the disk."""

from __future__ import annotations

from pathlib import Path

from broken_corpus import FAULTS, OPENED, whole_studies
from broken_studies import EITHER, FLAGGED, HARMLESS, write_files
from typer.testing import CliRunner

from cmrseg.cli.main import app

#: Every so manieth fault that must be refused; all of them are read in test_broken_studies.
STEP = 3
SAMPLE = [f for f in FAULTS if f.outcome not in (EITHER, FLAGGED, HARMLESS)][::STEP]


def test_broken_studies_are_each_refused_by_name_and_leave_nothing(tmp_path: Path) -> None:
    assert len(SAMPLE) > 30
    paths = []
    for number, fault in enumerate(SAMPLE):
        root = tmp_path / "in" / f"{number:03d}"
        write_files(fault.change(whole_studies()[fault.base]), root)
        opened = root / OPENED[fault.base]
        suffix = "." + fault.base if opened.suffix else ""
        if opened.exists():
            opened = opened.rename(root / f"case{number:03d}{suffix}")
        paths.append(opened)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["analyse", *map(str, paths), "-o", str(out)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    lines = [line for line in result.output.splitlines() if line.startswith("error [")]
    for path, fault, line in zip(paths, SAMPLE, lines, strict=True):
        assert path.name in line
        assert any(f"[{code}]" in line for code in fault.outcome), f"{fault.name}: {line}"
    assert not out.exists() or list(out.iterdir()) == []
