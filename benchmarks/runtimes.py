"""Speed of the shipped segmenter in every runtime that is installed, against torch, in one run.

    python benchmarks/runtimes.py [--threads 2]

Prints slices per second (best of several rounds, batches of 16, all members of the ensemble) and the ratio to eager
torch with the same weights and threads.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cmrseg.segment.bundle import Bundle, load

ROUNDS, BATCH = 7, 16


def torch_predictor(bundle: Bundle) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The bundle's members as torch networks, from its safetensors."""
    from safetensors.torch import load_file

    from cmrseg.models.blocks import to_channels_last
    from cmrseg.models.unet import UNet, UNetConfig
    from cmrseg.train.predict import TorchPredictor

    tensors = load_file(bundle.path / "weights.safetensors")
    network = bundle.manifest["networks"]["segmenter"]
    settings = {**network["model"], "widths": tuple(network["model"]["widths"])}
    members = []
    for k in range(network["members"]):
        model = UNet(UNetConfig(**settings))
        prefix = f"segmenter.{k}."
        model.load_state_dict({n.removeprefix(prefix): v.float() for n, v in tensors.items() if n.startswith(prefix)})
        members.append(to_channels_last(model.eval()))
    return TorchPredictor(members)


def slices_per_second(predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> float:
    """Best of several rounds."""
    inputs = np.random.default_rng(0).normal(size=(BATCH, 3, 128, 128)).astype(np.float32)
    predict(inputs)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        predict(inputs)
        times.append(time.perf_counter() - began)
    return BATCH / min(times)


def main() -> None:
    """Measure and print as JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    bundle = load("cine")
    speeds = {"torch": slices_per_second(torch_predictor(bundle))}
    for runtime in ("onnx", "openvino"):
        if runtime == "openvino" and importlib.util.find_spec("openvino") is None:
            continue
        for int8 in (False, True):
            stage = bundle.pipeline(runtime, threads, int8=int8).segmenter
            speeds[f"{runtime}{' int8' if int8 else ''}"] = slices_per_second(stage.predict)
    table = {name: {"slices_per_s": round(v, 1), "ratio": round(v / speeds["torch"], 2)} for name, v in speeds.items()}
    sys.stdout.write(json.dumps({"threads": threads, "bundle": bundle.version, "speeds": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
