"""Sizes, position embeddings and windows of the image encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnxruntime
import pytest
import torch
from sam_models import GLOBAL, WINDOWED, randomise
from torch import Tensor

from cmrseg.errors import UsageError
from cmrseg.models.sam.config import (
    IMAGE_ENCODERS,
    ImageEncoderConfig,
    MaskDecoderConfig,
    PromptEncoderConfig,
    SamConfig,
)
from cmrseg.models.sam.image_encoder import ImageEncoderViT, in_windows
from cmrseg.models.sam.layers import LayerNorm2d, offsets, resize_grid, resize_offsets


def test_weights_of_vit_b_are_as_many_as_published() -> None:
    """Counted by hand from the architecture: 89.67 million."""
    patches = 3 * 16 * 16 * 768 + 768
    positions = 64 * 64 * 768
    block = 2 * (2 * 768) + (768 * 3 * 768 + 3 * 768) + (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768)
    relative = 8 * 2 * (2 * 14 - 1) * 64 + 4 * 2 * (2 * 64 - 1) * 64
    neck = 768 * 256 + 2 * 256 + 256 * 256 * 9 + 2 * 256
    with torch.device("meta"):
        encoder = ImageEncoderViT(IMAGE_ENCODERS["vit_b"])
    count = sum(p.numel() for p in encoder.parameters())
    assert count == patches + positions + 12 * block + relative + neck == 89_670_912


@pytest.mark.parametrize("name", sorted(IMAGE_ENCODERS))
def test_presets_give_features_of_a_sixteenth_or_an_eighth(name: str) -> None:
    config = IMAGE_ENCODERS[name]
    with torch.device("meta"):
        features = ImageEncoderViT(config)(torch.empty(1, 3, config.image_size, config.image_size))
    assert features.shape == (1, config.out_channels, config.grid_size, config.grid_size)


def test_vit_b_takes_224_px_images() -> None:
    with torch.device("meta"):
        assert ImageEncoderViT(IMAGE_ENCODERS["vit_b"])(torch.empty(2, 3, 224, 224)).shape == (2, 256, 14, 14)


def test_names_are_those_of_published_checkpoints() -> None:
    names = set(ImageEncoderViT(dataclasses.replace(WINDOWED, depth=1, global_attention_indexes=())).state_dict())
    block = {"norm1", "norm2", "attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"}
    expected = {f"blocks.0.{n}.{kind}" for n in block for kind in ("weight", "bias")}
    expected |= {"pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "neck.0.weight", "neck.2.weight"}
    expected |= {"blocks.0.attn.rel_pos_h", "blocks.0.attn.rel_pos_w"}
    expected |= {f"neck.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")}
    assert names == expected


def test_relative_positions_cover_the_window_or_the_grid() -> None:
    encoder = ImageEncoderViT(WINDOWED)
    assert [b.attn.rel_pos_h.shape for b in encoder.blocks] == [(2 * 4 - 1, 16), (2 * 6 - 1, 16)]


@pytest.mark.parametrize("config", [WINDOWED, GLOBAL])
def test_images_that_are_not_square_and_of_another_size(config: ImageEncoderConfig) -> None:
    encoder = ImageEncoderViT(config)
    randomise(encoder)
    image = torch.randn(1, 3, 48, 112, requires_grad=True)
    features = encoder(image)
    assert features.shape == (1, 32, 3, 7)
    features.square().sum().backward()
    assert image.grad is not None
    assert all(
        p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in encoder.parameters()
    )


@pytest.mark.parametrize("size", [(50, 64), (64, 50)])
def test_images_that_do_not_divide_into_patches_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="patches of 16"):
        ImageEncoderViT(GLOBAL)(torch.zeros(1, 3, *size))


def test_position_embedding_of_the_same_grid_is_untouched() -> None:
    embedding = torch.randn(1, 4, 5, 3)
    assert resize_grid(embedding, (4, 5)) is embedding
    table = torch.randn(7, 3)
    assert resize_offsets(table, 7) is table


def test_position_embedding_brought_from_1024_to_224_px() -> None:
    """A constant stays, and a slope that rises along rows from 0 to 63 keeps its middle and rises by 64/14 a row."""
    slope = torch.arange(64.0)[:, None].expand(64, 64)
    embedding = torch.stack([torch.ones(64, 64), slope, slope.T], dim=-1)[None]
    resized = resize_grid(embedding, (14, 14))[0]
    assert resized.shape == (14, 14, 3)
    assert torch.allclose(resized[..., 0], torch.ones(14, 14), atol=1e-5)
    expected = (torch.arange(14) + 0.5) * 64 / 14 - 0.5
    assert torch.allclose(resized[2:-2, :, 1], expected[2:-2, None].expand(-1, 14), atol=0.01)
    assert torch.allclose(resized[:, 2:-2, 2], expected[None, 2:-2].expand(14, -1), atol=0.01)


def test_relative_positions_brought_from_64_to_14_patches() -> None:
    """The middle of 127 offsets is the middle of 27; a slope rises by 127/27 an offset."""
    table = torch.arange(-63.0, 64.0)[:, None]
    resized = resize_offsets(table, 27)[:, 0]
    assert resized[13] == pytest.approx(0.0, abs=1e-5)
    assert torch.allclose(resized.diff(), torch.full((26,), 127 / 27), atol=1e-4)


def test_offsets_count_from_the_key_to_the_query() -> None:
    assert offsets(3, torch.device("cpu")).tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_windows_are_apart_and_come_back_in_place() -> None:
    """Sums over windows of 2 x 2 in a grid of 3 x 3, padded with zeros: 4, 2, 2 and 1 ones."""

    def total(windows: Tensor) -> Tensor:
        assert windows.shape == (4, 2, 2, 1)
        return windows.sum(dim=(1, 2), keepdim=True).expand_as(windows)

    summed = in_windows(total, torch.ones(1, 3, 3, 1), 2)[0, :, :, 0]
    assert summed.tolist() == [[4, 4, 2], [4, 4, 2], [2, 2, 1]]


def test_windowed_blocks_do_not_see_beyond_their_window() -> None:
    encoder = ImageEncoderViT(dataclasses.replace(WINDOWED, global_attention_indexes=())).eval()
    randomise(encoder)
    tokens = torch.randn(1, 6, 6, 32)
    changed = tokens.clone()
    changed[0, 5, 5] += 1
    with torch.no_grad():
        differs = (encoder.transform(tokens) != encoder.transform(changed)).any(dim=-1)[0]
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[4:, 4:] = True
    assert torch.equal(differs, expected)


def test_layer_norm_2d_normalises_the_channels_of_each_pixel() -> None:
    """Channels 1 and 3 have mean 2 and deviation 1."""
    normed = LayerNorm2d(2)(torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3))
    assert torch.allclose(normed, torch.tensor([-1.0, 1.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3), atol=1e-5)


@pytest.mark.parametrize("config", [IMAGE_ENCODERS["tiny"], WINDOWED], ids=["tiny", "windowed"])
def test_export_takes_any_number_of_images(config: ImageEncoderConfig, tmp_path: Path) -> None:
    encoder = ImageEncoderViT(config).eval()
    randomise(encoder)
    dynamic = ({0: torch.export.Dim("batch")},)
    size = (config.image_size * 2, config.image_size)
    exported = torch.onnx.export(
        encoder, (torch.randn(2, 3, *size),), dynamo=True, dynamic_shapes=dynamic, verbose=False
    )
    assert exported is not None
    exported.save(tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    images = torch.randn(3, 3, *size)
    (given,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(given), encoder(images), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 100}, "100 px"),
        ({"image_size": 8}, "8 px"),
        ({"num_heads": 5}, "5 heads"),
        ({"global_attention_indexes": (2,)}, r"\[2\]"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(WINDOWED, **change)


def test_parts_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(UsageError, match="channels"):
        SamConfig(image_encoder=WINDOWED)
    with pytest.raises(UsageError, match="patches"):
        SamConfig(prompt_encoder=PromptEncoderConfig(patch_size=8))
    with pytest.raises(UsageError, match="33 channels"):
        PromptEncoderConfig(embed_dim=33)
    with pytest.raises(UsageError, match="heads"):
        MaskDecoderConfig(embed_dim=24)
