"""Checkpoints of every layout give the same weights; anything else is refused with its name."""

from __future__ import annotations

import dataclasses
import pickle
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sam_models import GLOBAL, WINDOWED, independent_sam, randomise, sam_config
from torch import Tensor

from cmrseg.errors import BundleError
from cmrseg.models.encoder_bundle import write_encoder_bundle
from cmrseg.models.sam.checkpoints import load_image_encoder, load_sam, read_checkpoint
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.layers import resize_grid, resize_offsets
from cmrseg.models.sam.sam import Sam


@pytest.fixture
def sam() -> Sam:
    """A small model with random weights."""
    model = Sam(sam_config(WINDOWED))
    randomise(model)
    return model


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """The same names with the same values."""
    return set(ours) == set(theirs) and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_published_layout(sam: Sam, tmp_path: Path) -> None:
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    assert same(read_checkpoint(tmp_path / "sam.pth"), sam.state_dict())
    again = Sam(sam.config)
    load_sam(again, tmp_path / "sam.pth")
    assert same(again.state_dict(), sam.state_dict())


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_layout_of_training_scripts(sam: Sam, tmp_path: Path, key: str) -> None:
    state = {f"module.{k}": v for k, v in sam.state_dict().items()}
    torch.save({key: state, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "run.pth")
    assert same(read_checkpoint(tmp_path / "run.pth"), sam.state_dict())


def test_older_files_without_zip(sam: Sam, tmp_path: Path) -> None:
    torch.save(sam.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(tmp_path / "old.pth"), sam.state_dict())


def test_half_precision_is_widened(sam: Sam, tmp_path: Path) -> None:
    torch.save({k: v.half() for k, v in sam.state_dict().items()}, tmp_path / "half.pth")
    assert {v.dtype for v in read_checkpoint(tmp_path / "half.pth").values()} == {torch.float32}


def test_hugging_face_layout_names_every_weight_once(sam: Sam, tmp_path: Path) -> None:
    theirs = independent_sam(sam.config)
    state = theirs.state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    read = read_checkpoint(tmp_path)
    assert set(read) == set(sam.state_dict())
    # two names are the same tensor there
    assert len(read) == len(state) - 1
    assert sum(v.numel() for v in read.values()) == sum(v.numel() for v in sam.state_dict().values())


def test_hugging_face_folder_and_file_and_either_name_of_the_projections(sam: Sam, tmp_path: Path) -> None:
    theirs = independent_sam(sam.config)
    theirs.save_pretrained(tmp_path / "saved")
    saved = read_checkpoint(tmp_path / "saved")
    assert set(saved) == set(sam.state_dict())
    assert same(read_checkpoint(tmp_path / "saved" / "model.safetensors"), saved)
    state = {k: v.contiguous().clone() for k, v in theirs.state_dict().items()}
    del state["shared_image_embedding.positional_embedding"]
    save_file(state, tmp_path / "other.safetensors")
    assert same(read_checkpoint(tmp_path / "other.safetensors"), saved)


def test_encoder_bundle(sam: Sam, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_encoder_bundle(
        folder, WINDOWED, sam.image_encoder.state_dict(), {"name": "e"}, {"CARD.md": "card", "LICENSE": "terms"}
    )
    encoder = ImageEncoderViT(WINDOWED)
    load_image_encoder(encoder, folder)
    assert same(encoder.state_dict(), {k: v.half().float() for k, v in sam.image_encoder.state_dict().items()})
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        load_image_encoder(encoder, folder)


def test_image_encoder_leaves_the_rest_aside(sam: Sam, tmp_path: Path) -> None:
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    encoder = ImageEncoderViT(WINDOWED)
    load_image_encoder(encoder, tmp_path / "sam.pth")
    assert same(encoder.state_dict(), sam.image_encoder.state_dict())


def test_positions_are_interpolated_to_the_encoder(sam: Sam, tmp_path: Path) -> None:
    """From a grid of 6 with windows of 4 to a grid of 4 with windows of 3."""
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    encoder = ImageEncoderViT(dataclasses.replace(WINDOWED, image_size=64, window_size=3))
    load_image_encoder(encoder, tmp_path / "sam.pth")
    first, last = sam.image_encoder.blocks
    assert torch.equal(encoder.pos_embed, resize_grid(sam.image_encoder.pos_embed, (4, 4)))
    assert torch.equal(encoder.blocks[0].attn.rel_pos_h, resize_offsets(first.attn.rel_pos_h, 5))
    assert torch.equal(encoder.blocks[1].attn.rel_pos_w, resize_offsets(last.attn.rel_pos_w, 7))
    # an encoder that interpolates when it runs gives the same features of the smaller image
    images = torch.randn(1, 3, 64, 64)
    same_windows = ImageEncoderViT(dataclasses.replace(WINDOWED, image_size=64))
    load_image_encoder(same_windows, tmp_path / "sam.pth")
    with torch.no_grad():
        assert torch.allclose(same_windows(images), sam.image_encoder(images), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"embed_dim": 64}, r"pos_embed is \(1, 6, 6, 32\) and should be \(1, 6, 6, 64\)"),
        ({"depth": 3}, "blocks.2.norm1.weight is missing"),
        ({"depth": 1, "global_attention_indexes": ()}, "blocks.1.norm1.weight has no place"),
        ({"patch_size": 8, "image_size": 48}, r"patch_embed.proj.weight is \(32, 3, 16, 16\) and should be"),
        ({"use_rel_pos": False}, "blocks.0.attn.rel_pos_h has no place"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_changes(
    sam: Sam, tmp_path: Path, change: dict[str, int], problem: str
) -> None:
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    encoder = ImageEncoderViT(dataclasses.replace(WINDOWED, **change))
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    with pytest.raises(BundleError, match=problem):
        load_image_encoder(encoder, tmp_path / "sam.pth")
    assert same(encoder.state_dict(), before)


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_by_name_and_not_run(tmp_path: Path, zipped: bool) -> None:
    harmed, file = tmp_path / "harmed", tmp_path / "bad.pth"
    torch.save(
        {"image_encoder.pos_embed": torch.zeros(1), "x": Harm(harmed)}, file, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(BundleError, match=r"bad\.pth .* would run \S*(pathlib|getattr|touch)") as refusal:
        read_checkpoint(file)
    assert "Nothing was run" in refusal.value.remedy
    assert not harmed.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_with_code_is_refused(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(Harm(tmp_path / "harmed"), protocol))
    with pytest.raises(BundleError, match=r"plain\.bin") as refusal:
        read_checkpoint(tmp_path / "plain.bin")
    assert refusal.value.remedy.startswith("Nothing")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_bytes_changed_at_random_are_read_or_refused(sam: Sam, tmp_path: Path, zipped: bool) -> None:
    path, generator = tmp_path / "changed.pth", random.Random(0)
    state = {k: v for k, v in sam.state_dict().items() if "neck" in k}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    original, refused = path.read_bytes(), 0
    for _ in range(100):
        changed = bytearray(original)
        for _ in range(3):
            changed[generator.randrange(1000)] = generator.randrange(256)
        path.write_bytes(changed)
        try:
            read_checkpoint(path)
        except BundleError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors", "cut.bin"])
@pytest.mark.parametrize("length", [0, 7, 100, 5000])
def test_damaged_files_are_refused(sam: Sam, tmp_path: Path, name: str, length: int) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(sam.state_dict(), path)
    else:
        torch.save(sam.state_dict(), path, _use_new_zipfile_serialization=path.suffix == ".pth")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        read_checkpoint(path)


def test_weights_that_are_not_finite_are_refused(sam: Sam, tmp_path: Path) -> None:
    state = sam.state_dict()
    state["mask_decoder.iou_token.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(BundleError, match=r"nan\.pth these weights are not finite: mask_decoder\.iou_token\.weight"):
        read_checkpoint(tmp_path / "nan.pth")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"image_encoder.pos_embed": 1.0}, 3, {"model": {"a": 1}}])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "list.pth")
    with pytest.raises(BundleError, match="no state dict"):
        read_checkpoint(tmp_path / "list.pth")


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"stem.weight": torch.zeros(1)}, tmp_path / "unet.pth")
    with pytest.raises(BundleError, match=r"no image encoder .* begins with stem\.weight"):
        read_checkpoint(tmp_path / "unet.pth")
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(BundleError, match="begins with nothing"):
        read_checkpoint(tmp_path / "empty.pth")


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"There is no checkpoint 'none\.pth'"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(BundleError, match=r"holds no checkpoint"):
        read_checkpoint(tmp_path)


def test_global_encoder_takes_the_independent_weights(tmp_path: Path) -> None:
    theirs = independent_sam(sam_config(GLOBAL))
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    encoder = ImageEncoderViT(GLOBAL)
    load_image_encoder(encoder, tmp_path / "pytorch_model.bin")
    assert torch.equal(encoder.blocks[1].mlp.lin2.weight, theirs.vision_encoder.layers[1].mlp.lin2.weight)
