"""A bundle that takes prompts, fit to ship: exported, measured through ONNX Runtime on patients held out, with card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import cmrseg
from cmrseg.errors import BundleError
from cmrseg.evaluate.prompted import PromptScore, score_prompts, summarise_prompts, write_prompt_scores
from cmrseg.io.files import output_folder, refuse_existing, refuse_unwritable, sha256_of
from cmrseg.models.blocks import to_channels_last
from cmrseg.models.prompted.model import PromptedSam, PromptTensors
from cmrseg.segment.interactive import WindowPrompts
from cmrseg.segment.manifest import write_manifest
from cmrseg.segment.preprocess import InputSpec
from cmrseg.segment.prompt_bundle import FORMAT_VERSION, MANIFEST, load_prompt_bundle
from cmrseg.train import cards, prompt_card
from cmrseg.train.data import Split, load_case
from cmrseg.train.export import TOLERANCE, WEIGHTS, half_precision, write_graph
from cmrseg.train.prompt_config import PromptTrainConfig
from cmrseg.train.prompt_training import divided

LICENCE_ID = "LicenseRef-research-only"
COMMAND = "cmrseg models export-prompt"
GRAPHS = ("encoder.onnx", "decoder.onnx")


class _Encoder(nn.Module):
    def __init__(self, network: PromptedSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_N1HW: Tensor) -> Tensor:
        return self.network.encode(images_N1HW)


class _Decoder(nn.Module):
    def __init__(self, network: PromptedSam) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, features: Tensor, images: Tensor, places: Tensor, labels: Tensor, boxes: Tensor, has_box: Tensor
    ) -> tuple[Tensor, Tensor]:
        drawn = self.network.decode(features, images, PromptTensors(places, labels, boxes, has_box))
        return drawn.logits_PHW, drawn.overlap_P


class TorchPromptNetwork:
    """A torch network as the `PromptNetwork` that interactive segmentation expects.

    Args:
        network: in evaluation mode.
        spec: what it expects to see.
    """

    def __init__(self, network: PromptedSam, spec: InputSpec) -> None:
        self.network, self.spec, self.clicks = network, spec, network.config.clicks
        self.signature = self.method = "network in training"

    @torch.inference_mode()
    def encode(self, images_N1HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings [N, D, h, w] of normalised windows."""
        features: NDArray[np.float32] = self.network.encode(torch.from_numpy(images_N1HW)).contiguous().numpy()
        return features

    @torch.inference_mode()
    def decode(
        self, features_PDhw: NDArray[np.float32], images_P1HW: NDArray[np.float32], prompts: WindowPrompts
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits [P, H, W] of the mask of each prompt, and its predicted overlap [P] with what was meant."""
        arrays = (prompts.places_PN2, prompts.labels_PN, prompts.boxes_P4, prompts.has_box_P)
        given = PromptTensors(*(torch.from_numpy(a) for a in arrays))
        drawn = self.network.decode(torch.from_numpy(features_PDhw), torch.from_numpy(images_P1HW), given)
        return drawn.logits_PHW.numpy(), drawn.overlap_P.numpy()


def load_prompt_run(run: Path) -> tuple[PromptTrainConfig, PromptedSam]:
    """Configuration and averaged network of a run folder, in evaluation mode."""
    config = PromptTrainConfig.load(run / "config.json")
    network = PromptedSam(config.model)
    tensors = load_file(run / "checkpoint.safetensors")
    network.load_state_dict({k.removeprefix("average."): v for k, v in tensors.items() if k.startswith("average.")})
    return config, to_channels_last(network.eval())


def release_prompt(target: Path, run: Path, data: Path, version: str, report: Callable[[str], None]) -> None:
    """Export a bundle, measure it on the patients that its training held out, and write its card.

    Args:
        target: folder of the bundle; its name is the bundle's name.
        run: folder of the run.
        data: folder of the labelled cines that it was trained on.
        version: version of the bundle.
        report: takes lines of progress.

    Raises:
        BundleError: ONNX Runtime and torch disagree.
        OutputError: the target exists, or writing failed.
    """
    refuse_existing(target)
    refuse_unwritable(target)
    licence = {"LICENSE": cards.MYOPS_LICENCE}
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / target.name
        export_prompt_bundle(draft, run, version, {**licence, "CARD.md": "draft\n"}, {})
        scores = held_out_scores(run, data, draft)
        rows = summarise_prompts(scores)
        for row in rows:
            report(f"{row.kind} {row.structure} {row.way}: {row.dice_mean:.3f} SD {row.dice_sd:.3f}, n {row.patients}")
        card = prompt_card.card(target.name, PromptTrainConfig.load(run / "config.json"), _split(run), rows)
        with output_folder(target) as folder:
            for name in (*GRAPHS, WEIGHTS):
                shutil.copyfile(draft / name, folder / name)
            measured = {"held_out": [asdict(row) for row in rows], "command": COMMAND}
            _describe(folder, target.name, run, version, {**licence, "CARD.md": card}, measured)
    write_prompt_scores(scores, target.parent / f"{target.name}-held-out.csv")


def held_out_scores(run: Path, data: Path, bundle: Path) -> list[PromptScore]:
    """Scores of a bundle on the patients that the run held out."""
    config, network = PromptTrainConfig.load(run / "config.json"), load_prompt_bundle(bundle).network()
    scores = []
    for layout, cases, _ in divided(config, data):
        for number, case in enumerate(c for c in cases if c.case_id in set(_split(run).held_out)):
            study, truth = load_case(case, layout)
            scores += score_prompts(case.case_id, study.images[0], truth, network, number)
    return scores


def _split(run: Path) -> Split:
    return Split.load(run / "split.json")


def export_prompt_bundle(
    target: Path, run: Path, version: str, documents: Mapping[str, str], measured: Mapping[str, Any]
) -> None:
    """Write a bundle from a run folder; weights are rounded to half precision.

    Args:
        target: folder to make; its name is the bundle's name.
        run: folder of the run.
        version: of the bundle.
        documents: text of ``CARD.md`` and ``LICENSE``.
        measured: results with the command that measured them.

    Raises:
        BundleError: ONNX Runtime and torch disagree by more than `TOLERANCE` in probability.
        OutputError: the target exists, or writing failed.
    """
    config, network = load_prompt_run(run)
    half_precision(network)
    with output_folder(target) as folder:
        save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS)
        images, prompts = _example(config)
        with torch.inference_mode():
            features = network.encode(images)
        inputs = dict(zip(("places", "labels", "boxes", "has_box"), prompts, strict=True))
        names = {"network.": ""}
        write_graph(folder / "encoder.onnx", _Encoder(network).eval(), {"images": images}, ("features",), names)
        write_graph(
            folder / "decoder.onnx",
            _Decoder(network).eval(),
            {"features": features.clone(), "images": images, **inputs},
            ("logits", "overlap"),
            names,
        )
        _describe(folder, target.name, run, version, documents, measured)
        _check(folder, network, config, images, prompts)


def _describe(
    folder: Path, name: str, run: Path, version: str, documents: Mapping[str, str], measured: Mapping[str, Any]
) -> None:
    """Write what is not a network into a bundle's folder: documents, and the manifest last."""
    config = PromptTrainConfig.load(run / "config.json")
    for document, text in documents.items():
        (folder / document).write_text(text, encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)  # tensors are written for their owner alone
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "version": version,
        "code_version": cmrseg.__version__,
        "licence_id": LICENCE_ID,
        "data": prompt_card.DATA,
        "input": asdict(config.input),
        "clicks": config.model.clicks,
        "architecture": asdict(config.model),
        "split": _split(run).parts(),
        "training": config.published(),
        "measured": dict(measured),
        "files": {p.name: sha256_of(p) for p in sorted(folder.iterdir())},
    }
    write_manifest(folder / MANIFEST, manifest)


def _example(config: PromptTrainConfig) -> tuple[Tensor, PromptTensors]:
    """Two windows of noise with a prompt each: a box and a click, and a click alone."""
    generator, side = torch.Generator().manual_seed(0), config.input.size
    places = torch.rand(2, config.model.clicks, 2, generator=generator) * side
    labels = torch.full((2, config.model.clicks), -1)
    labels[:, 0] = 1
    boxes = torch.tensor([[0.2, 0.3, 0.6, 0.7], [0.0, 0.0, 0.0, 0.0]]) * side
    images = torch.randn(2, 1, side, side, generator=generator)
    return images, PromptTensors(places, labels, boxes, torch.tensor([1.0, 0.0]))


def _check(
    folder: Path, network: PromptedSam, config: PromptTrainConfig, images: Tensor, prompts: PromptTensors
) -> None:
    exported, own = load_prompt_bundle(folder).network(), TorchPromptNetwork(network, config.input)
    given = WindowPrompts(*(part.numpy() for part in prompts))
    # one prompt and several: the graphs must not have learnt the number of the example
    for some in (slice(0, 1), slice(0, 2)):
        pixels = images[some].numpy()
        asked = WindowPrompts(*(part[some] for part in _parts(given)))
        (one, one_overlap), (other, other_overlap) = (
            n.decode(n.encode(pixels), pixels, asked) for n in (exported, own)
        )
        difference = max(_largest(_probability(one) - _probability(other)), _largest(one_overlap - other_overlap))
        if not difference <= TOLERANCE:
            raise BundleError(
                f"ONNX Runtime and torch differ by {difference:.2g}.", "Check the export before shipping."
            )


def _parts(prompts: WindowPrompts) -> Sequence[NDArray[Any]]:
    return prompts.places_PN2, prompts.labels_PN, prompts.boxes_P4, prompts.has_box_P


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


def _largest(difference: NDArray[np.float32]) -> float:
    return float(np.abs(difference).max())
