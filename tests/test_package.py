"""The package as a whole: what importing it costs, what it may import, what the installation holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest

import cmrseg

INSTALLED = Path(cmrseg.__file__).parent
CHECKOUT = Path(__file__).parents[1] / "src" / "cmrseg"
HEAVY = ("torch", "onnxruntime", "openvino", "onnx")
#: Rooms that the analysis runs through, in the order of the line; none may import torch, or a room after itself.
LINE = ("io", "segment", "quantify", "qc", "report", "pipeline")
TORCH_FREE = (*LINE, "phantom")
#: What a base installation may take on disk, dependencies included.
MAX_INSTALL_BYTES = 500e6


def imported_names(tree: ast.AST, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a module imports; ``from a import b`` gives ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in _statements(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs on import: all but the bodies of functions and of ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _statements(node)


def imports_of(source: str, package: str, **options: bool) -> bool:
    """Whether a module's source imports a package or anything within it."""
    return any(n == package or n.startswith(f"{package}.") for n in imported_names(ast.parse(source), **options))


def modules(room: str) -> list[Path]:
    """Source files of a room, a room being a folder or one module of the package."""
    folder = INSTALLED / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [INSTALLED / f"{room}.py"]


@pytest.mark.parametrize(
    ("source", "everywhere", "on_import"),
    [
        ("import torch", True, True),
        ("import torch.nn as nn", True, True),
        ("from torch import nn", True, True),
        ("def f():\n    from torch.nn import functional", True, False),
        ("class A:\n    import torch", True, True),
        ("if TYPE_CHECKING:\n    import torch", True, False),
        ("import torchlike\nfrom . import torch", False, False),
    ],
)
def test_the_import_checker_sees_what_it_must(source: str, everywhere: bool, on_import: bool) -> None:
    assert imports_of(source, "torch") is everywhere
    assert imports_of(source, "torch", top_level_only=True) is on_import


@pytest.mark.parametrize("room", [*TORCH_FREE, "geometry", "labels", "study", "errors", "__init__"])
def test_the_analysis_never_imports_torch(room: str) -> None:
    guilty = [p.name for p in modules(room) if imports_of(p.read_text("utf-8"), "torch")]
    assert not guilty


def test_the_command_line_imports_nothing_heavy_at_its_top() -> None:
    guilty = [
        (path.name, heavy)
        for path in modules("cli")
        for heavy in HEAVY
        if imports_of(path.read_text("utf-8"), heavy, top_level_only=True)
    ]
    assert not guilty


@pytest.mark.parametrize("room", LINE)
def test_no_room_of_the_line_imports_a_later_one(room: str) -> None:
    later = LINE[LINE.index(room) + 1 :]
    guilty = [
        (path.name, other)
        for path in modules(room)
        for other in later
        if imports_of(path.read_text("utf-8"), f"cmrseg.{other}")
    ]
    assert not guilty


@pytest.mark.parametrize("module", ["cmrseg", "cmrseg.cli.main"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_analysis_does_not_load_what_it_has_no_use_for() -> None:
    """More than half a second of imports, for a function each."""
    unused = ("scipy.signal", "scipy.stats", "scipy.spatial", "onnxruntime")
    code = f"import cmrseg.pipeline.analyse, sys; print(*(m for m in {unused!r} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_help_answers_within_a_second() -> None:
    """Processor time, so that a busy machine does not fail it; the best of three, so that bytecode is written."""
    code = (
        "import subprocess, sys, resource\n"
        "subprocess.run([sys.argv[1], '--help'], check=True, capture_output=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    command = str(Path(sys.executable).with_name("cmrseg"))
    runs = [
        subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    ]
    assert min(float(seconds) for seconds in runs) <= 1.0


def test_every_entry_point_imports() -> None:
    points = [p for p in metadata.distribution("cmrseg").entry_points if p.group == "console_scripts"]
    assert [p.name for p in points] == ["cmrseg"]
    assert all(callable(point.load()) for point in points)


def test_the_installation_holds_what_is_not_code() -> None:
    package = files("cmrseg")
    assert package.joinpath("py.typed").is_file()
    assert any(entry.is_file() for entry in package.joinpath("report", "templates").iterdir())
    bundles = [entry for entry in package.joinpath("bundles").iterdir() if entry.joinpath("bundle.json").is_file()]
    assert bundles
    for bundle in bundles:
        for name in ("model.onnx", "weights.safetensors", "CARD.md", "LICENSE"):
            assert bundle.joinpath(name).is_file(), f"{bundle.name} lacks {name}"


@pytest.mark.skipif(not CHECKOUT.is_dir(), reason="the tests do not lie in a checkout")
def test_the_installation_is_the_whole_checkout() -> None:
    """A folder that the build forgets, or a wheel that is older than the checkout, shows here."""

    def content(root: Path) -> dict[str, bytes]:
        paths = (p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}

    installed, checkout = content(INSTALLED), content(CHECKOUT)
    assert sorted(installed) == sorted(checkout)
    assert not [name for name in checkout if installed[name] != checkout[name]]


def test_a_base_installation_is_small() -> None:
    """Bytes of the package and of everything its base dependencies bring, as the installers recorded them."""
    names = _closure("cmrseg")
    assert "numpy" in names
    assert "torch" not in names
    sizes = {name: _bytes_of(name) for name in names}
    assert sizes["numpy"] > 1e6
    assert sum(sizes.values()) <= MAX_INSTALL_BYTES, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def _closure(name: str) -> set[str]:
    """Normalised names of a distribution and all that it requires here, extras left out."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        here = waiting.pop().lower().replace("_", "-")
        if here in found:
            continue
        try:
            requirements = metadata.requires(here) or []
        except metadata.PackageNotFoundError:
            continue  # meant for another system or Python
        found.add(here)
        for requirement in requirements:
            if "extra ==" not in requirement:
                end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
                waiting.append(requirement[:end])
    return found


def _bytes_of(name: str) -> int:
    paths = [Path(str(f.locate())) for f in metadata.files(name) or [] if f.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())
