"""DICOM studies to `Study`: every series sorted, the short-axis cine and LGE chosen, every refusal named."""

from __future__ import annotations

from cmrseg.io.dicom.inspection import Inspection, inspect_dicom
from cmrseg.io.dicom.reader import read_dicom

__all__ = ["Inspection", "inspect_dicom", "read_dicom"]
