"""cmrseg: from a cardiac MR study to numbers a cardiologist reads. Research use; not a medical device.

    import cmrseg
    analysis, folder = cmrseg.analyse("study", "results")

Importing the package loads neither torch nor ONNX Runtime; the names below are fetched when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cmrseg.analysis import AnalyseOptions, Analyser, analyse
    from cmrseg.drawn_masks import measure_masks
    from cmrseg.errors import CmrsegError, InputRefused
    from cmrseg.io import read
    from cmrseg.study import Analysis, Image, Segmentation, Study

_HOMES = {
    "AnalyseOptions": "cmrseg.analysis",
    "Analyser": "cmrseg.analysis",
    "Analysis": "cmrseg.study",
    "CmrsegError": "cmrseg.errors",
    "Image": "cmrseg.study",
    "InputRefused": "cmrseg.errors",
    "Segmentation": "cmrseg.study",
    "Study": "cmrseg.study",
    "analyse": "cmrseg.analysis",
    "measure_masks": "cmrseg.drawn_masks",
    "read": "cmrseg.io",
}

__all__ = [
    "AnalyseOptions",
    "Analyser",
    "Analysis",
    "CmrsegError",
    "Image",
    "InputRefused",
    "Segmentation",
    "Study",
    "__version__",
    "analyse",
    "measure_masks",
    "read",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cmrseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
