"""cmrseg: from a cardiac MR study to numbers a cardiologist reads. Research use; not a medical device.

Importing the package loads no torch and no ONNX Runtime.
"""

from __future__ import annotations

__version__ = "0.1.0"
