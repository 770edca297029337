"""Folders whose manifest holds the hash of every file in them and of itself: every bundle is one, of whatever sort."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cmrseg.errors import BundleError
from cmrseg.io.files import sha256_of


@dataclass(frozen=True)
class HashedFolder:
    """A verified folder.

    Args:
        path: where it lies.
        manifest: content of its manifest.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return str(self.manifest["version"])

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hash of every other file: identifies the bundle whole."""
        return str(self.manifest["manifest_sha256"])


def shipped(manifest_name: str) -> dict[str, Path]:
    """Folders with such a manifest that ship with the package, by name."""
    root = Path(str(resources.files("cmrseg") / "bundles"))
    return {p.name: p for p in sorted(root.iterdir()) if (p / manifest_name).is_file()}


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest, with the hash of everything else in it under ``manifest_sha256``."""
    content = {k: v for k, v in manifest.items() if k != "manifest_sha256"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps(content | {"manifest_sha256": digest}, indent=1, sort_keys=True) + "\n").encode()


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest; tuples in it become lists first, as whoever reads it will find them."""
    path.write_bytes(manifest_bytes(json.loads(json.dumps(manifest))))


def read_verified(path: Path, manifest_name: str, format_version: int, required: Sequence[str]) -> dict[str, Any]:
    """Content of a folder's manifest, when every byte of the folder is as the manifest says.

    Args:
        path: the folder.
        manifest_name: of the file in it.
        format_version: the one that this code reads.
        required: files that must be there.

    Raises:
        BundleError: the manifest is damaged or of another format; a file is missing, changed or superfluous.
    """
    manifest = _read(path / manifest_name, format_version)
    expected: Mapping[str, str] = manifest["files"]
    present = {p.name for p in path.iterdir()} - {manifest_name}
    wrong = [name for name in required if name not in expected]
    wrong += sorted(present ^ set(expected))
    wrong += [n for n in sorted(present & set(expected)) if sha256_of(path / n) != expected[n]]
    if wrong:
        raise BundleError(
            f"In the bundle {path.name!r} these files are missing or changed: {', '.join(dict.fromkeys(wrong))}.",
            "Install it again; a changed network is never run.",
        )
    return manifest


def _read(path: Path, format_version: int) -> dict[str, Any]:
    damaged = BundleError(f"{path.name} is damaged or was changed by hand.", "Install the bundle again.")
    try:
        raw = path.read_bytes()
        manifest = json.loads(raw)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise damaged from error
    if not isinstance(manifest, dict) or raw != manifest_bytes(manifest):
        raise damaged
    if manifest.get("format_version") != format_version:
        raise BundleError(
            f"The bundle has format {manifest.get('format_version')}, this version of cmrseg reads {format_version}.",
            "Upgrade cmrseg, or make the bundle again.",
        )
    return manifest
