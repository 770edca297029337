"""Figures of experiments as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cmrseg.experiments.views import Trained

#: Makes a figure of what was trained and of the root of the patients.
Drawing = Callable[[Mapping[str, Trained], Path], Figure]


def draw(figures: Sequence[Drawing], name: str, rows: Mapping[str, Trained], data: Path, out: Path) -> Path:
    """Draw one of the figures of a module.

    Args:
        figures: the functions that make them.
        name: of the function.
        rows: what was trained.
        data: root of the patients.
        out: folder of the experiment; the figure is written to ``figures/NAME.png`` in it.

    Returns:
        the file.
    """
    figure = {f.__name__: f for f in figures}[name](rows, data)
    path = out / "figures" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    return path
