"""Packages that only some commands need, and which extra of cmrseg brings each."""

from __future__ import annotations

import importlib.util

from cmrseg.errors import MissingPackage

#: Extra that brings a module: ``pip install 'cmrseg[EXTRA]'``.
EXTRA_OF = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxscript": "train",
    "optuna": "tune",
    "transformers": "sam2",
    "nnunetv2": "nnunet",
    "tensorboard": "tensorboard",
    "matplotlib": "figures",
    "h5py": "hdf5",
    "pyarrow": "parquet",
    "openvino": "openvino",
    "ultralytics": "ultralytics",
}


def is_installed(module: str) -> bool:
    """Whether a package can be found here; nothing is imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def missing(error: ImportError) -> MissingPackage | None:
    """What to install where an import failed; None where the module that is missing is cmrseg's own, or not named."""
    package = (error.name or "").partition(".")[0]
    if not package or package == "cmrseg":
        return None
    if package in EXTRA_OF:
        return MissingPackage(
            f"This needs the package {package}, which is not installed or cannot be loaded.",
            f"Install it: pip install 'cmrseg[{EXTRA_OF[package]}]'.",
        )
    if isinstance(error, ModuleNotFoundError):
        return MissingPackage(
            f"The package {package} is not installed.",
            "`cmrseg doctor` shows what cmrseg needs; pip install --upgrade cmrseg brings it.",
        )
    return None
