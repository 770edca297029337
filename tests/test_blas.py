"""Matrices are multiplied on one thread, whatever was set before, and what was set before returns."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier, Thread

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - brings the second BLAS library
from threadpoolctl import threadpool_info, threadpool_limits

from cmrseg.blas import one_blas_thread
from cmrseg.geometry import Window


def blas_threads() -> set[int]:
    """Threads that the BLAS libraries of this process may use now."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """The user's environment: two threads for every BLAS."""
    with threadpool_limits(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("the threads of this BLAS cannot be set")
        yield


def test_inside_there_is_one_thread_and_outside_the_users_setting() -> None:
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_inside_gives_the_setting_back() -> None:
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        _ = 1 / 0
    assert blas_threads() == {2}


def test_blocks_in_several_threads_give_the_setting_back() -> None:
    entered, left = Barrier(2), Barrier(2)
    seen: list[set[int]] = []

    def longer() -> None:
        with one_blas_thread():
            seen.append(blas_threads())
            entered.wait()
            left.wait()

    thread = Thread(target=longer)
    with one_blas_thread():
        thread.start()
        entered.wait()
        seen.append(blas_threads())
    left.wait()
    thread.join()
    assert seen == [{1}, {1}]
    assert blas_threads() == {2}


def test_windows_multiply_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    multiply = np.matmul

    def watched(*arguments: np.ndarray) -> np.ndarray:
        seen.append(blas_threads())
        return multiply(*arguments)

    monkeypatch.setattr(np, "matmul", watched)
    window = Window((30.0, 30.0), (1.0, 1.0), (60, 60), 1.5, 32)
    window.restore(window.extract(np.ones((2, 60, 60), np.float32)))
    assert seen == [{1}] * 4
    assert blas_threads() == {2}
