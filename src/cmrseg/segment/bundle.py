"""A trained model on disk: networks, what they expect, where they come from; verified byte by byte at load.

A bundle is a folder that can be read without this package: ``model.onnx`` (normalised windows to class probabilities
of every ensemble member) and ``locator.onnx``, graphs whose weights lie in ``weights.safetensors``, ``CARD.md``,
``LICENSE``, and ``bundle.json`` with the sha256 of each of them and of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmrseg.errors import BundleError
from cmrseg.labels import DRAWN_IN, SCHEMES, WORDS
from cmrseg.segment.engine import Pipeline, Stage
from cmrseg.segment.manifest import HashedFolder, read_verified, shipped
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import Runtime, predictor
from cmrseg.study import Kind

FORMAT_VERSION = 1
MANIFEST = "bundle.json"
INT8_MODEL = "model_int8.onnx"
REQUIRED_FILES = ("model.onnx", "locator.onnx", "weights.safetensors", "CARD.md", "LICENSE")
#: Bundles that analysis uses when none is named, by kind of image.
DEFAULT_BUNDLES: Mapping[Kind, str] = {"cine": "cine", "lge": "lge"}


@dataclass(frozen=True)
class Bundle(HashedFolder):
    """A verified bundle, whose manifest is bundle.json."""

    @property
    def kind(self) -> Kind:
        """Kind of image it segments."""
        kind: Kind = self.manifest["kind"]
        return kind

    @property
    def has_int8(self) -> bool:
        """Whether it holds a quantised segmenter, which it does where accuracy stays."""
        return INT8_MODEL in self.manifest["files"]

    @property
    def assesses(self) -> frozenset[str]:
        """Structures of the label scheme that the networks learned from masks which people drew.

        A manifest that does not say so (``assesses``) names the layout of the patients who trained each network: what
        is drawn in that layout counts, and in that of the cines that images were generated of. What every member
        learned counts. A layout that this version does not know counts for all but no-reflow and oedema, which few data
        sets hold.
        """
        known = frozenset(SCHEMES[self.manifest["label_scheme"]].foreground_names)
        stated = self.manifest.get("assesses")
        if stated is not None:
            return known & frozenset(stated)
        return known.intersection(*(_drawn(training["data"], known) for training in self.manifest["training"]))

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
        if int8 and not self.has_int8:
            raise BundleError(f"The bundle {self.name} holds no quantised network.", "Leave int8 out.")
        model = INT8_MODEL if int8 else "model.onnx"
        networks, scheme = self.manifest["networks"], SCHEMES[self.manifest["label_scheme"]]
        method = f"{self.name} {self.version}{' int8' if int8 else ''}"
        return Pipeline(
            locator=Stage(
                InputSpec(**networks["locator"]["input"]), predictor(self.path / "locator.onnx", runtime, threads)
            ),
            segmenter=Stage(
                InputSpec(**networks["segmenter"]["input"]), predictor(self.path / model, runtime, threads)
            ),
            scheme=scheme,
            method=method,
            not_assessed={
                name: f"The networks of {method} were never trained on {WORDS[name]} that people had drawn."
                for name in scheme.foreground_names
                if name not in self.assesses
            },
        )


def _drawn(data: Mapping[str, Any], known: frozenset[str]) -> frozenset[str]:
    """What people drew in the data sets that a training names."""
    layouts = [data["layout"]]
    generated = data.get("generated") or {}
    if generated.get("cine"):
        layouts.append(generated["layout"])
    names: set[str] = set()
    for layout in layouts:
        scheme = DRAWN_IN.get(layout)
        names |= set(scheme.foreground_names) if scheme else known - {"no_reflow", "oedema"}
    return frozenset(names)


def shipped_bundles() -> dict[str, Path]:
    """Folders of the bundles that ship with the package, by name."""
    return shipped(MANIFEST)


def load(name_or_path: str | Path) -> Bundle:
    """Read and verify a bundle.

    Args:
        name_or_path: name of a bundle that ships, or path of a bundle's folder.

    Raises:
        BundleError: nothing there, a file is missing, changed or superfluous, or the format is newer than this code.
    """
    known = shipped_bundles()
    path = known.get(str(name_or_path), Path(name_or_path))
    if not (path / MANIFEST).is_file():
        raise BundleError(
            f"There is no bundle {str(name_or_path)!r}.",
            f"Bundles that ship: {', '.join(known) or 'none'}; or give the folder of one.",
        )
    return Bundle(path, read_verified(path, MANIFEST, FORMAT_VERSION, REQUIRED_FILES))
