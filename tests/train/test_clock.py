"""Training time on a processor is what the process computed, whatever else passes."""

from __future__ import annotations

import time

import pytest
import torch

from cmrseg.train.clock import training_clock


def test_waiting_costs_nothing_on_a_processor() -> None:
    clock = training_clock(torch.device("cpu"), threads=1)
    began = clock()
    time.sleep(0.3)
    assert clock() - began < 0.1


def test_computing_counts_per_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 12.0)
    assert training_clock(torch.device("cpu"), threads=1)() == 12.0
    assert training_clock(torch.device("cpu"), threads=2)() == 6.0


def test_a_gpu_is_timed_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    assert training_clock(torch.device("cuda"), threads=4)() == 7.0
