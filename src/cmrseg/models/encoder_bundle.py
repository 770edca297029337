"""A pre-trained image encoder on disk: weights, what they saw, and under which terms; verified byte by byte at load.

The folder holds ``weights.safetensors`` (half precision, names of SAM's image encoder), ``CARD.md``, ``LICENSE`` and
``encoder.json`` with the sha256 of each of them and of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmrseg
from cmrseg.errors import BundleError
from cmrseg.io.files import output_folder, sha256_of
from cmrseg.models.sam.config import ImageEncoderConfig
from cmrseg.segment.manifest import HashedFolder, read_verified, shipped, write_manifest

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
MANIFEST = "encoder.json"
WEIGHTS = "weights.safetensors"
FILES = (WEIGHTS, "CARD.md", "LICENSE")


@dataclass(frozen=True)
class EncoderBundle(HashedFolder):
    """A verified encoder bundle, whose manifest is encoder.json.

    Args:
        config: the encoder that the weights fit.
    """

    config: ImageEncoderConfig

    @property
    def version(self) -> str:
        """Version of the cmrseg that made it."""
        return str(self.manifest["code_version"])

    def weights(self) -> dict[str, Tensor]:
        """Tensors by SAM's names, float32."""
        from safetensors.torch import load_file

        return {name: tensor.float() for name, tensor in load_file(self.path / WEIGHTS).items()}


def is_encoder_bundle(path: Path) -> bool:
    """True when the path is a folder that claims to be an encoder bundle."""
    return (path / MANIFEST).is_file()


def shipped_encoders() -> dict[str, Path]:
    """Folders of the encoder bundles that ship with the package, by name."""
    return shipped(MANIFEST)


def encoder_path(name_or_path: str) -> Path:
    """Where the weights of an encoder lie: the folder of one that ships, by its name, or the path itself."""
    return shipped_encoders().get(name_or_path, Path(name_or_path))


def write_encoder_bundle(
    target: Path,
    config: ImageEncoderConfig,
    weights: Mapping[str, Tensor],
    description: Mapping[str, Any],
    documents: Mapping[str, str],
) -> None:
    """Write an encoder bundle; the folder appears whole or not at all.

    Args:
        target: folder to make; must not exist, or be empty.
        config: the encoder.
        weights: its tensors by SAM's names; floating ones are stored in half precision.
        description: what else stands in encoder.json: ``name``, ``licence_id``, ``data``, ``training``, ``losses``.
        documents: text of ``CARD.md`` and ``LICENSE``.

    Raises:
        BundleError: a weight that half precision cannot hold.
        OutputError: the target exists, or writing failed.
    """
    import torch
    from safetensors.torch import save_file

    halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in weights.items()}
    broken = [name for name, tensor in halves.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise BundleError(f"These weights are not finite in half precision: {', '.join(broken)}.", "Train again.")
    with output_folder(target) as folder:
        save_file(halves, folder / WEIGHTS)
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
        manifest = {
            "format_version": FORMAT_VERSION,
            "code_version": cmrseg.__version__,
            "encoder": asdict(config),
            "files": {name: sha256_of(folder / name) for name in FILES},
            **description,
        }
        write_manifest(folder / MANIFEST, manifest)


def read_encoder_bundle(path: Path) -> EncoderBundle:
    """Read and verify an encoder bundle.

    Raises:
        BundleError: nothing there, a file is missing, changed or superfluous, or the format is newer than this code.
    """
    if not is_encoder_bundle(path):
        raise BundleError(f"{path.name} is no encoder bundle.", f"Give a folder with {MANIFEST}, as pretrain makes it.")
    manifest = read_verified(path, MANIFEST, FORMAT_VERSION, FILES)
    sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in manifest["encoder"].items()}
    return EncoderBundle(path, manifest, ImageEncoderConfig(**sizes))
