"""Files to Study and back: DICOM, NIfTI, and the layouts of public data sets."""

from cmrseg.io.read import read

__all__ = ["read"]
