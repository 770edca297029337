"""A network that takes prompts, on disk and verified byte by byte at load; run without torch.

The folder holds ``encoder.onnx`` (normalised windows to embeddings), ``decoder.onnx`` (embeddings, pixels and
prompts to masks), graphs whose weights lie in ``weights.safetensors``, ``CARD.md``, ``LICENSE``, and
``prompt.json`` with the sha256 of each of them and of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import BundleError
from cmrseg.segment.interactive import WindowPrompts
from cmrseg.segment.manifest import HashedFolder, read_verified, shipped
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import onnx_session

FORMAT_VERSION = 1
MANIFEST = "prompt.json"
REQUIRED_FILES = ("encoder.onnx", "decoder.onnx", "weights.safetensors", "CARD.md", "LICENSE")
#: The bundle that is used when none is named.
DEFAULT_PROMPT_BUNDLE = "prompt"

Floats = NDArray[np.float32]


class OnnxPromptNetwork:
    """The two graphs of a bundle, run by ONNX Runtime on the CPU; a `PromptNetwork`.

    Args:
        folder: that holds the graphs.
        spec: what they expect to see.
        clicks: most clicks of one prompt.
        signature: hash of the bundle.
        method: its name and version.
        threads: CPU threads; all usable cores when None.

    Raises:
        BundleError: a file is not a network that ONNX Runtime can run.
    """

    def __init__(
        self, folder: Path, spec: InputSpec, clicks: int, signature: str, method: str, threads: int | None = None
    ) -> None:
        self.spec, self.clicks, self.signature, self.method = spec, clicks, signature, method
        self._encoder = onnx_session(folder / "encoder.onnx", threads)
        self._decoder = onnx_session(folder / "decoder.onnx", threads)

    def encode(self, images_N1HW: Floats) -> Floats:
        """Embeddings [N, D, h, w] of normalised windows."""
        result: Floats = self._encoder.run(None, {"images": np.ascontiguousarray(images_N1HW)})[0]
        return result

    def decode(self, features_PDhw: Floats, images_P1HW: Floats, prompts: WindowPrompts) -> tuple[Floats, Floats]:
        """Logits [P, H, W] of the mask of each prompt, and its predicted overlap [P] with what was meant."""
        inputs = {
            "features": features_PDhw,
            "images": images_P1HW,
            "places": prompts.places_PN2,
            "labels": prompts.labels_PN,
            "boxes": prompts.boxes_P4,
            "has_box": prompts.has_box_P,
        }
        logits, overlap = self._decoder.run(None, {name: np.ascontiguousarray(v) for name, v in inputs.items()})
        return logits, overlap


@dataclass(frozen=True)
class PromptBundle(HashedFolder):
    """A verified bundle, whose manifest is prompt.json."""

    def network(self, threads: int | None = None) -> OnnxPromptNetwork:
        """Load the graphs.

        Args:
            threads: CPU threads; all usable cores when None.

        Raises:
            BundleError: a graph cannot be run.
        """
        return OnnxPromptNetwork(
            self.path,
            InputSpec(**self.manifest["input"]),
            int(self.manifest["clicks"]),
            self.sha256,
            f"{self.name} {self.version}",
            threads,
        )


def is_prompt_bundle(path: Path) -> bool:
    """True when the path is a folder that claims to be a bundle of this sort."""
    return (path / MANIFEST).is_file()


def shipped_prompt_bundles() -> dict[str, Path]:
    """Folders of the bundles of this sort that ship with the package, by name."""
    return shipped(MANIFEST)


def prompt_bundle_path(name_or_path: str | Path) -> Path:
    """Where a bundle lies: the folder of one that ships, by its name, or the path itself."""
    return shipped_prompt_bundles().get(str(name_or_path), Path(name_or_path))


def load_prompt_bundle(name_or_path: str | Path = DEFAULT_PROMPT_BUNDLE) -> PromptBundle:
    """Read and verify a bundle.

    Args:
        name_or_path: name of one that ships, or path of a bundle's folder.

    Raises:
        BundleError: nothing there, a file is missing, changed or superfluous, or the format is newer than this code.
    """
    path = prompt_bundle_path(name_or_path)
    if not is_prompt_bundle(path):
        raise BundleError(
            f"There is no bundle {str(name_or_path)!r} that takes prompts.",
            f"Bundles that ship: {', '.join(shipped_prompt_bundles()) or 'none'}; or give the folder of one.",
        )
    return PromptBundle(path, read_verified(path, MANIFEST, FORMAT_VERSION, REQUIRED_FILES))
