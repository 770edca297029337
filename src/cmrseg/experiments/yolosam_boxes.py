"""What the boxes do: how well the detector finds them, and what becomes of the masks when true boxes are spoilt.

Everything here is measured in the folder of a trained row and kept there, so that nothing is measured twice.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cmrseg.errors import InputRefused
from cmrseg.evaluate import lge
from cmrseg.evaluate.detection import Slice, score_boxes
from cmrseg.experiments.runner import Report
from cmrseg.experiments.scale import Scale
from cmrseg.experiments.views import Trained
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import write_text
from cmrseg.losses.composite import CompositeLoss
from cmrseg.models.outputs import Outputs, detects
from cmrseg.segment.engine import find_heart
from cmrseg.segment.prompts import SliceBox, oracle_boxes
from cmrseg.study import Image
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import load_case
from cmrseg.train.predict import load_run
from cmrseg.train.prompted import Prompted, find_boxes, logits_in_boxes, prompted, segment_boxes
from cmrseg.train.run import held_out_cases, pipeline_of_run

BOXES, ERRORS = "boxes.json", "box-errors.json"
#: What is done to the true boxes, in ever larger amounts: all shifted by so many mm, each in a direction of its own;
#: such a share of them missed; so many false ones added to each slice that shows the heart.
AMOUNTS: Mapping[str, tuple[float, ...]] = {
    "shift": (0, 2, 4, 8, 12, 16, 24),
    "miss": (0, 0.2, 0.4, 0.6, 0.8, 1),
    "spurious": (0, 1, 2, 3, 4),
}
UNITS = {"shift": "mm", "miss": "share of boxes", "spurious": "boxes on a slice"}
#: Sides of a false box.
_SPURIOUS_MM = (8.0, 24.0)
_SEED = 2506


@dataclass(frozen=True)
class Spoilt:
    """One patient with boxes that were spoilt to some extent."""

    kind: str
    """Of `AMOUNTS`."""
    amount: float
    """How much."""
    case_id: str
    """The patient."""
    boxes: int
    """Boxes that were left or added."""
    dice: float | None
    """3-D Dice of scar; None for a patient without any."""
    perimeter_similarity: float | None
    """Of the outlines of scar; None where there are none."""
    loss: float
    """The training's loss of the masks, without that of the detector."""


def networks_of(rows: Mapping[str, Trained], data: Path) -> Iterator[tuple[Trained, TrainConfig, Prompted, list[Case]]]:
    """Rows whose network finds boxes, with it and the patients they held out."""
    for row in rows.values():
        if not (row.run / "config.json").exists():
            continue
        config, network = load_run(row.run)
        finds_boxes = detects(network)
        if finds_boxes:
            yield row, config, prompted(pipeline_of_run(row.run), network), held_out_cases(config, data, row.run)


def measure_boxes(rows: Mapping[str, Trained], data: Path, scale: Scale, report: Report) -> None:
    """Write how well each row's detector finds the true boxes of held-out patients to ``boxes.json`` in its folder.

    Args:
        rows: trained rows.
        data: root of the patients.
        scale: names the threads.
        report: takes lines of progress.
    """
    for row, config, model, cases in networks_of(rows, data):
        if (row.run / BOXES).exists():
            continue
        torch.set_num_threads(scale.base.threads)
        slices = [s for case in cases for s in _slices(case, config, model)]
        _write(score_boxes(slices).values(), row.run / BOXES)
        report(f"{row.result.name}: boxes of {len(slices)} slices compared")


def _slices(case: Case, config: TrainConfig, model: Prompted) -> list[Slice]:
    """Boxes of scar that were found on each slice of a patient, and the true ones."""
    study, truth = load_case(case, config.data)
    image = study.images[0]
    try:
        found = find_boxes(image, model).boxes
    except InputRefused:
        found = ()
    true = oracle_boxes(truth, model.pipeline.scheme)
    return [
        Slice(
            _edges([b for b in found if b.z == z]),
            np.array([b.confidence for b in found if b.z == z]),
            _edges([b for b in true if b.z == z]),
        )
        for z in range(image.n_slices)
    ]


def _edges(boxes: Sequence[SliceBox]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([(b.x0, b.y0, b.x1, b.y1) for b in boxes], np.float64).reshape(-1, 4)


def spoil_boxes(truth: Truth, boxes: Sequence[SliceBox], kind: str, amount: float, case_id: str) -> list[SliceBox]:
    """True boxes with an error. A larger amount of the same kind holds the smaller one: the same box goes the same way
    farther, boxes that are missed stay missed, false boxes stay.

    Args:
        truth: of the patient.
        boxes: its true boxes.
        kind: of `AMOUNTS`.
        amount: in its unit; 0 changes nothing.
        case_id: seeds what is drawn.
    """
    random = np.random.default_rng([_SEED, zlib.crc32(f"{kind} {case_id}".encode())])
    x_mm, y_mm, _ = truth.geometry.spacing_xyz_mm
    if kind == "miss":
        fates = random.random(len(boxes))
        return [box for box, fate in zip(boxes, fates, strict=True) if fate >= amount]
    if kind == "shift":
        angles = random.uniform(0, 2 * np.pi, len(boxes))
        steps = amount * np.stack([np.cos(angles) / x_mm, np.sin(angles) / y_mm], axis=1)
        return [
            replace(b, x0=b.x0 + dx, x1=b.x1 + dx, y0=b.y0 + dy, y1=b.y1 + dy)
            for b, (dx, dy) in zip(boxes, steps.tolist(), strict=True)
        ]
    false = []
    for z, heart_YX in enumerate(truth.labels[0] > 0):
        places = np.argwhere(heart_YX)
        if not len(places):
            continue
        for _ in range(int(max(AMOUNTS["spurious"]))):
            y, x = places[random.integers(len(places))].tolist()
            half = random.uniform(*_SPURIOUS_MM) / 2
            false.append((z, x - half / x_mm, y - half / y_mm, x + half / x_mm, y + half / y_mm))
    kept = [box for k, box in enumerate(false) if k % max(AMOUNTS["spurious"]) < amount]
    return [*boxes, *(SliceBox(z, *edges) for z, *edges in kept)]


def measure_errors(rows: Mapping[str, Trained], data: Path, scale: Scale, report: Report) -> None:
    """Spoil the true boxes of held-out patients and write what becomes of the masks to the folders of the rows.

    These are ORACLE results: the boxes they begin with are the truth's. Arguments as `measure_boxes`.
    """
    measure_boxes(rows, data, scale, report)
    for row, config, model, cases in networks_of(rows, data):
        if (row.run / ERRORS).exists():
            continue
        torch.set_num_threads(scale.base.threads)
        spoilt: list[Spoilt] = []
        for case in cases:
            spoilt += _of_patient(case, config, model)
            report(f"{row.result.name}: boxes of {case.case_id} spoilt")
        _write([asdict(s) for s in spoilt], row.run / ERRORS)


def _of_patient(case: Case, config: TrainConfig, model: Prompted) -> list[Spoilt]:
    study, truth = load_case(case, config.data)
    image = study.images[0]
    try:
        centre = find_heart(image, model.pipeline.locator)
    except InputRefused:
        return []
    true = oracle_boxes(truth, model.pipeline.scheme)
    made = partial(_spoilt, case, config, model, image, truth, true, centre)
    return [made(kind, amount) for kind, amounts in AMOUNTS.items() for amount in amounts]


def _spoilt(
    case: Case,
    config: TrainConfig,
    model: Prompted,
    image: Image,
    truth: Truth,
    true: Sequence[SliceBox],
    centre_xy: tuple[float, float],
    kind: str,
    amount: float,
) -> Spoilt:
    boxes = spoil_boxes(truth, true, kind, amount, case.case_id)
    drawn = segment_boxes(image, model, boxes, "oracle", centre_xy)
    score = lge.compare(case, drawn.labels[0], drawn.scheme, truth)
    outlines = score.perimeter_similarity
    return Spoilt(
        kind,
        amount,
        case.case_id,
        len(boxes),
        score.dice("scar") if score.scar_mass_truth_g > 0 else None,
        None if np.isnan(outlines) else outlines,
        _loss(config, model, image, truth, boxes, centre_xy),
    )


def _loss(
    config: TrainConfig,
    model: Prompted,
    image: Image,
    truth: Truth,
    boxes: Sequence[SliceBox],
    centre_xy: tuple[float, float],
) -> float:
    """The training's loss of the masks in boxes, of all slices of a patient."""
    window, _, logits = logits_in_boxes(image, model, boxes, centre_xy)
    scar_ZYX = truth.scheme.infarct(truth.labels[0])
    target = torch.from_numpy(window.extract(scar_ZYX.astype(np.float32)) >= 0.5).long()
    names = ("background", *model.pipeline.scheme.foreground_names)
    criterion = CompositeLoss(replace(config.loss, detection=0.0), names, config.input.spacing_mm)
    return float(criterion(Outputs(logits), target.to(logits.device))["total"])


def load_boxes(run: Path) -> dict[str, float]:
    """What `measure_boxes` wrote; empty where it wrote nothing."""
    path = run / BOXES
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def load_errors(run: Path) -> list[Spoilt]:
    """What `measure_errors` wrote; empty where it wrote nothing."""
    path = run / ERRORS
    return [Spoilt(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def _write(values: object, path: Path) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")
