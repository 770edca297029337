"""Embeddings of image windows, kept in memory and, where a folder is given, on disk.

A file is named by the signature of what it holds, and carries the hash of its own numbers: of another image, another
bundle or another version none is ever used, nor a damaged one. Files hold what a network made of patients' images; who
names the folder decides who reads them. They may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmrseg.io.files import output_file

#: Embeddings kept in memory; the one used longest ago goes first.
IN_MEMORY = 256

Floats = NDArray[np.float32]


class EmbeddingCache:
    """Embeddings by signature.

    Args:
        folder: where they are kept between sessions; made when the first is written. None for memory alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.computed = 0
        """Embeddings that had to be computed."""
        self._memory: OrderedDict[str, Floats] = OrderedDict()

    def get(self, key: str, compute: Callable[[], Floats]) -> Floats:
        """The embedding of a signature; computed, and kept, where there is none.

        Raises:
            OutputError: the folder cannot be written.
        """
        found = self._memory.get(key)
        if found is None and self.folder is not None:
            found = _read(self.folder / f"{key}.npz")
        if found is None:
            found = compute()
            self.computed += 1
            if self.folder is not None:
                _write(self.folder / f"{key}.npz", found)
        self._memory[key] = found
        self._memory.move_to_end(key)
        while len(self._memory) > IN_MEMORY:
            self._memory.popitem(last=False)
        return found


def _read(path: Path) -> Floats | None:
    """The numbers of a file that is whole; None where there is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            embedding, digest = file["embedding"], str(file["sha256"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return embedding if embedding.dtype == np.float32 and _digest(embedding) == digest else None


def _write(path: Path, embedding: Floats) -> None:
    with output_file(path) as partial, partial.open("wb") as file:
        np.savez(file, embedding=embedding, sha256=np.array(_digest(embedding)))


def _digest(embedding: Floats) -> str:
    return hashlib.sha256(str(embedding.shape).encode() + np.ascontiguousarray(embedding).tobytes()).hexdigest()
