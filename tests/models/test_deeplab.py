"""DeepLabv3+ and its ResNet: size and layout of what was published, any image size, weights from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cmrseg.errors import BundleError, UsageError
from cmrseg.models.deeplab import DeepLabConfig, DeepLabV3Plus
from cmrseg.models.resnet import ResNet, load_resnet

SMALL = DeepLabConfig(depth=18, width=8, channels=16, skip_channels=8)
#: Weights that torchvision states for its ResNets, and those of their classifier of 1000 classes (512 or 2048 to 1000).
PUBLISHED = {18: (11_689_512, 513_000), 50: (25_557_032, 2_049_000), 101: (44_549_160, 2_049_000)}


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Reproducible normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_resnet(in_channels: int = 3, seed: int = 0) -> ResNet:
    """A ResNet-18 of an eighth of the channels, every tensor random, running statistics too."""
    resnet = ResNet(18, in_channels, width=8).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in resnet.state_dict().values():
            if value.is_floating_point():
                value.copy_(0.5 + 0.5 * torch.rand(value.shape, generator=generator))
    return resnet


def checkpoint_of(resnet: ResNet, **changes: Tensor) -> dict[str, Tensor]:
    """Its tensors with a classifier, as a published checkpoint has one."""
    classifier = {"fc.weight": noise(10, resnet.high_channels), "fc.bias": noise(10)}
    return {k: v.clone() for k, v in resnet.state_dict().items()} | classifier | changes


@pytest.mark.parametrize("depth", [18, 50, 101])
def test_a_resnet_has_as_many_weights_as_the_published_one_without_its_classifier(depth: int) -> None:
    with torch.device("meta"):
        resnet = ResNet(depth)
    whole, classifier = PUBLISHED[depth]
    assert sum(p.numel() for p in resnet.parameters()) == whole - classifier


def test_a_resnet_101_has_the_names_and_shapes_of_published_checkpoints() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in ResNet(101).state_dict().items()}
    expected = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.3.conv2.weight": (128, 128, 3, 3),
        "layer3.22.conv3.weight": (1024, 256, 1, 1),
        "layer4.2.bn3.num_batches_tracked": (),
    }
    assert {k: shapes.get(k) for k in expected} == expected
    # 5 tensors and one counter of each of 104 normalisations, 104 convolutions: 1 + 33 blocks x 3 + 4 shortcuts
    assert len(shapes) == 104 * 5 + 104


def test_weights_of_the_papers_size() -> None:
    with torch.device("meta"):
        network = DeepLabV3Plus()
    backbone = 44_549_160 - 2_049_000
    norm = 2 * 256
    # 1 x 1, three 3 x 3 and the mean of the whole map, from 2048 channels, then five branches narrowed to one
    pyramid = 2048 * 256 * (1 + 3 * 9 + 1) + 5 * norm + 5 * 256 * 256 + norm
    skip = 256 * 48 + 2 * 48
    decoder = 9 * (256 + 48) * 256 + norm + 9 * 256 * 256 + norm + 256 * 4 + 4
    assert sum(p.numel() for p in network.parameters()) == backbone + pyramid + skip + decoder
    assert (backbone + pyramid + skip + decoder) / 1e6 == pytest.approx(59.8, abs=0.6)


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (33, 47), (64, 40), (97, 65)])
def test_logits_have_the_size_of_any_image(rows: int, columns: int) -> None:
    logits = DeepLabV3Plus(SMALL).eval()(noise(1, 3, rows, columns))
    assert logits.shape == (1, 4, rows, columns)
    assert bool(torch.isfinite(logits).all())


def test_the_backbone_stops_at_a_sixteenth() -> None:
    low, high = ResNet(18, width=8)(noise(1, 3, 64, 96))
    assert low.shape == (1, 8, 16, 24)
    assert high.shape == (1, 64, 4, 6)


def test_the_last_layer_sees_twice_as_far_instead_of_halving_its_grid() -> None:
    last = ResNet(50, width=8).layer4
    found = [(block.conv2.stride, block.conv2.dilation) for block in last]
    assert found == [((1, 1), (1, 1)), ((1, 1), (2, 2)), ((1, 1), (2, 2))]


def test_a_batch_of_one_slice_trains() -> None:
    network = DeepLabV3Plus(SMALL).train()
    network(noise(1, 3, 64, 64)).square().mean().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)


def test_one_slice_leaves_the_running_statistics_of_the_whole_map_alone_and_two_do_not() -> None:
    network = DeepLabV3Plus(SMALL).train()
    norm = network.pyramid.pooled[2]
    before = norm.running_mean.clone()
    network(noise(1, 3, 64, 64))
    assert torch.equal(norm.running_mean, before)
    network(noise(2, 3, 64, 64))
    assert not torch.equal(norm.running_mean, before)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_checkpoint_gives_the_backbone_its_weights(suffix: str, tmp_path: Path) -> None:
    published = small_resnet()
    path = tmp_path / f"resnet{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(checkpoint_of(published), path)
    network = DeepLabV3Plus(SMALL).eval()
    network.load_encoder(path)
    x = noise(1, 3, 64, 64)
    assert torch.equal(network.backbone(x).high_BCHW, published(x).high_BCHW)


def test_a_checkpoint_older_than_the_counters_of_batches_loads(tmp_path: Path) -> None:
    published = small_resnet()
    old = {k: v for k, v in checkpoint_of(published).items() if not k.endswith("num_batches_tracked")}
    save_file(old, tmp_path / "old.safetensors")
    resnet = ResNet(18, width=8).eval()
    load_resnet(resnet, tmp_path / "old.safetensors")
    x = noise(1, 3, 32, 32)
    assert torch.equal(resnet(x).high_BCHW, published(x).high_BCHW)


@pytest.mark.parametrize("channels", [1, 5])
def test_equal_neighbours_give_what_a_grey_image_in_three_colours_gives(channels: int, tmp_path: Path) -> None:
    published = small_resnet()
    save_file(checkpoint_of(published), tmp_path / "colour.safetensors")
    resnet = ResNet(18, channels, width=8).eval()
    load_resnet(resnet, tmp_path / "colour.safetensors")
    grey = noise(1, 1, 32, 32)
    found = resnet(grey.expand(-1, channels, -1, -1)).low_BCHW
    torch.testing.assert_close(found, published(grey.expand(-1, 3, -1, -1)).low_BCHW, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layer9.weight": torch.ones(1)}, "layer9.weight has no place"),
        ({"bn1.bias": torch.ones(9)}, r"bn1.bias is \(9,\) and should be \(8,\)"),
        ({"bn1.num_batches_tracked": torch.ones(2)}, r"bn1.num_batches_tracked is \(2,\) and should be \(\)"),
        ({"bn1.bias": torch.full((8,), torch.nan)}, "not finite: bn1.bias"),
        ({"conv1.weight": torch.ones(8, 4, 7, 7)}, "conv1.weight is"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(
    changes: dict[str, Tensor], said: str, tmp_path: Path
) -> None:
    save_file(checkpoint_of(small_resnet(), **changes), tmp_path / "other.safetensors")
    resnet = small_resnet(seed=3)
    before = {k: v.clone() for k, v in resnet.state_dict().items()}
    with pytest.raises(BundleError, match=said):
        load_resnet(resnet, tmp_path / "other.safetensors")
    assert all(torch.equal(v, before[k]) for k, v in resnet.state_dict().items())


def test_a_checkpoint_with_a_tensor_missing_is_refused_by_its_name(tmp_path: Path) -> None:
    state = checkpoint_of(small_resnet())
    del state["layer2.0.conv1.weight"]
    save_file(state, tmp_path / "torn.safetensors")
    with pytest.raises(BundleError, match=r"layer2\.0\.conv1\.weight is missing"):
        load_resnet(ResNet(18, width=8), tmp_path / "torn.safetensors")


def test_a_depth_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no ResNet of depth 34"):
        ResNet(34)
