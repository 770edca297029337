"""Products of small matrices belong on one thread: a second one costs more processor time than the first needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While a block or function runs, let NumPy and SciPy multiply on one thread, whatever the environment says.

    The threads of a BLAS library wait for work by spinning, and take the cores that the networks run on. Blocks may be
    nested; when the outermost one ends, the caller's own setting returns.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
