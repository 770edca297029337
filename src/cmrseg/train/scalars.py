"""Numbers of a run for TensorBoard, where it is installed and asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.extras import is_installed


class ScalarLog:
    """Writes scalars as TensorBoard events.

    Args:
        folder: where they go; None writes nothing.

    Raises:
        UsageError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer = None
        if folder is None:
            return
        if not is_installed("tensorboard"):
            raise UsageError(
                "TensorBoard is not installed.", "pip install 'cmrseg[tensorboard]', or set tensorboard=false."
            )
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def add(self, values: Mapping[str, float], epoch: int) -> None:
        """One epoch's numbers by name."""
        if self._writer is None:
            return
        for name, value in values.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
