"""The adapter to Ultralytics' YOLO, against a module that stands in for it: the package itself is under the AGPL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cmrseg.errors import UsageError
from cmrseg.geometry import Geometry
from cmrseg.models.ultralytics import UltralyticsDetector, picture_of
from cmrseg.segment.prompts import SliceBox
from cmrseg.study import Image

GRID = Geometry.from_spacing((1.0, 1.0, 10.0), (40, 30, 2))


class StandIn:
    """Finds a bright rectangle, and something weaker in the corner; keeps what it was asked."""

    calls: list[dict[str, Any]]

    def __init__(self, path: str, task: str) -> None:
        self.path, self.task, self.calls = path, task, []

    def predict(self, **asked: Any) -> list[SimpleNamespace]:
        self.calls.append(asked)
        rows, columns = np.nonzero(asked["source"][..., 0] > 200)
        edges = [[0.0, 0.0, 4.0, 4.0]] if len(rows) else []
        scores = [0.3] if len(rows) else []
        if len(rows):
            edges.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            scores.append(0.8)
        boxes = SimpleNamespace(xyxy=torch.tensor(edges).reshape(-1, 4), conf=torch.tensor(scores))
        return [SimpleNamespace(boxes=boxes)]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file, and a module that opens it."""
    module = ModuleType("ultralytics")
    module.YOLO = StandIn
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    path = tmp_path / "scar.onnx"
    path.write_bytes(b"network")
    return path


def image() -> Image:
    """A bright scar on the second slice alone."""
    data = np.zeros((1, 2, 30, 40), np.float32)
    data[0, 1, 10:16, 20:29] = 500
    return Image("lge", data, GRID)


def test_boxes_come_on_their_slices_in_its_coordinates_the_best_first(exported: Path) -> None:
    found = UltralyticsDetector.load(exported).find(image())
    assert found == [
        SliceBox(1, 19.5, 9.5, 28.5, 15.5, "scar", pytest.approx(0.8)),
        SliceBox(1, -0.5, -0.5, 3.5, 3.5, "scar", pytest.approx(0.3)),
    ]


def test_settings_reach_the_network(exported: Path) -> None:
    detector = UltralyticsDetector.load(exported, confidence=0.15, iou=0.2, max_boxes=1, size=320)
    detector.find(image())
    assert (detector.model.path, detector.model.task) == (str(exported), "detect")
    (first, _) = detector.model.calls
    assert first["source"].shape == (30, 40, 3)
    assert {k: v for k, v in first.items() if k != "source"} == {
        "imgsz": 320,
        "conf": 0.15,
        "iou": 0.2,
        "max_det": 1,
        "verbose": False,
    }


def test_pictures_span_their_own_percentiles() -> None:
    ramp = np.linspace(-200, 800, 10_000, dtype=np.float32).reshape(100, 100)
    picture = picture_of(ramp)
    assert picture.dtype == np.uint8
    assert (picture[0, 0, 0], picture[50, 0, 1], picture[-1, -1, 2]) == (0, 128, 255)
    assert not picture_of(np.full((4, 4), 7.0)).any()


def test_what_could_run_code_is_missing_or_moves_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="any code"):
        UltralyticsDetector.load("yolo11n.pt")
    with pytest.raises(UsageError, match="no file"):
        UltralyticsDetector.load(tmp_path / "absent.onnx")
    two = Image("lge", np.repeat(image().data, 2, axis=0), GRID)
    with pytest.raises(UsageError, match="2 frames"):
        UltralyticsDetector.load(exported).find(two)


def test_without_the_package_extra_and_licence_are_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(UsageError) as refused:
        UltralyticsDetector.load(exported)
    assert "cmrseg[ultralytics]" in str(refused.value)
    assert "AGPL-3.0" in str(refused.value)


def test_nothing_of_it_is_imported_before_a_network_is_loaded() -> None:
    code = "import sys, cmrseg.models.ultralytics; sys.exit('ultralytics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
