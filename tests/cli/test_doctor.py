"""`cmrseg doctor` finds what is missing and what is damaged."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from cmrseg.cli import doctor
from cmrseg.cli.common import EXIT_DONE, EXIT_REFUSED
from cmrseg.io.files import sha256_of
from cmrseg.segment import bundle
from cmrseg.segment.manifest import manifest_bytes


@pytest.fixture(autouse=True)
def made_up_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only bundle that ships, whole, in a folder of the test."""
    folder = tmp_path / "made-up"
    folder.mkdir()
    for name in bundle.REQUIRED_FILES:
        (folder / name).write_text(f"content of {name}")
    files = {name: sha256_of(folder / name) for name in bundle.REQUIRED_FILES}
    manifest = {"format_version": bundle.FORMAT_VERSION, "name": "made-up", "version": "7", "files": files}
    (folder / bundle.MANIFEST).write_bytes(manifest_bytes(manifest))
    monkeypatch.setattr(bundle, "shipped_bundles", lambda: {"made-up": folder})
    return folder


def ask(*arguments: str) -> Result:
    app = Typer()
    app.command()(doctor.doctor_command)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def answer() -> tuple[int, dict[str, Any]]:
    result = ask("--json")
    return result.exit_code, json.loads(result.stdout)


def status_of(content: dict[str, Any], name: str) -> str:
    (check,) = (c for c in content["checks"] if c["name"] == name)
    return check["status"]


def test_a_whole_installation_is_healthy() -> None:
    code, content = answer()
    assert (code, content["healthy"]) == (EXIT_DONE, True)
    assert status_of(content, "numpy") == "ok"
    assert status_of(content, "made-up") == "ok"
    assert not [c for c in content["checks"] if c["group"] == "packages" and "torch" in c["name"]]


def test_a_changed_byte_in_a_bundle_is_found(made_up_bundle: Path) -> None:
    model = made_up_bundle / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    code, content = answer()
    assert (code, content["healthy"]) == (EXIT_REFUSED, False)
    assert status_of(content, "made-up") == "damaged"


def test_no_bundle_at_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "shipped_bundles", dict)
    code, content = answer()
    assert (code, content["healthy"]) == (EXIT_REFUSED, False)


def test_a_missing_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_scipy(name: str) -> str:
        if name == "scipy":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_scipy)
    code, content = answer()
    assert (code, status_of(content, "scipy")) == (EXIT_REFUSED, "missing")


def test_a_missing_extra_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_torch(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_torch)
    code, content = answer()
    assert (code, status_of(content, "train")) == (EXIT_DONE, "optional")
    (check,) = (c for c in content["checks"] if c["name"] == "train")
    assert "cmrseg[train]" in check["detail"]


def test_the_table_for_people_names_every_check() -> None:
    result = ask()
    assert result.exit_code == EXIT_DONE
    assert "can analyse studies" in result.stdout
    for name in ("python", "numpy", "train", "made-up"):
        assert name in result.stdout


def test_every_extra_of_the_package_that_users_want_is_explained() -> None:
    offered = set(metadata.metadata("cmrseg").get_all("Provides-Extra"))
    assert offered - set(doctor.EXTRAS) == {"dev", "lint", "test"}
    assert set(doctor.EXTRAS) <= offered
