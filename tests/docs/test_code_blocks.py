"""The code of the documentation runs: Python blocks, and commands that stand behind ``$`` in console blocks.

Every page runs in a folder of its own that holds what pages speak of: ``study`` (a synthetic heart as DICOM), its
``masks.nii.gz``, and ``results/study``, its analysis. Blocks of a page run one after another and share their names.
Blocks that cannot run here (installing, training) are marked as text and start with no ``$``.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from docpages import PAGES, ROOT, Block, blocks
from typer.testing import CliRunner

from cmrseg import phantom
from cmrseg.cli.common import EXIT_DONE, EXIT_REVIEW
from cmrseg.cli.main import app
from cmrseg.phantom import HeartSpec, make_phantom, write_dicom

#: What quality control says of a heart depends on the bundle; commands must answer, and not fail.
MAY_ASK_FOR_A_LOOK = (EXIT_DONE, EXIT_REVIEW)
LANGUAGES = {"python", "console", "text"}
#: A heart that is analysed quickly, in the place of the demo's; closeness to the truth is tested elsewhere.
QUICK = HeartSpec(phases=6)


def runs(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("python", "console")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, its masks and its analysis."""
    folder = tmp_path_factory.mktemp("docs")
    write_dicom(make_phantom(QUICK), folder / "study")
    result = CliRunner().invoke(app, ["analyse", str(folder / "study"), "-o", str(folder / "results"), "--quiet"])
    assert result.exit_code in MAY_ASK_FOR_A_LOOK, result.output
    shutil.copy(folder / "results" / "study" / "cine_segmentation.nii.gz", folder / "masks.nii.gz")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if runs(p)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_code_of_the_page_runs(page: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(workplace, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(phantom, "make_phantom", lambda spec=QUICK: make_phantom(spec))
    names: dict[str, Any] = {"__name__": "__docs__"}
    for block in runs(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.language == "python":
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, str(page), "exec"), names)
            continue
        for line in block.text.splitlines():
            if line.startswith("$ "):
                program, *arguments = shlex.split(line[2:])
                assert program == "cmrseg", f"{where}: only cmrseg runs here: {line}"
                result = CliRunner().invoke(app, arguments)
                assert result.exit_code in MAY_ASK_FOR_A_LOOK, f"{where}: {line}\n{result.output}"
                assert not isinstance(result.exception, Exception), result.exception


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}:{block.line} needs a language"
        if block.language == "console":
            assert any(line.startswith("$ ") for line in block.text.splitlines())
