"""Size of the detector and when it believes a box. Imports no torch.

What the paper leaves open, and how it is read here: docs/explanation/detector-sam.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cmrseg.errors import UsageError


@dataclass(frozen=True)
class DetectorConfig:
    """Size of a detector.

    Raises:
        UsageError: sizes that cannot be built, or limits that no box or every pixel would pass.
    """

    in_channels: int = 1
    """Input channels: neighbouring slices, the middle one being the slice to look at. The paper sees one."""
    n_classes: int = 2
    """Classes of the labels, background included; boxes are proposed for the others. The paper's are scar and rest."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels at half resolution, at a quarter, and so on down."""
    blocks: int = 2
    """Residual blocks of each level from a quarter of the resolution down."""
    finest_stride: int = 4
    """Pixels between the places that propose boxes at the finest level; every coarser level proposes too."""
    head_width: int = 96
    """Channels of the levels' features and of the heads."""
    confidence: float = 0.25
    """Boxes below this score are not given out; 0 to 0.5. The paper's code uses 0.15 to 0.25."""
    nms_iou: float = 0.45
    """Of two boxes of a structure that overlap by more than this, the better one stays; above 0 up to 1."""
    max_boxes: int = 4
    """Boxes of a structure on a slice, at most. The paper's code gives one, although its labels have several."""
    candidates: int = 48
    """Best boxes of a structure on a slice among which non-maximum suppression chooses."""

    def __post_init__(self) -> None:
        if self.n_classes < 2 or self.in_channels < 1:
            raise UsageError(
                "A detector needs a channel to see and a structure to find.", "Give n_classes of 2 or more."
            )
        if len(self.widths) < 2 or self.blocks < 1:
            raise UsageError("A detector needs two levels or more, of a block each.", "Give longer widths.")
        if self.finest_stride not in [2 ** (k + 1) for k in range(1, len(self.widths))]:
            raise UsageError(
                f"No level has a place every {self.finest_stride} pixels.",
                f"Give a power of 2 from 4 to {self.stride}.",
            )
        if not (0 <= self.confidence <= 0.5 and 0 < self.nms_iou <= 1):
            raise UsageError(
                "A detector believes boxes from a confidence of 0 to 0.5 on, and suppresses beyond an overlap above 0.",
                "Set confidence to 0.25 and nms_iou to 0.45.",
            )
        if not 1 <= self.max_boxes <= self.candidates:
            raise UsageError("At least one box is kept, of as many candidates.", "Give max_boxes of 1 to candidates.")

    @property
    def stride(self) -> int:
        """Rows and columns of the input are multiples of this."""
        return int(2 ** len(self.widths))


#: ``full``: for pictures of 256 px and more on a GPU. ``cpu``: windows of 128 to 160 px, a few processor cores.
PRESETS: Mapping[str, DetectorConfig] = MappingProxyType(
    {"full": DetectorConfig(), "cpu": DetectorConfig(widths=(24, 48, 96, 128), blocks=1, head_width=64, candidates=32)}
)
