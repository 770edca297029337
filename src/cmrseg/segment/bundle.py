"""A trained model on disk: networks, what they expect, where they come from; verified byte by byte at load.

A bundle is a folder that can be read without this package: ``model.onnx`` (normalised windows to class probabilities
of every ensemble member) and ``locator.onnx``, graphs whose weights lie in ``weights.safetensors``, ``CARD.md``,
``LICENSE``, and ``bundle.json`` with the sha256 of each of them and of itself.
"""

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
from cmrseg.labels import SCHEMES
from cmrseg.segment.engine import Pipeline, Stage
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import Runtime, predictor
from cmrseg.study import Kind

FORMAT_VERSION = 1
MANIFEST = "bundle.json"
REQUIRED_FILES = ("model.onnx", "locator.onnx", "weights.safetensors", "CARD.md", "LICENSE")
#: Bundles that analysis uses when none is named, by kind of image.
DEFAULT_BUNDLES: Mapping[Kind, str] = {"cine": "cine", "lge": "lge"}


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Args:
        path: its folder.
        manifest: content of bundle.json.
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
    def kind(self) -> Kind:
        """Kind of image it segments."""
        kind: Kind = self.manifest["kind"]
        return kind

    @property
    def sha256(self) -> str:
        """Hash of bundle.json, which holds the hash of every other file: identifies the bundle whole."""
        return str(self.manifest["manifest_sha256"])

    def members_that_never_saw(self, case_id: str) -> tuple[int, ...]:
        """Members of the ensemble, counted from 0, that a patient of the training data did not train."""
        splits = self.manifest["member_splits"]
        return tuple(k for k, split in enumerate(splits) if case_id not in split["train"])

    def pipeline(self, runtime: Runtime = "onnx", threads: int | None = None, *, int8: bool = False) -> Pipeline:
        """Load the networks.

        Args:
            runtime: ``onnx`` or ``openvino``.
            threads: CPU threads; all usable cores when None.
            int8: use the quantised segmenter, faster, if the bundle holds one.

        Raises:
            BundleError: a quantised network was asked for and there is none, or a network cannot be run.
        """
        model = "model_int8.onnx" if int8 else "model.onnx"
        if model not in self.manifest["files"]:
            raise BundleError(f"The bundle {self.name} holds no quantised network.", "Leave int8 out.")
        networks = self.manifest["networks"]
        return Pipeline(
            locator=Stage(
                InputSpec(**networks["locator"]["input"]), predictor(self.path / "locator.onnx", runtime, threads)
            ),
            segmenter=Stage(
                InputSpec(**networks["segmenter"]["input"]), predictor(self.path / model, runtime, threads)
            ),
            scheme=SCHEMES[self.manifest["label_scheme"]],
            method=f"{self.name} {self.version}{' int8' if int8 else ''}",
        )


def shipped_bundles() -> dict[str, Path]:
    """Folders of the bundles that ship with the package, by name."""
    root = Path(str(resources.files("cmrseg") / "bundles"))
    return {p.name: p for p in sorted(root.iterdir()) if (p / MANIFEST).is_file()}


def load(name_or_path: str | Path) -> Bundle:
    """Read and verify a bundle.

    Args:
        name_or_path: name of a bundle that ships, or path of a bundle's folder.

    Raises:
        BundleError: nothing there, a file is missing, changed or superfluous, or the format is newer than this code.
    """
    shipped = shipped_bundles()
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if not (path / MANIFEST).is_file():
        raise BundleError(
            f"There is no bundle {str(name_or_path)!r}.",
            f"Bundles that ship: {', '.join(shipped) or 'none'}; or give the folder of one.",
        )
    manifest = read_manifest(path / MANIFEST, FORMAT_VERSION)
    verify_files(path, manifest, MANIFEST, REQUIRED_FILES)
    return Bundle(path, manifest)


def read_manifest(path: Path, format_version: int) -> dict[str, Any]:
    """Content of a manifest, whose own hash is right.

    Raises:
        BundleError: it is damaged, or of another format than this code reads.
    """
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
            "Upgrade cmrseg, or export the bundle again.",
        )
    return manifest


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest, with the hash of everything else in it under ``manifest_sha256``."""
    content = {k: v for k, v in manifest.items() if k != "manifest_sha256"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps(content | {"manifest_sha256": digest}, indent=1, sort_keys=True) + "\n").encode()


def verify_files(path: Path, manifest: Mapping[str, Any], manifest_name: str, required: Sequence[str]) -> None:
    """Compare every file of a bundle's folder with its hash in the manifest.

    Raises:
        BundleError: a file is missing, changed or superfluous.
    """
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
