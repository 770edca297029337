"""Prompts become tokens, and tokens become masks."""

from __future__ import annotations

import math

import pytest
import torch
from sam_models import DECODER, GLOBAL, PROMPTS, randomise, sam_config

from cmrseg.errors import UsageError
from cmrseg.models.sam.mask_decoder import MLP
from cmrseg.models.sam.prompt_encoder import PositionEmbeddingRandom, PromptEncoder
from cmrseg.models.sam.sam import Sam


@pytest.fixture
def sam() -> Sam:
    """A small model with random weights."""
    model = Sam(sam_config(GLOBAL)).eval()
    randomise(model)
    return model


def test_position_embedding_by_hand() -> None:
    """One projection (1, 2) of the place (0.75, 0.5): 2 pi (0.5 * 1 + 0 * 2) = pi, whose sine is 0 and cosine -1."""
    layer = PositionEmbeddingRandom(1)
    layer.positional_encoding_gaussian_matrix.copy_(torch.tensor([[1.0], [2.0]]))
    assert torch.allclose(layer.of(torch.tensor([0.75, 0.5])), torch.tensor([0.0, -1.0]), atol=1e-6)
    # columns of a grid of 1 x 2 have their centres at 0.25 and 0.75: angles -pi and pi
    assert torch.allclose(layer((1, 2))[1], torch.tensor([[-1.0, -1.0]]), atol=1e-6)


def test_a_point_stands_where_the_cell_under_it_stands() -> None:
    """Pixel (7.5 + 16 x, 7.5 + 16 y), plus half a pixel, is the centre of patch (x, y); the image is not square."""
    encoder = PromptEncoder(PROMPTS)
    for kind in encoder.point_embeddings.parameters():
        torch.nn.init.zeros_(kind)
    places = torch.tensor([[[7.5 + 16 * 2, 7.5 + 16 * 1]]])
    token = encoder.embed_points(places, torch.ones(1, 1, dtype=torch.int64), (48, 80), pad=False)
    assert torch.allclose(token[0, 0], encoder.grid_positions((48, 80))[0, :, 1, 2], atol=1e-5)


def test_number_of_tokens() -> None:
    """A point that is none is added when there is no box; corners of a box are two."""
    encoder = PromptEncoder(PROMPTS)
    points = (torch.rand(2, 3, 2), torch.ones(2, 3, dtype=torch.int64))
    boxes = torch.rand(2, 4)
    assert encoder((64, 64), points).sparse_PND.shape == (2, 4, 32)
    assert encoder((64, 64), None, boxes).sparse_PND.shape == (2, 2, 32)
    assert encoder((64, 64), points, boxes).sparse_PND.shape == (2, 5, 32)
    nothing = encoder((64, 96))
    assert nothing.sparse_PND.shape == (1, 0, 32)
    assert nothing.dense_PDhw.shape == (1, 32, 4, 6)


def test_the_place_of_no_point_does_not_matter() -> None:
    encoder = PromptEncoder(PROMPTS)
    labels = torch.tensor([[1, -1]])
    first = encoder((64, 64), (torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), labels)).sparse_PND
    second = encoder((64, 64), (torch.tensor([[[3.0, 4.0], [50.0, 9.0]]]), labels)).sparse_PND
    assert torch.equal(first, second)
    assert torch.equal(first[0, 1], encoder.not_a_point_embed.weight[0])


def test_prompts_that_do_not_fit_are_refused(sam: Sam) -> None:
    encoder = sam.prompt_encoder
    with pytest.raises(UsageError, match=r"\[2, 3\] prompts"):
        encoder((64, 64), None, torch.rand(3, 4), torch.rand(2, 1, 16, 16))
    with pytest.raises(UsageError, match="Mask prompts"):
        encoder((64, 64), masks_P1HW=torch.rand(2, 1, 16, 20))
    with pytest.raises(UsageError, match="patches of 16"):
        encoder((64, 60))
    with pytest.raises(UsageError, match="3 prompts cannot be divided among 2 images"):
        sam(torch.zeros(2, 3, 64, 64), boxes_P4=torch.rand(3, 4))


def test_masks_have_the_size_of_the_image(sam: Sam) -> None:
    images, boxes = torch.randn(2, 3, 48, 80), torch.rand(4, 4) * 48
    for multimask, count in ((False, 1), (True, DECODER.num_multimask_outputs)):
        masks = sam(images, boxes_P4=boxes, multimask=multimask)
        assert masks.logits_PMHW.shape == (4, count, 48, 80)
        assert masks.iou_PM.shape == (4, count)


@torch.no_grad()
def test_prompts_belong_to_their_image(sam: Sam) -> None:
    """Four prompts of two images together are what each image gives with its own two."""
    images, boxes = torch.randn(2, 3, 64, 64), torch.rand(4, 4) * 64
    together = sam(images, boxes_P4=boxes)
    for i in range(2):
        alone = sam(images[i : i + 1], boxes_P4=boxes[2 * i : 2 * i + 2])
        assert torch.allclose(together.logits_PMHW[2 * i : 2 * i + 2], alone.logits_PMHW, atol=1e-4)
        assert torch.allclose(together.iou_PM[2 * i : 2 * i + 2], alone.iou_PM, atol=1e-4)


def test_the_gradient_reaches_every_weight(sam: Sam) -> None:
    points = (torch.rand(1, 3, 2) * 64, torch.tensor([[1, 0, -1]]))
    for mask in (None, torch.randn(1, 1, 16, 16)):
        masks = sam.mask_decoder.every_mask(
            sam.image_encoder(torch.randn(1, 3, 64, 64)),
            sam.prompt_encoder.grid_positions((64, 64)),
            sam.prompt_encoder((64, 64), points, torch.rand(1, 4) * 64, mask),
        )
        (masks.logits_PMHW.square().mean() + masks.iou_PM.square().sum()).backward()
    idle = [n for n, p in sam.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not idle


def test_perceptron_by_hand() -> None:
    """Weights of 1 and two hidden channels: relu(x) twice, summed: 2 + 2 = 4 for 2; nothing for -2."""
    mlp = MLP(1, 2, 1, 2)
    for name, parameter in mlp.named_parameters():
        torch.nn.init.constant_(parameter, float("weight" in name))
    assert mlp(torch.tensor([[2.0], [-2.0]])).tolist() == [[4.0], [0.0]]
    assert len(MLP(4, 8, 2, 3).layers) == 3
    assert math.prod(MLP(4, 8, 2, 3).layers[-1].weight.shape) == 16
