"""What the tests share: where the real patients are, and one small phantom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmrseg.phantom import Phantom, make_phantom, tiny


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real patients; skips where CMRSEG_DATA does not name one."""
    folder = os.environ.get("CMRSEG_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CMRSEG_DATA does not name the folder of real patients")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_phantom() -> Phantom:
    """A small beating heart of known volumes: 6 phases, 8 slices of 64 x 64 pixels, oblique."""
    return make_phantom(tiny())
