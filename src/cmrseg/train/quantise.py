"""Int8 version of a segmenter by static quantisation (QDQ), which ONNX Runtime and OpenVINO both run fast."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION_BATCH = 8


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type stubs
    """Feeds network inputs to the calibrator."""

    def __init__(self, inputs_NSHW: NDArray[np.float32], name: str) -> None:
        starts = range(0, len(inputs_NSHW), CALIBRATION_BATCH)
        self._batches = iter([{name: inputs_NSHW[k : k + CALIBRATION_BATCH]} for k in starts])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def quantise(source: Path, target: Path, inputs_NSHW: NDArray[np.float32]) -> None:
    """Write an int8 network beside a float one.

    Args:
        source: ONNX file with input ``slices``.
        target: ONNX file to write.
        inputs_NSHW: float32 network inputs of training patients, to learn the ranges of activations from.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Windows(inputs_NSHW, "slices"),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv"],
        )
