"""A base installation: every command says which extra it needs, and those that need none work."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from docpages import ROOT

from cmrseg.cli.main import app
from cmrseg.errors import MissingPackage, UsageError
from cmrseg.extras import EXTRA_OF, is_installed, missing

#: Runs the command with the modules of all extras hidden, as an installation without them would.
RUN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
BLOCKED = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Hidden())
from cmrseg.cli.main import run
run()
"""


def base(*arguments: str, blocked: str = ",".join(EXTRA_OF)) -> subprocess.CompletedProcess[str]:
    """A command without any of the extras."""
    command = [sys.executable, "-c", RUN, blocked, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _names(command: Any, name: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        return [name]
    return [name, *(n for key, sub in command.commands.items() for n in _names(sub, (*name, key)))]


COMMANDS = _names(typer.main.get_command(app), ())


def test_help_of_every_command_needs_no_extra() -> None:
    code = RUN.replace(
        "run()\n",
        "import typer.main\nfrom cmrseg.cli.main import app\n"
        f"for name in {COMMANDS!r}:\n"
        "    try:\n        app([*name, '--help'])\n"
        "    except SystemExit as done:\n        assert not done.code, (name, done.code)\n",
    )
    done = subprocess.run([sys.executable, "-c", code, ",".join(EXTRA_OF)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(COMMANDS) >= 20


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("train", ("experiment", "list")),
        ("train", ("experiment", "cardiosam-main", "-o", "OUT")),
        ("train", ("train", "cine", "DATA", "-o", "OUT")),
        ("train", ("train", "prompt", "DATA", "-o", "OUT")),
        ("train", ("pretrain", "DATA", "-o", "OUT")),
        ("train", ("tune", "cine", "DATA", "-o", "OUT")),
        ("train", ("models", "export", "OUT", "--segmenter", "DATA", "--locator", "DATA", "--data", "DATA")),
        ("train", ("models", "export-prompt", "OUT", "--run", "DATA", "--data", "DATA")),
        ("parquet", ("features", "DATA", "-o", "OUT.parquet")),
        ("openvino", ("analyse", "DATA", "-o", "OUT", "--runtime", "openvino")),
    ],
)
def test_a_command_that_needs_an_extra_names_it(extra: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "DATA").mkdir()
    done = base(*(a.replace("OUT", str(tmp_path / "out")).replace("DATA", str(tmp_path / "DATA")) for a in arguments))
    assert done.returncode == 2, done.stderr
    assert f"pip install 'cmrseg[{extra}]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["DATA"]


@pytest.mark.parametrize("arguments", [("doctor",), ("models", "list"), ("models", "verify", "prompt")])
def test_a_command_that_needs_none_works_without(arguments: tuple[str, ...]) -> None:
    done = base(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_analysis_needs_no_extra(tmp_path: Path) -> None:
    assert base("phantom", str(tmp_path / "p"), "--small", "--lge").returncode == 0
    measured = base(
        "measure", str(tmp_path / "p" / "study"), str(tmp_path / "p" / "masks.nii.gz"), "-o", str(tmp_path / "o")
    )
    assert measured.returncode in (0, 3), measured.stderr
    table = base("features", str(tmp_path / "o"), "-o", str(tmp_path / "t.csv"))
    assert table.returncode == 0, table.stderr


def test_every_package_of_an_extra_is_known_by_its_module() -> None:
    """Distributions and modules may differ in name; pyjpegls and gdcm are found by pydicom, which names them itself."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for module, extra in EXTRA_OF.items():
        assert any(requirement.startswith(module) for requirement in extras[extra]), module
    known = set(EXTRA_OF.values())
    assert known == set(extras) - {"jpeg", "test", "lint", "dev"}


def test_what_is_missing_is_told_from_what_is_broken() -> None:
    torch = missing(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert isinstance(torch, MissingPackage)
    assert isinstance(torch, UsageError)
    assert torch.exit_code == 2
    assert "cmrseg[train]" in torch.remedy
    cannot_load = missing(ImportError("libcudart.so", name="torch._C"))
    assert cannot_load is not None
    other = missing(ModuleNotFoundError("No module named 'scipy'", name="scipy"))
    assert other is not None
    assert "scipy" in other.cause
    assert missing(ModuleNotFoundError("No module named 'cmrseg.x'", name="cmrseg.x")) is None
    assert missing(ImportError("cannot import name")) is None
    assert is_installed("numpy")
    assert not is_installed("surely_not_installed")
