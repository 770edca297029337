"""SAM-2 prompted with boxes of the truth: a tiny random model, its prompts, the overlap of masks, the name ORACLE."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cmrseg.errors import BundleError
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import CINE
from cmrseg.models.sam2 import ORACLE_METHOD, OracleSam2, oracle_scores, oracle_segment
from cmrseg.phantom import make_phantom, tiny
from cmrseg.study import Patient, Study

SIZE = 64


class BoxFiller:
    """Stands in for SAM-2: its mask is what lies in the box, a quarter as fine as the image, as SAM-2's are."""

    def __init__(self, size: int = 256) -> None:
        self.config = SimpleNamespace(prompt_encoder_config=SimpleNamespace(image_size=size))
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def eval(self) -> BoxFiller:
        return self

    def __call__(self, pixel_values: torch.Tensor, input_boxes: torch.Tensor, multimask_output: bool) -> Any:
        assert not multimask_output
        self.calls.append((pixel_values, input_boxes))
        centres = 4 * torch.arange(pixel_values.shape[-1] // 4) + 1.5
        x0, y0, x1, y1 = (input_boxes[0, :, k, None] for k in range(4))
        columns = (centres > x0) & (centres < x1)
        rows = (centres > y0) & (centres < y1)
        masks = (rows[:, :, None] & columns[:, None, :]).float() * 2 - 1
        return SimpleNamespace(pred_masks=masks[None, :, None])


@pytest.fixture(scope="module")
def sam2() -> Any:
    """A tiny random model of the transformers library."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIZE, SIZE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 2, 2, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    return transformers.Sam2Model(
        transformers.Sam2Config(
            vision_config=vision,
            prompt_encoder_config={"hidden_size": 32, "image_size": SIZE, "patch_size": 16},
            mask_decoder_config={
                "hidden_size": 32,
                "mlp_dim": 32,
                "num_attention_heads": 2,
                "iou_head_hidden_dim": 16,
            },
        )
    )


@pytest.fixture
def checkpoint(sam2: Any, tmp_path: Path) -> Path:
    """That model as a folder."""
    sam2.save_pretrained(tmp_path / "sam2-tiny")
    return tmp_path / "sam2-tiny"


def _slice() -> tuple[Any, Any]:
    """A cavity in its muscle, and the RV beside them, on 32 rows and 64 columns."""
    truth = np.zeros((32, 64), np.uint8)
    truth[8:24, 8:24] = CINE["lv_myocardium"]
    truth[12:20, 12:20] = CINE["lv_cavity"]
    truth[8:16, 40:56] = CINE["rv_cavity"]
    return truth.astype(np.float32) * 100, truth


def test_loaded_model_is_the_saved_one(sam2: Any, checkpoint: Path) -> None:
    loaded = OracleSam2.load(checkpoint)
    assert loaded.size == SIZE
    assert not loaded.model.training
    theirs = sam2.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in loaded.model.state_dict().items())


def test_random_model_draws_on_the_slices_grid_where_there_are_prompts(checkpoint: Path) -> None:
    oracle = OracleSam2.load(checkpoint)
    picture, truth = _slice()
    drawn = oracle.draw(picture, truth)
    assert drawn.shape == truth.shape
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, oracle.draw(picture, truth))
    assert not oracle.draw(picture, np.zeros_like(truth)).any()
    # a random model draws something, and only structures that the truth shows
    only_rv = np.where(truth == CINE["rv_cavity"], truth, 0).astype(np.uint8)
    assert set(np.unique(oracle.draw(picture, only_rv))) <= {0, CINE["rv_cavity"]}


def test_a_perfect_drawer_of_boxes_gives_the_boxes_and_the_cavity_lies_in_its_muscle() -> None:
    filler = BoxFiller()
    picture, truth = _slice()
    assert np.array_equal(OracleSam2(filler).draw(picture, truth), truth)
    ((pixels, boxes),) = filler.calls
    # in the order of class numbers, as fractions of the slice times 256 less half a pixel
    assert boxes[0].tolist() == [
        [40 / 64 * 256 - 0.5, 8 / 32 * 256 - 0.5, 56 / 64 * 256 - 0.5, 16 / 32 * 256 - 0.5],
        [8 / 64 * 256 - 0.5, 8 / 32 * 256 - 0.5, 24 / 64 * 256 - 0.5, 24 / 32 * 256 - 0.5],
        [12 / 64 * 256 - 0.5, 12 / 32 * 256 - 0.5, 20 / 64 * 256 - 0.5, 20 / 32 * 256 - 0.5],
    ]
    assert pixels.shape == (1, 3, 256, 256)
    # black and white of a photograph, standardised as SAM-2 was trained
    assert float(pixels[0, 0].min()) == pytest.approx((0 - 0.485) / 0.229, abs=1e-5)
    assert float(pixels[0, 2].max()) == pytest.approx((1 - 0.406) / 0.225, abs=1e-5)


def test_constant_slice_gives_finite_numbers(checkpoint: Path) -> None:
    _, truth = _slice()
    assert OracleSam2.load(checkpoint).draw(np.full(truth.shape, 7, np.float32), truth).shape == truth.shape


def test_every_result_is_called_oracle_and_withholds_trust() -> None:
    phantom = make_phantom(tiny())
    labels = phantom.segmentation.labels
    truth = Truth(labels[[0, 2]], (0, 2), phantom.segmentation.geometry)
    result = oracle_segment(phantom.image, truth, OracleSam2(BoxFiller()))
    assert result.method == ORACLE_METHOD
    assert "ORACLE" in result.method
    assert [(f.code, f.severity) for f in result.findings] == [("oracle_prompts", "reject")]
    assert result.labels.shape == truth.labels.shape
    assert bool((result.labels[1] > 0).any())


def test_scores_compare_with_the_truth_the_boxes_came_from() -> None:
    """Perfect boxes are not perfect masks: ventricles are round, and what fills their boxes is not."""
    phantom = make_phantom(replace(tiny(), seed=1))
    frames = tuple(range(len(phantom.segmentation.labels)))[:2]
    truth = Truth(phantom.segmentation.labels[list(frames)], frames, phantom.segmentation.geometry)
    study = Study("case", Path(), (phantom.image,), Patient())
    (score,) = oracle_scores([Case("case", Path())], lambda _: (study, truth), OracleSam2(BoxFiller()))
    assert 0.5 < score.dice["lv_cavity_ed"] < 0.95
    assert score.structures["lv_cavity_ed"].values["sensitivity"] == pytest.approx(1, abs=0.1)


def test_weights_that_are_missing_are_never_replaced_by_random_ones(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    gone = "mask_decoder.iou_token.weight"
    save_file({k: v for k, v in weights.items() if k != gone}, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match=gone):
        OracleSam2.load(checkpoint)


@pytest.mark.parametrize("harm", ["no folder", "no weights", "pickle", "cut", "not json", "other sizes", "no sizes"])
def test_folder_that_holds_no_model_is_refused(checkpoint: Path, harm: str) -> None:
    config, weights = checkpoint / "config.json", checkpoint / "model.safetensors"
    path = checkpoint
    if harm == "no folder":
        path = checkpoint / "nothing"
    elif harm == "no weights":
        weights.unlink()
    elif harm == "pickle":
        torch.save(load_file(weights), checkpoint / "pytorch_model.bin")
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif harm == "not json":
        config.write_text("{")
    else:
        content = json.loads(config.read_text())
        content["mask_decoder_config"]["mlp_dim"] = 48 if harm == "other sizes" else "many"
        config.write_text(json.dumps(content))
    with pytest.raises(BundleError):
        OracleSam2.load(path)
