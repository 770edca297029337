"""CardioSAM over the frames of a beat: features are made coherent in time between encoder and decoder.

Source: CardioSAM, arXiv 2604.03313, section II-D and equation 10, whose body is lost; the reading here is explained in
docs/explanation/cardiosam.md. Letters in names: B batch, T frames, S slices, D channels, h and w rows and columns of
features, H and W those of images, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from cmrseg.models.cardiosam.config import CardioSAMTemporalConfig
from cmrseg.models.cardiosam.model import CardioSAM
from cmrseg.models.outputs import outputs_of


class TemporalCoherence(nn.Module):
    """Temporal convolution, then a Bi-LSTM at every place, added to the features; [B, T, D, h, w] -> the same shape.

    Args:
        dim: D.
        config: sizes.
    """

    def __init__(self, dim: int, config: CardioSAMTemporalConfig) -> None:
        super().__init__()
        self.frames_beside = config.kernel_frames // 2
        kernel = (config.kernel_frames, config.kernel_pixels, config.kernel_pixels)
        beside = config.kernel_pixels // 2
        self.conv = nn.Conv3d(dim, config.hidden, kernel, padding=(0, beside, beside))
        self.lstm = nn.LSTM(config.hidden, config.hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * config.hidden, dim)

    def forward(self, features_BTDhw: Tensor) -> Tensor:
        """Each frame's features with what the frames before and after it say."""
        batch, _, _, h, w = features_BTDhw.shape
        # first and last frame are continued: not every cine covers the whole beat
        beside = (0, 0, 0, 0, self.frames_beside, self.frames_beside)
        volume_BDThw = pad(features_BTDhw.transpose(1, 2), beside, mode="replicate")
        moved = relu(self.conv(volume_BDThw))
        # every place of the map is one sequence
        sequences = moved.permute(0, 3, 4, 2, 1).flatten(0, 2)
        states, _ = self.lstm(sequences)
        update_BhwTD: Tensor = self.out(states).reshape(batch, h, w, *features_BTDhw.shape[1:3])
        return features_BTDhw + update_BhwTD.permute(0, 3, 4, 1, 2)


class Transition(nn.Module):
    """Features of a neighbouring frame guessed from one frame; [N, D, h, w] -> [N, D, h, w]."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(dim, hidden, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, dim, kernel_size=3, padding=1),
        )

    def forward(self, x_NDhw: Tensor) -> Tensor:
        """The frame and its predicted change."""
        change: Tensor = self.change(x_NDhw)
        return x_NDhw + change


class CycleConsistency(nn.Module):
    """Equation 10 as read here; [B, T, D, h, w] -> a scalar, zero for a single frame.

    With g_f from a frame to the next and g_b from a frame to the one before, the mean over pairs of frames t, t + 1 of
    |F_t - g_b(g_f(F_t))| + |F_t+1 - g_f(F_t)| + |F_t - g_b(F_t+1)|, each the mean over channels and places. The round
    trip alone would be met by maps that change nothing; the other two terms tie the maps to the motion.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.forwards = Transition(dim, hidden)
        self.backwards = Transition(dim, hidden)

    def forward(self, features_BTDhw: Tensor) -> Tensor:
        """The loss of a sequence."""
        if features_BTDhw.shape[1] < 2:
            return features_BTDhw.sum() * 0.0
        now = features_BTDhw[:, :-1].flatten(0, 1)
        later = features_BTDhw[:, 1:].flatten(0, 1)
        guessed = self.forwards(now)
        round_trip: Tensor = (now - self.backwards(guessed)).abs().mean()
        onwards: Tensor = (later - guessed).abs().mean()
        back: Tensor = (now - self.backwards(later)).abs().mean()
        return round_trip + onwards + back


class TemporalOutputs(NamedTuple):
    """Result of a forward pass over frames in training mode."""

    logits_BTKHW: Tensor
    """Class logits of every frame."""
    boundary_BT1HW: Tensor | None
    """Logits of the contours of every frame, where boundary refinement is on."""
    cycle_loss: Tensor
    """Equation 10; a scalar."""


class CardioSAMTemporal(nn.Module):
    """Frames [B, T, S, H, W] -> logits [B, T, K, H, W], or TemporalOutputs in training mode.

    Args:
        config: sizes.
    """

    def __init__(self, config: CardioSAMTemporalConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.frames.encoder.out_channels
        self.frames = CardioSAM(config.frames)
        self.coherence = TemporalCoherence(dim, config)
        self.cycle = CycleConsistency(dim, config.hidden)

    def forward(self, x_BTSHW: Tensor) -> Tensor | TemporalOutputs:
        """Logits of normalised slices at every frame."""
        batch, frames, _, height, width = x_BTSHW.shape
        features_NDhw = self.frames.encode(x_BTSHW.flatten(0, 1))
        features_BTDhw: Tensor = self.coherence(features_NDhw.reshape(batch, frames, *features_NDhw.shape[1:]))
        decoded = outputs_of(self.frames.decode(features_BTDhw.flatten(0, 1), (height, width)))
        logits_BTKHW = decoded.logits_BKHW.reshape(batch, frames, -1, height, width)
        if not self.training:
            return logits_BTKHW
        contours = decoded.boundary_B1HW
        return TemporalOutputs(
            logits_BTKHW,
            None if contours is None else contours.reshape(batch, frames, 1, height, width),
            self.cycle(features_BTDhw),
        )
