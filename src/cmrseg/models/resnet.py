"""Residual networks as backbones, without classifier; tensors have the names that torchvision gives them.

Source: He et al., Deep residual learning for image recognition, CVPR 2016, with the stride of a bottleneck in its
3 x 3 convolution, as in the checkpoints that are passed on.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from cmrseg.errors import BundleError, UsageError
from cmrseg.models.sam.checkpoints import read_tensors

#: Blocks of the four layers by depth.
LAYERS: dict[int, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
#: Channels of a colour image, which published backbones were trained with.
_COLOURS = 3


class Pyramid(NamedTuple):
    """Feature maps of a ResNet."""

    low_BCHW: Tensor
    """Output of layer1, at a quarter of the input's rows and columns."""
    high_BCHW: Tensor
    """Output of layer4, at a sixteenth."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; [B, C_in, H, W] -> [B, width, H / stride, W / stride]."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The map plus what the convolutions make of it."""
        x = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x_BCHW)))))
        out: Tensor = self.relu(x + self.downsample(x_BCHW))
        return out


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut; [B, C_in, H, W] -> [B, 4 width, H / stride, W / stride]."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The map plus what the convolutions make of it."""
        x = self.relu(self.bn1(self.conv1(x_BCHW)))
        x = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(x)))))
        out: Tensor = self.relu(x + self.downsample(x_BCHW))
        return out


class ResNet(nn.Module):
    """Backbone of output stride 16: layer4 keeps its resolution and widens its convolutions by dilation instead.

    Args:
        depth: 18, 50 or 101.
        in_channels: channels of the input.
        width: channels of the stem; every layer after the first doubles them.

    Raises:
        UsageError: another depth.
    """

    def __init__(self, depth: int, in_channels: int = _COLOURS, width: int = 64) -> None:
        super().__init__()
        if depth not in LAYERS:
            raise UsageError(f"There is no ResNet of depth {depth}.", f"Depths: {', '.join(map(str, LAYERS))}.")
        block = BasicBlock if depth < 50 else Bottleneck
        self.low_channels = width * block.expansion
        self.high_channels = 8 * width * block.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks = LAYERS[depth]
        self.layer1 = _layer(block, width, width, blocks[0], stride=1)
        self.layer2 = _layer(block, width * block.expansion, 2 * width, blocks[1], stride=2)
        self.layer3 = _layer(block, 2 * width * block.expansion, 4 * width, blocks[2], stride=2)
        self.layer4 = _layer(block, 4 * width * block.expansion, 8 * width, blocks[3], stride=1, dilation=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x_BCHW: Tensor) -> Pyramid:
        """Feature maps of images [B, in_channels, H, W]."""
        low = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x_BCHW)))))
        return Pyramid(low, self.layer4(self.layer3(self.layer2(low))))


def load_resnet(resnet: ResNet, path: Path) -> None:
    """Give a backbone the weights of a checkpoint in torchvision's layout; its classifier is left aside.

    Weights of a stem for colour are turned into those of another number of channels so that equal channels give what a
    grey image in all three colours would give.

    Args:
        resnet: takes the weights, all or none.
        path: ``.pth`` or ``.safetensors``; tensors alone are read, code in the file is never run.

    Raises:
        BundleError: nothing there, a damaged file, code in it, weights that are not finite, or a ResNet of other sizes.
    """
    state = {k: v for k, v in read_tensors(path).items() if not k.startswith("fc.")}
    wanted = resnet.state_dict()
    n_channels = resnet.conv1.in_channels
    stem = state.get("conv1.weight")
    if stem is not None and stem.ndim == 4 and stem.shape[1] == _COLOURS != n_channels:
        state["conv1.weight"] = stem.sum(dim=1, keepdim=True).expand(-1, n_channels, -1, -1) / n_channels
    # counters came into use only after the oldest checkpoints
    needed = {k: v for k, v in wanted.items() if not k.endswith("num_batches_tracked")}
    problems = [f"{k} is missing" for k in needed if k not in state]
    problems += [f"{k} has no place" for k in state if k not in wanted]
    problems += [
        f"{k} is {tuple(state[k].shape)} and should be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BundleError(
            f"{path.name} does not fit this ResNet: {', '.join(problems[:3])}{more}.",
            "Choose the depth that the checkpoint was made with, and a width of 64.",
        )
    resnet.load_state_dict(wanted | state)


def _layer(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    n_blocks: int,
    stride: int,
    dilation: int = 1,
) -> nn.Sequential:
    # the first block of a dilated layer sees the grid of the layer before it
    blocks: list[nn.Module] = [block(in_channels, width, stride, 1)]
    blocks += [block(width * block.expansion, width, 1, dilation) for _ in range(n_blocks - 1)]
    return nn.Sequential(*blocks)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )
