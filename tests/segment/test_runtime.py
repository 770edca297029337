"""How networks are run: on so many threads and no more, without spinning, and with the same numbers on any."""

from __future__ import annotations

import sys
import threading
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cmrseg.errors import UsageError
from cmrseg.segment import runtime
from cmrseg.segment.bundle import shipped_bundles
from cmrseg.segment.runtime import OnnxPredictor, OpenvinoPredictor, check_runtime, onnx_session, usable_cores

CINE = shipped_bundles()["cine"]
LOCATOR = CINE / "locator.onnx"


@pytest.fixture
def slices() -> np.ndarray:
    """Five windows of noise for the locator."""
    return np.random.default_rng(0).normal(size=(5, 1, 128, 128)).astype(np.float32)


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (3, 3), (None, usable_cores())])
def test_a_session_gets_so_many_threads_and_they_do_not_spin(asked: int | None, given: int) -> None:
    options = onnx_session(LOCATOR, asked).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (given, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("model", ["locator.onnx", "model.onnx", "model_int8.onnx"])
def test_numbers_are_those_of_all_slices_at_once_to_the_bit(model: str) -> None:
    session = onnx_session(CINE / model, threads=2)
    channels = session.get_inputs()[0].shape[1]
    noise = np.random.default_rng(0).normal(size=(5, channels, 128, 128)).astype(np.float32)
    (together,) = session.run(None, {"slices": noise})
    for threads in (1, 2, 3):
        assert np.array_equal(OnnxPredictor(CINE / model, threads)(noise), together)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_at_most_so_many_slices_are_run_at_a_time(slices: np.ndarray, threads: int) -> None:
    predict = OnnxPredictor(LOCATOR, threads)
    assert predict._session.get_session_options().intra_op_num_threads == 1
    session = _Watched()
    predict._session = session
    assert predict(slices).shape == (1, 5, 2, 128, 128)
    assert session.most == threads
    assert session.sizes == [1] * 5
    assert (threading.get_ident() in session.threads) is (threads == 1)


class _Watched:
    """Stands for a session, slowly, and counts who is in it."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self._lock = threading.Lock()

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        (slices,) = inputs.values()
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.sizes.append(len(slices))
            self.threads.add(threading.get_ident())
        time.sleep(0.05)
        with self._lock:
            self.now -= 1
        return [np.zeros((1, len(slices), 2, 128, 128), np.float32)]


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """OpenVINO as far as it is used; what it is handed."""
    handed: dict[str, Any] = {"sizes": []}

    def run(inputs: np.ndarray) -> list[np.ndarray]:
        handed["sizes"].append(len(inputs))
        return [inputs[None]]

    class Core:
        def compile_model(self, model: str, device: str, settings: dict[str, Any]) -> Any:
            handed.update(model=model, device=device, **settings)
            return run

    module = ModuleType("openvino")
    module.__spec__ = ModuleSpec("openvino", None)
    module.Core = Core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", module)
    return handed


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (3, 3), (None, usable_cores())])
def test_openvino_gets_so_many_threads(openvino: dict[str, Any], slices: np.ndarray, asked: int, given: int) -> None:
    predict = runtime.predictor(LOCATOR, "openvino", asked)
    assert isinstance(predict, OpenvinoPredictor)
    assert openvino["INFERENCE_NUM_THREADS"] == given
    assert np.array_equal(predict(slices)[0], slices)
    assert openvino["sizes"] == [1] * 5


def test_a_runtime_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_runtime("onnx")
    with pytest.raises(UsageError, match="abacus"):
        check_runtime("abacus")  # type: ignore[arg-type]
    monkeypatch.setattr(runtime, "is_installed", lambda name: False)
    with pytest.raises(UsageError, match=r"cmrseg\[openvino\]"):
        runtime.predictor(Path("unread.onnx"), "openvino")
