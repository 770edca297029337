"""What runs an ONNX network: ONNX Runtime by default, OpenVINO where it is installed and asked for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import BundleError, UsageError
from cmrseg.extras import is_installed

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Runtime = Literal["onnx", "openvino"]


def usable_cores() -> int:
    """CPU cores this process may run on; containers and batch systems often allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def onnx_session(model: Path, threads: int | None = None) -> InferenceSession:
    """A graph loaded into ONNX Runtime, on the CPU.

    Args:
        model: path of the ONNX file.
        threads: CPU threads; all usable cores when None.

    Raises:
        BundleError: the file is not a network that ONNX Runtime can run.
    """
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NotImplemented

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # A thread that waits must leave its core to others: by default it spins.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf, NotImplemented) as error:
        raise BundleError(
            f"ONNX Runtime {onnxruntime.__version__} cannot run {model.name} of the bundle.",
            "Upgrade onnxruntime, or export the bundle again.",
        ) from error


class OnnxPredictor:
    """A network run by ONNX Runtime on the CPU: float32[N, S, H, W] -> float32[members, N, classes, H, W].

    Every thread runs whole slices, one at a time. Threads that share a slice wait for each other at every layer, and
    several slices at once take memory and no less time; the numbers are the same.

    Args:
        model: path of the ONNX file.
        threads: CPU threads; all usable cores when None.

    Raises:
        BundleError: the file is not a network that ONNX Runtime can run.
    """

    def __init__(self, model: Path, threads: int | None = None) -> None:
        self._session = onnx_session(model, threads=1)
        self._input = self._session.get_inputs()[0].name
        threads = threads or usable_cores()
        self._workers = ThreadPoolExecutor(threads, "network") if threads > 1 else None

    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]:
        slices = (inputs_NSHW[k : k + 1] for k in range(len(inputs_NSHW)))
        parts = self._workers.map(self._run, slices) if self._workers else map(self._run, slices)
        return np.concatenate(list(parts), axis=1)

    def _run(self, inputs_1SHW: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {self._input: np.ascontiguousarray(inputs_1SHW)})[0]
        return result


class OpenvinoPredictor:
    """The same network run by OpenVINO, faster on Intel CPUs; needs `pip install cmrseg[openvino]`."""

    def __init__(self, model: Path, threads: int | None = None) -> None:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
            "PERFORMANCE_HINT": "LATENCY",
            # Left alone, OpenVINO computes in bfloat16 on CPUs that can: numbers would depend on the machine.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._model = openvino.Core().compile_model(str(model), "CPU", settings)

    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]:
        slices = (np.ascontiguousarray(inputs_NSHW[k : k + 1]) for k in range(len(inputs_NSHW)))
        return np.concatenate([self._model(slice_1SHW)[0] for slice_1SHW in slices], axis=1)


def check_runtime(runtime: Runtime) -> None:
    """Refuse a runtime that cannot run anything here.

    Raises:
        UsageError: no such runtime, or it is not installed.
    """
    if runtime not in get_args(Runtime):
        raise UsageError(f"There is no runtime {runtime!r}.", f"Runtimes: {', '.join(get_args(Runtime))}.")
    if runtime == "openvino" and not is_installed("openvino"):
        raise UsageError("OpenVINO is not installed.", "pip install 'cmrseg[openvino]', or use the onnx runtime.")


def predictor(model: Path, runtime: Runtime = "onnx", threads: int | None = None) -> OnnxPredictor | OpenvinoPredictor:
    """Load an ONNX file into a runtime by its name.

    Raises:
        UsageError: no such runtime, or it is not installed.
    """
    check_runtime(runtime)
    return OpenvinoPredictor(model, threads) if runtime == "openvino" else OnnxPredictor(model, threads)
