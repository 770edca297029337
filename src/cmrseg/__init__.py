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
    from cmrseg.errors import CmrsegError, InputRefused
    from cmrseg.io import read
    from cmrseg.pipeline.analyse import AnalyseOptions, Analyser, analyse
    from cmrseg.pipeline.drawn_masks import measure_masks
    from cmrseg.pipeline.prompted import prompt_session, segment_box
    from cmrseg.segment.interactive import Click
    from cmrseg.segment.prompts import SliceBox
    from cmrseg.study import Analysis, Image, Segmentation, Study

_HOMES = {
    "AnalyseOptions": "cmrseg.pipeline.analyse",
    "Analyser": "cmrseg.pipeline.analyse",
    "Analysis": "cmrseg.study",
    "Click": "cmrseg.segment.interactive",
    "CmrsegError": "cmrseg.errors",
    "Image": "cmrseg.study",
    "InputRefused": "cmrseg.errors",
    "Segmentation": "cmrseg.study",
    "SliceBox": "cmrseg.segment.prompts",
    "Study": "cmrseg.study",
    "analyse": "cmrseg.pipeline.analyse",
    "measure_masks": "cmrseg.pipeline.drawn_masks",
    "prompt_session": "cmrseg.pipeline.prompted",
    "read": "cmrseg.io",
    "segment_box": "cmrseg.pipeline.prompted",
}

__all__ = [
    "AnalyseOptions",
    "Analyser",
    "Analysis",
    "Click",
    "CmrsegError",
    "Image",
    "InputRefused",
    "Segmentation",
    "SliceBox",
    "Study",
    "__version__",
    "analyse",
    "measure_masks",
    "prompt_session",
    "read",
    "segment_box",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cmrseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
