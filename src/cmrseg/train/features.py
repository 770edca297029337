"""Features of a frozen encoder, computed once and kept on disk.

An entry is one image's features in half precision, in a file named by the hash of everything that decides them: the
bytes of the encoder's input, the weights and sizes of the encoder, and the format of this cache. A changed image or
weight therefore finds nothing and is computed anew; nothing is ever out of date. Entries hold the hash of their own
bytes: one that was damaged is computed anew too. Files appear whole or not at all, so that several processes may share
a folder. Images that augmentation changes at every sight are never found again: cache what repeats.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cmrseg.errors import OutputError, UsageError
from cmrseg.io.files import output_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT_VERSION = 1
_NAME = "features"
_DIGEST = "sha256"
_SUFFIX = ".safetensors"


def encoder_signature(encoder: nn.Module, config: DataclassInstance) -> str:
    """SHA-256 of an encoder's weights and sizes, in hexadecimal: what a cache must be told to trust its entries.

    Args:
        encoder: its `state_dict` is hashed: names, types, shapes, bytes.
        config: what else decides its features, such as heads and windows.
    """
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name}:".encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


class FeatureCache:
    """Features of one frozen encoder, by the content of its input.

    Args:
        folder: where entries lie; made if it is not there. Several encoders may share it.
        signature: of the encoder; see `encoder_signature`.
    """

    def __init__(self, folder: Path, signature: str) -> None:
        self.folder = folder
        self.signature = signature
        self.hits = 0
        """Images found so far."""
        self.misses = 0
        """Images computed so far, the damaged ones among them."""
        self.damaged = 0
        """Entries found damaged so far, and computed anew."""
        folder.mkdir(parents=True, exist_ok=True)

    def features(self, inputs_BCHW: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Features float32[B, ...] of a batch: kept ones from disk, the others computed, kept, and given as kept.

        Every value passes through half precision, also at first sight, so that a result does not depend on what
        was there before.

        Args:
            inputs_BCHW: what the encoder is given. An empty batch is encoded and nothing kept.
            encode: the frozen encoder; is given the images that are missing, together.

        Raises:
            UsageError: it gives another number of images back, or values that half precision cannot hold.
            OutputError: an entry could not be written.
        """
        if len(inputs_BCHW) == 0:
            return encode(inputs_BCHW).float()
        keys = [self.key(image) for image in inputs_BCHW]
        found = {key: self._read(key) for key in dict.fromkeys(keys)}
        missing = [key for key, value in found.items() if value is None]
        if missing:
            with torch.no_grad():
                computed = encode(inputs_BCHW[[keys.index(key) for key in missing]]).half().cpu()
            if len(computed) != len(missing) or not bool(torch.isfinite(computed).all()):
                raise UsageError(
                    f"The encoder gave {len(computed)} features for {len(missing)} images, or values beyond half "
                    "precision.",
                    "Check its weights and its input.",
                )
            for key, value in zip(missing, computed, strict=True):
                self._write(key, value)
                found[key] = value
        self.misses += len(missing)
        self.hits += len(found) - len(missing)
        return torch.stack([value for key in keys if (value := found[key]) is not None]).to(inputs_BCHW.device).float()

    def key(self, image_CHW: Tensor) -> str:
        """Name of an image's entry: SHA-256 of the image's bytes, type and shape, the encoder, and the format."""
        digest = hashlib.sha256(f"{FORMAT_VERSION}:{self.signature}:".encode())
        digest.update(_bytes_of(image_CHW))
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries in the folder, those of other encoders among them."""
        return sum(path.stat().st_size for path in self.folder.glob(f"*/*{_SUFFIX}"))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _read(self, key: str) -> Tensor | None:
        """An entry, memory-mapped; None where there is none or it is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                value: Tensor = file.get_tensor(_NAME)
                digest = (file.metadata() or {}).get(_DIGEST)
        except (SafetensorError, OSError):
            digest = None
        if digest is None or digest != hashlib.sha256(_bytes_of(value)).hexdigest():
            self.damaged += 1
            return None
        return value

    def _write(self, key: str, value: Tensor) -> None:
        path = self._path(key)
        value = value.contiguous().clone()
        try:
            with output_file(path) as partial:
                save_file({_NAME: value}, partial, {_DIGEST: hashlib.sha256(_bytes_of(value)).hexdigest()})
        except SafetensorError as error:
            raise OutputError(
                f"Features could not be kept ({type(error).__name__}).", "Check free space and permissions."
            ) from error


def _bytes_of(tensor: Tensor) -> bytes:
    """Type, shape and bytes."""
    plain = tensor.detach().cpu().contiguous()
    header = f"{plain.dtype}{list(plain.shape)}".encode()
    return header + plain.reshape(-1).view(torch.uint8).numpy().tobytes()
