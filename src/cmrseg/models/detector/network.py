"""The detector: levels of features, and at every place of a level how far a box reaches and of what structure it is.

Sources: Redmon et al., CVPR 2016 (one stage); Tian et al., FCOS, ICCV 2019, and Ge et al., YOLOX, arXiv 2107.08430
(no anchors, heads for score and box apart); Wang et al., CSPNet, CVPRW 2020 (blocks); Liu et al., PANet, CVPR 2018
(levels joined from coarse to fine and back). Letters in names: B batch, S slices, H and W rows and columns, C channels,
L places, K structures, M boxes.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, softplus

from cmrseg.errors import UsageError
from cmrseg.models.detector.boxes import Boxes, suppress
from cmrseg.models.detector.config import DetectorConfig
from cmrseg.models.outputs import DenseBoxes, Outputs

#: Score of every place before training: most places see nothing (Lin et al., ICCV 2017).
_PRIOR = 0.01
#: Logit of a structure where nothing was found: as good as certain, and finite.
ABSENT = -12.0
_LEAST = 1e-5


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation, SiLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> None:
        convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(c_out), nn.SiLU())


class CrossStage(nn.Module):
    """Half of the channels pass residual blocks, and what every block gave is joined; [B, C_in, H, W] -> [B, C, H, W].

    Args:
        c_in: channels in.
        channels: channels out, even.
        blocks: residual blocks.
    """

    def __init__(self, c_in: int, channels: int, blocks: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = ConvUnit(c_in, 2 * half, kernel=1)
        self.blocks = nn.ModuleList(nn.Sequential(ConvUnit(half, half), ConvUnit(half, half)) for _ in range(blocks))
        self.leave = ConvUnit((2 + blocks) * half, channels, kernel=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The joined channels."""
        parts = list(self.enter(x_BCHW).chunk(2, dim=1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        joined: Tensor = self.leave(torch.cat(parts, dim=1))
        return joined


class Head(nn.Module):
    """Scores [B, K, h, w] and reaches [B, 4, h, w] of one level's places; apart, since they want different features."""

    def __init__(self, width: int, structures: int) -> None:
        super().__init__()
        self.score = nn.Sequential(ConvUnit(width, width), nn.Conv2d(width, structures, kernel_size=1))
        self.reach = nn.Sequential(ConvUnit(width, width), nn.Conv2d(width, 4, kernel_size=1))
        bias = self.score[-1].bias
        if isinstance(bias, nn.Parameter):
            nn.init.constant_(bias, -math.log(1 / _PRIOR - 1))

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and distances to the four edges of the box in strides of the level, above 0."""
        return self.score(x_BCHW), softplus(self.reach(x_BCHW))


class Detector(nn.Module):
    """Boxes of structures on slices [B, in_channels, H, W]; H and W are multiples of the config's `stride`.

    As a network of the registry it draws its boxes: a pixel inside one has a logit of at least 0, and see `paint`.

    Args:
        config: sizes. Weights are random until `load_state_dict`.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        widths, width = config.widths, config.head_width
        self.stem = ConvUnit(config.in_channels, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvUnit(a, b, stride=2), CrossStage(b, b, config.blocks)) for a, b in pairwise(widths)
        )
        self.strides = [2 ** (k + 2) for k in range(len(self.stages)) if 2 ** (k + 2) >= config.finest_stride]
        self.align = nn.ModuleList(ConvUnit(c, width, kernel=1) for c in widths[-len(self.strides) :])
        joints = len(self.strides) - 1
        self.descend = nn.ModuleList(CrossStage(2 * width, width, 1) for _ in range(joints))
        self.halve = nn.ModuleList(ConvUnit(width, width, stride=2) for _ in range(joints))
        self.ascend = nn.ModuleList(CrossStage(2 * width, width, 1) for _ in range(joints))
        self.heads = nn.ModuleList(Head(width, config.n_classes - 1) for _ in self.strides)

    def forward(self, x_BSHW: Tensor) -> Tensor | Outputs:
        """Logits [B, K + 1, H, W] that draw the boxes; with what every place proposes, as Outputs, in training mode."""
        dense = self.propose(x_BSHW)
        logits = paint(self.choose(dense), (x_BSHW.shape[-2], x_BSHW.shape[-1]), self.config.confidence)
        return Outputs(logits, detections=dense) if self.training else logits

    def detect(self, x_BSHW: Tensor) -> Boxes:
        """The boxes that the detector believes, and the score of its best one."""
        return self.choose(self.propose(x_BSHW))

    def propose(self, x_BSHW: Tensor) -> DenseBoxes:
        """What every place of every level proposes, float32.

        Raises:
            UsageError: H or W is no multiple of the config's `stride`.
        """
        stride = self.config.stride
        if x_BSHW.shape[-2] % stride or x_BSHW.shape[-1] % stride:
            raise UsageError(
                f"An image of {x_BSHW.shape[-2]} x {x_BSHW.shape[-1]} px does not suit this detector.",
                f"Resample or pad it to multiples of {stride} px.",
            )
        scores, edges, places, strides = [], [], [], []
        for head, features, step in zip(self.heads, self._levels(x_BSHW), self.strides, strict=True):
            score_BKhw, reach_B4hw = head(features)
            places_L2 = _places(score_BKhw, step)
            reach_BL4 = step * reach_B4hw.float().flatten(2).transpose(1, 2)
            edges.append(torch.cat([places_L2 - reach_BL4[..., :2], places_L2 + reach_BL4[..., 2:]], dim=-1))
            scores.append(score_BKhw.float().flatten(2).transpose(1, 2))
            places.append(places_L2)
            strides.append(torch.full_like(places_L2[:, 0], step))
        return DenseBoxes(torch.cat(scores, 1), torch.cat(edges, 1), torch.cat(places), torch.cat(strides))

    def choose(self, dense: DenseBoxes) -> Boxes:
        """The best boxes of each structure that do not overlap and reach the config's `confidence`."""
        config = self.config
        scores_BKL = dense.scores_BLK.sigmoid().transpose(1, 2)
        count = min(config.candidates, scores_BKL.shape[-1])
        best_BKN, place_BKN = scores_BKL.topk(count)
        edges_BKL4 = dense.edges_BL4[:, None].expand(-1, scores_BKL.shape[1], -1, -1)
        edges_BKN4 = edges_BKL4.gather(2, place_BKN[..., None].expand(-1, -1, -1, 4))
        believed = suppress(edges_BKN4, config.nms_iou) & (best_BKN >= config.confidence)
        kept_BKM, order_BKM = torch.where(believed, best_BKN, torch.zeros_like(best_BKN)).topk(
            min(config.max_boxes, count)
        )
        edges_BKM4 = edges_BKN4.gather(2, order_BKM[..., None].expand(-1, -1, -1, 4))
        edges_BKM4 = torch.where(kept_BKM[..., None] > 0, edges_BKM4, torch.zeros_like(edges_BKM4))
        return Boxes(edges_BKM4, kept_BKM, best_BKN[..., 0])

    def _levels(self, x_BSHW: Tensor) -> list[Tensor]:
        """Features of the levels that propose, from fine to coarse, each knowing of all others."""
        x = self.stem(x_BSHW)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        levels = [align(f) for align, f in zip(self.align, found[-len(self.strides) :], strict=True)]
        for k in range(len(levels) - 2, -1, -1):
            coarse = interpolate(levels[k + 1], scale_factor=2.0, mode="nearest")
            levels[k] = self.descend[k](torch.cat([levels[k], coarse], dim=1))
        for k in range(1, len(levels)):
            levels[k] = self.ascend[k - 1](torch.cat([self.halve[k - 1](levels[k - 1]), levels[k]], dim=1))
        return levels


def _places(like_BKhw: Tensor, step: int) -> Tensor:
    """Centres (x, y) in pixels of the places of a level, float32[h w, 2]."""
    h, w = like_BKhw.shape[-2:]
    rows = (torch.arange(h, device=like_BKhw.device, dtype=torch.float32) + 0.5) * step
    columns = (torch.arange(w, device=like_BKhw.device, dtype=torch.float32) + 0.5) * step
    return torch.stack([columns.repeat(h), rows.repeat_interleave(w)], dim=-1)


def logit_of(confidence: Tensor) -> Tensor:
    """Logarithm of the odds of a score in 0..1, kept finite."""
    return torch.logit(confidence.clamp(_LEAST, 1 - _LEAST))


def paint(boxes: Boxes, size_hw: tuple[int, int], confidence: float) -> Tensor:
    """Boxes as logits of a segmentation.

    Args:
        boxes: of K structures.
        size_hw: rows and columns of the image.
        confidence: limit of the detector. Odds are taken relative to it, so that a box it believes has 0 or more.

    Returns:
        float32 [B, K + 1, H, W]; background has 0, a structure the log odds of the best box that holds the pixel whole,
        and `ABSENT` outside its boxes. On an image where it has none, it has those of the best box everywhere, below 0.
    """
    rows, columns = (torch.arange(n, device=boxes.edges_BKM4.device) + 0.5 for n in size_hw)
    x0, y0, x1, y1 = boxes.edges_BKM4[..., None, None].unbind(3)
    across_BKM1W = torch.minimum(columns - x0, x1 - columns)
    down_BKMH1 = torch.minimum(rows[:, None] - y0, y1 - rows[:, None])
    # the edge is a pixel wide, so that it moves with its box and not by jumps
    inside = (torch.minimum(across_BKM1W, down_BKMH1) + 0.5).clamp(0, 1) * boxes.present[..., None, None]
    limit = math.log(max(confidence, _LEAST) / (1 - max(confidence, _LEAST)))
    odds = (logit_of(boxes.confidence_BKM) - limit)[..., None, None]
    drawn_BKHW = (ABSENT + inside * (odds - ABSENT)).amax(2)
    # the smallest step below 0 for a best box that is exactly at the limit and was suppressed
    nothing = (logit_of(boxes.best_BK) - limit).clamp_max(-_LEAST)[..., None, None]
    drawn_BKHW = torch.where(boxes.present.any(-1)[..., None, None], drawn_BKHW, nothing)
    return torch.cat([torch.zeros_like(drawn_BKHW[:, :1]), drawn_BKHW], dim=1)
