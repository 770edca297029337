"""Time of one prompt on one slice with the bundle that ships: encoding its window, and drawing the mask.

    python benchmarks/prompts.py [--threads 2]

Prints medians over many windows of a synthetic heart, as JSON; `whole_ms` is one box on a new slice, from the image to
the mask on its own grid, `refined_ms` a further click on it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import onnxruntime

from cmrseg.phantom import HeartSpec, make_phantom
from cmrseg.segment.interactive import Click, Prompt, PromptSession, in_window, window_of
from cmrseg.segment.prompt_bundle import load_prompt_bundle
from cmrseg.segment.prompts import SliceBox

ROUNDS = 40


def milliseconds(step: Callable[[], object]) -> float:
    """Median time of a step, after one that warms up."""
    step()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1e3)
    return round(median(times), 1)


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    phantom = make_phantom(HeartSpec(phases=1, ed_frame=0))
    cavity = phantom.segmentation.labels[0] == phantom.segmentation.scheme["lv_cavity"]
    z = int(cavity.sum((1, 2)).argmax())
    rows, columns = np.flatnonzero(cavity[z].any(1)), np.flatnonzero(cavity[z].any(0))
    box = SliceBox(z, columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)
    bundle = load_prompt_bundle()
    network = bundle.network(threads)
    prompt = Prompt(z, box)
    window = window_of(phantom.image, prompt, network.spec)
    pixels = network.spec.normalise(window.extract(phantom.image.data[0, z]))[None, None]
    features, asked = network.encode(pixels), in_window(prompt, window, network.clicks)
    session = PromptSession(phantom.image, network)
    session.segment([box])
    click = Click(z, float(columns.mean()), float(rows.mean()))
    result = {
        "bundle": f"{bundle.name} {bundle.version}",
        "threads": threads,
        "encode_ms": milliseconds(lambda: network.encode(pixels)),
        "decode_ms": milliseconds(lambda: network.decode(features, pixels, asked)),
        "whole_ms": milliseconds(lambda: PromptSession(phantom.image, network).segment([box])),
        "refined_ms": milliseconds(lambda: session.segment([box], [click])),
        "machine": platform.machine(),
        "onnxruntime": onnxruntime.__version__,
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
