"""From run folders to a bundle: one ONNX file for the ensemble, one for the locator, weights, card, hashes.

The ONNX files hold graphs alone and read their weights, in half precision, out of weights.safetensors beside them:
weights are stored once. Runtimes widen them and fold the normalisations into the convolutions when they load a file.
"""

from __future__ import annotations

import copy
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
from cmrseg.io.files import output_folder, sha256_of, write_text
from cmrseg.segment.bundle import FORMAT_VERSION, MANIFEST
from cmrseg.segment.manifest import write_manifest
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.runtime import OnnxPredictor
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import Split
from cmrseg.train.predict import TorchPredictor, load_run

#: ONNX Runtime and torch must agree on random input to this absolute difference in probability.
TOLERANCE = 1e-4
OPSET = 18
WEIGHTS = "weights.safetensors"


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
        segmenters: run folders of the ensemble's members, which see the same input; seeds and splits may differ.
        locator: run folder of the locator.
        documents: text of ``CARD.md`` and ``LICENSE``.
        measured: results with the command that measured them.
        extra: further files by name, e.g. a quantised network.

    Raises:
        BundleError: ONNX Runtime and torch disagree by more than `TOLERANCE`, or the members differ in what they see.
    """
    members = [load_run(run) for run in segmenters]
    locator_config, locator_model = load_run(locator)
    splits = [Split.load(run / "split.json") for run in segmenters]
    if len({(c.input, c.network) for c, _ in members}) != 1:
        raise BundleError("The runs differ in what they see.", "Train them with one configuration.")
    models = {f"segmenter.{k}": half_precision(model) for k, (_, model) in enumerate(members)}
    models["locator"] = half_precision(locator_model)
    with output_folder(target) as folder:
        tensors = {f"{m}.{k}": v.half() for m, model in models.items() for k, v in model.state_dict().items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / WEIGHTS)
        segmenter_names = [f"segmenter.{k}" for k in range(len(members))]
        write_onnx(folder / "model.onnx", {n: models[n] for n in segmenter_names}, members[0][0].input)
        write_onnx(folder / "locator.onnx", {"locator": models["locator"]}, locator_config.input)
        for name, text in documents.items():
            write_text(folder / name, text)
        for name, content in (extra or {}).items():
            (folder / name).write_bytes(content)
        files = {p.name: sha256_of(p) for p in sorted(folder.iterdir())}
        manifest = {
            "format_version": FORMAT_VERSION,
            **asdict(info),
            "code_version": cmrseg.__version__,
            "files": files,
            "networks": {
                "segmenter": _described(members[0][0], len(members)),
                "locator": _described(locator_config, 1),
            },
            "prompts": [],
            "split": _everyone(splits).parts(),
            "member_splits": [split.parts() for split in splits],
            "training": [config.published() for config, _ in members],
            "measured": dict(measured),
        }
        write_manifest(folder / MANIFEST, manifest)


def _described(config: TrainConfig, members: int) -> dict[str, Any]:
    """What a bundle's manifest says of one of its ONNX files."""
    return {
        "input": asdict(config.input),
        "architecture": config.network,
        "model": asdict(config.model),
        "members": members,
    }


def half_precision(model: nn.Module) -> nn.Module:
    """Round the weights to half precision and keep computing in single."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype.is_floating_point:
                value.copy_(value.half().float())
    return model


def _everyone(splits: Sequence[Split]) -> Split:
    """Patients that trained any member, and those that trained none."""
    trained = {i for split in splits for i in split.train}
    known = trained | {i for split in splits for i in (*split.validation, *split.test)}
    return Split(tuple(sorted(trained)), tuple(sorted(known - trained)))


def write_onnx(path: Path, members: Mapping[str, nn.Module], spec: InputSpec) -> None:
    """Write networks side by side as one graph, with their weights left in `WEIGHTS` beside it.

    Args:
        path: ONNX file to write; its folder holds `WEIGHTS` with the members' tensors under ``<name>.<tensor>``.
        members: networks in evaluation mode by name, with weights already rounded to half precision.
        spec: what they see.

    Raises:
        BundleError: ONNX Runtime and torch disagree by more than `TOLERANCE`.
    """
    example = torch.randn(2, spec.context_slices, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    names = {f"members.{k}.": f"{name}." for k, name in enumerate(members)}
    write_graph(path, _foldable(_Ensemble([*members.values()])), {"slices": example}, ("probabilities",), names)
    expected = TorchPredictor([*members.values()])(example.numpy())
    difference = float(np.abs(OnnxPredictor(path)(example.numpy()) - expected).max())
    if not difference <= TOLERANCE:
        raise BundleError(
            f"ONNX Runtime and torch differ by {difference:.2g} in {path.name}.", "Check the export before shipping it."
        )


def write_graph(
    path: Path,
    network: nn.Module,
    examples: Mapping[str, Tensor],
    outputs: Sequence[str],
    names: Mapping[str, str],
) -> None:
    """Write one graph, with its weights left in `WEIGHTS` beside it.

    Args:
        path: ONNX file to write.
        network: in evaluation mode; takes the examples in their order. The first axis of each is the batch.
        examples: inputs by their names in the graph, at least two of each.
        outputs: names of the outputs.
        names: prefixes of weights in the network, and in `WEIGHTS`.

    Raises:
        BundleError: torch exports nothing.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.onnx.export(
        network,
        tuple(examples.values()),
        dynamo=True,
        opset_version=OPSET,
        input_names=[*examples],
        output_names=[*outputs],
        dynamic_shapes=tuple({0: batch} for _ in examples),
        optimize=False,
        verbose=False,
    )
    if program is None:
        raise BundleError("torch returned no ONNX program.", "Check the versions of torch and onnxscript.")
    onnx.save(_without_traces(_with_shared_weights(program.model_proto, path.parent / WEIGHTS, names)), path)


def _foldable(network: nn.Module) -> nn.Module:
    """A copy whose convolutions all have a bias: runtimes fold a normalisation only into those."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
    return network


def _with_shared_weights(model: onnx.ModelProto, weights: Path, names: Mapping[str, str]) -> onnx.ModelProto:
    """Replace every weight that `weights` holds by a reference into that file and a cast to single precision.

    Args:
        model: exported graph; changed in place.
        weights: safetensors file, whose layout is a JSON header and raw little-endian tensors.
        names: prefix in the graph to prefix in the file.
    """
    with weights.open("rb") as file:
        start = 8 + (size := int.from_bytes(file.read(8), "little"))
        header = json.loads(file.read(size))
    casts = []
    for tensor in list(model.graph.initializer):
        prefix = next((p for p in names if tensor.name.startswith(p)), "")
        stored = header.get(names.get(prefix, "") + tensor.name.removeprefix(prefix))
        if stored is None or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        first, last = stored["data_offsets"]
        half = onnx.TensorProto(name=f"{tensor.name}.half", data_type=onnx.TensorProto.FLOAT16, dims=tensor.dims)
        half.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", start + first), ("length", last - first)):
            half.external_data.add(key=key, value=str(value))
        casts.append(onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(half)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes: they name files of the machine that exported and make a third of a small network."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for item in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del item.metadata_props[:]
        item.ClearField("doc_string")
    return model
