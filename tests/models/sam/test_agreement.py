"""Every part gives what an independent implementation gives with the same weights, which pass through a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sam_models import DECODER, GLOBAL, PLAIN, WINDOWED, independent_sam, sam_config
from torch import Tensor

from cmrseg.models.sam.checkpoints import load_sam
from cmrseg.models.sam.config import ImageEncoderConfig
from cmrseg.models.sam.image_encoder import Attention
from cmrseg.models.sam.sam import Sam

TOLERANCE = 1e-4


def close(ours: Tensor, theirs: Tensor) -> None:
    """Equal shapes, and equal to a ten-thousandth of the largest value (or of one)."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * max(1.0, float(theirs.abs().max()))
    assert theirs.std() > 1e-3


@pytest.fixture(params=[WINDOWED, GLOBAL, PLAIN], ids=["windowed", "global", "no relative positions"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Sam, Any]:
    """Our model and the independent one with the same weights."""
    encoder: ImageEncoderConfig = request.param
    theirs = independent_sam(sam_config(encoder))
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    ours = Sam(sam_config(encoder)).eval()
    load_sam(ours, tmp_path)
    return ours, theirs


@torch.no_grad()
def test_image_encoder(both: tuple[Sam, Any]) -> None:
    ours, theirs = both
    size = ours.config.image_encoder.image_size
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    close(ours.image_encoder(images), theirs.vision_encoder(images).last_hidden_state)


@torch.no_grad()
def test_prompt_encoder_points_boxes_and_masks(both: tuple[Sam, Any]) -> None:
    ours, theirs = both
    size = ours.config.image_encoder.image_size
    image_hw = (size, size)
    generator = torch.Generator().manual_seed(2)
    places = torch.rand(2, 3, 2, generator=generator) * size
    labels = torch.tensor([[1, 0, -1], [0, 1, 1]])
    boxes = torch.rand(2, 4, generator=generator) * size
    masks = torch.randn(2, 1, size // 4, size // 4, generator=generator)
    # the independent one puts several prompts of an image on an axis of their own
    for points, own_boxes, own_masks in (
        ((places, labels), None, None),
        (None, boxes, None),
        ((places, labels), boxes, None),
        ((places, labels), boxes, masks),
    ):
        sparse, dense = ours.prompt_encoder(image_hw, points, own_boxes, own_masks)
        their_sparse, their_dense = theirs.prompt_encoder(
            None if points is None else places[:, None],
            None if points is None else labels[:, None],
            None if own_boxes is None else boxes[:, None],
            own_masks,
        )
        close(sparse, their_sparse[:, 0])
        close(dense, their_dense)
    close(ours.prompt_encoder.grid_positions(image_hw), theirs.get_image_wide_positional_embeddings())


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_whole_model_with_several_prompts_per_image(both: tuple[Sam, Any], multimask: bool) -> None:
    ours, theirs = both
    size = ours.config.image_encoder.image_size
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(2, 3, size, size, generator=generator)
    boxes = torch.rand(2, 3, 4, generator=generator) * size
    places = torch.rand(2, 3, 2, 2, generator=generator) * size
    labels = torch.randint(0, 2, (2, 3, 2), generator=generator)
    expected = theirs(
        pixel_values=images, input_points=places, input_labels=labels, input_boxes=boxes, multimask_output=multimask
    )
    image_hw = (size, size)
    prompts = ours.prompt_encoder(image_hw, (places.flatten(0, 1), labels.flatten(0, 1)), boxes.flatten(0, 1))
    masks = ours.mask_decoder(
        ours.image_encoder(images), ours.prompt_encoder.grid_positions(image_hw), prompts, multimask=multimask
    )
    count = DECODER.num_multimask_outputs if multimask else 1
    assert masks.logits_PMHW.shape == (6, count, size // 4, size // 4)
    close(masks.logits_PMHW, expected.pred_masks.flatten(0, 1))
    close(masks.iou_PM, expected.iou_scores.flatten(0, 1))


@torch.no_grad()
def test_relative_positions_interpolated_to_another_grid() -> None:
    """Made for 4 x 4 patches and used on 6 x 6, and on 3 x 5."""
    theirs = independent_sam(sam_config(GLOBAL)).vision_encoder.layers[0].attn
    ours = Attention(GLOBAL.embed_dim, GLOBAL.num_heads, GLOBAL.qkv_bias, GLOBAL.grid_size).eval()
    ours.load_state_dict(theirs.state_dict())
    for h, w in ((6, 6), (3, 5)):
        tokens = torch.randn(2, h, w, GLOBAL.embed_dim, generator=torch.Generator().manual_seed(4))
        expected = theirs(tokens)
        close(ours(tokens), expected[0] if isinstance(expected, tuple) else expected)
