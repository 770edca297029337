"""Memory of a training process."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of returning it to the system after every step; nothing elsewhere.

    A step allocates the same activations again and again. Handing them back and faulting the pages in anew took
    four tenths of the time of a training step on two cores.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library, as in Alpine: slower, not wrong
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, _LARGEST)
    mallopt(_M_TOP_PAD, 2**28)
