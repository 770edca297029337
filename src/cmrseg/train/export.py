"""From run folders to a bundle: one ONNX file for the ensemble, one for the locator, weights, card, hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import cmrseg
from cmrseg.errors import BundleError
from cmrseg.io.files import output_folder, sha256_of
from cmrseg.segment.bundle import FORMAT_VERSION, MANIFEST, manifest_bytes
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import OnnxPredictor
from cmrseg.train.predict import TorchPredictor, load_run

#: ONNX Runtime and torch must agree on random input to this absolute difference in probability.
TOLERANCE = 1e-4
OPSET = 18


@dataclass(frozen=True)
class BundleInfo:
    """What a reader of a bundle must know besides the networks."""

    name: str
    """Name of the bundle and of its folder."""
    version: str
    """Version of the bundle."""
    kind: str
    """``cine`` or ``lge``."""
    label_scheme: str
    """Name of a scheme of cmrseg.labels; the networks' classes are background and its foreground in order."""
    licence_id: str
    """SPDX id of the weights' licence."""
    data: Mapping[str, Any]
    """What it was trained on: name, citation, licence, patients."""


class _Ensemble(nn.Module):
    """Members side by side: [N, S, H, W] -> probabilities [members, N, classes, H, W]."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x_NSHW: Tensor) -> Tensor:
        return torch.stack([member(x_NSHW).softmax(1) for member in self.members])


def export_bundle(
    target: Path,
    info: BundleInfo,
    segmenters: Sequence[Path],
    locator: Path,
    documents: Mapping[str, str],
    measured: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> None:
    """Write a bundle from run folders.

    Weights are rounded to half precision first, in every file alike, and stored so for fine-tuning.

    Args:
        target: folder to make; its name should be `info.name`.
        info: what stands in bundle.json.
        segmenters: run folders of the ensemble's members, trained with one configuration and several seeds.
        locator: run folder of the locator.
        documents: text of ``CARD.md`` and ``LICENSE``.
        measured: results with the command that measured them.
        extra: further files by name, e.g. a quantised network.

    Raises:
        BundleError: ONNX Runtime and torch disagree by more than `TOLERANCE`, or the members differ in input or split.
    """
    members = [load_run(run) for run in segmenters]
    locator_config, locator_model = load_run(locator)
    splits = {(run / "split.json").read_text() for run in (*segmenters, locator)}
    if len({c.input for c, _ in members}) != 1 or len(splits) != 1:
        raise BundleError("The runs differ in what they see or in their split.", "Train them with one configuration.")
    models = {f"segmenter.{k}": _half(model) for k, (_, model) in enumerate(members)}
    models["locator"] = _half(locator_model)
    with output_folder(target) as folder:
        _write_onnx(folder / "model.onnx", [models[f"segmenter.{k}"] for k in range(len(members))], members[0][0].input)
        _write_onnx(folder / "locator.onnx", [models["locator"]], locator_config.input)
        tensors = {f"{m}.{k}": v.half() for m, model in models.items() for k, v in model.state_dict().items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "weights.safetensors")
        for name, text in documents.items():
            (folder / name).write_text(text)
        for name, content in (extra or {}).items():
            (folder / name).write_bytes(content)
        files = {p.name: sha256_of(p) for p in sorted(folder.iterdir())}
        manifest = {
            "format_version": FORMAT_VERSION,
            **asdict(info),
            "code_version": cmrseg.__version__,
            "files": files,
            "networks": {
                "segmenter": {
                    "input": asdict(members[0][0].input),
                    "architecture": "unet",
                    "model": asdict(members[0][0].model),
                    "members": len(members),
                },
                "locator": {
                    "input": asdict(locator_config.input),
                    "architecture": "unet",
                    "model": asdict(locator_config.model),
                    "members": 1,
                },
            },
            "prompts": [],
            "split": json.loads(splits.pop()),
            "training": [config.to_dict() for config, _ in members],
            "measured": dict(measured),
        }
        (folder / MANIFEST).write_bytes(manifest_bytes(json.loads(json.dumps(manifest))))


def _half(model: nn.Module) -> nn.Module:
    """Round the weights to half precision and keep computing in single."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype.is_floating_point:
                value.copy_(value.half().float())
    return model


def _write_onnx(path: Path, models: Sequence[nn.Module], spec: InputSpec) -> None:
    ensemble = _Ensemble(models).eval()
    example = torch.randn(2, spec.context_slices, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.onnx.export(
        ensemble,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["slices"],
        output_names=["probabilities"],
        dynamic_shapes=({0: batch},),
        verbose=False,
    )
    if program is None:
        raise BundleError("torch returned no ONNX program.", "Check the versions of torch and onnxscript.")
    onnx.save(_without_traces(program.model_proto), path)
    expected = TorchPredictor(list(models))(example.numpy())
    difference = float(np.abs(OnnxPredictor(path)(example.numpy()) - expected).max())
    if not difference <= TOLERANCE:
        raise BundleError(
            f"ONNX Runtime and torch differ by {difference:.2g} in {path.name}.", "Check the export before shipping it."
        )


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes: they name files of the machine that exported and make a third of a small network."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for item in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del item.metadata_props[:]
        item.ClearField("doc_string")
    return model
