"""Whose patients already stand behind the weights that a training begins with: none of them may measure it."""

from __future__ import annotations

from pathlib import Path

from cmrseg.errors import UsageError
from cmrseg.segment.bundle import load
from cmrseg.train.checkpoint import is_run
from cmrseg.train.config import TrainConfig
from cmrseg.train.data import Split


def patients_behind(source: str) -> frozenset[str]:
    """Ids of the patients who trained a network, and those it began with.

    Args:
        source: as `cmrseg.train.predict.start_from`; empty for random weights, which know nobody.

    Raises:
        BundleError: no bundle, or a damaged one.
    """
    if not source:
        return frozenset()
    run = Path(source)
    if not is_run(run):
        name, _, member = source.partition(":")
        return frozenset(load(name).manifest["member_splits"][int(member or 0)]["train"])
    config = TrainConfig.load(run / "config.json")
    shown = Split.load(run / "split.json").train if config.data.shows_patients else ()
    return frozenset(shown) | patients_behind(config.start_from)


def check_lineage(config: TrainConfig, split: Split) -> None:
    """Refuse to measure a network on patients that its first weights were trained on.

    Raises:
        UsageError: patients of validation or test stand behind ``start_from``.
    """
    known = sorted(patients_behind(config.start_from) & {*split.validation, *split.test})
    if known:
        raise UsageError(
            f"{len(known)} of the patients held out trained {config.start_from!r}: {known[:5]}. Figures would flatter.",
            "Hold out the patients that it held out (data.fold, data.split_seed), or begin with random weights. Other "
            "patients who have the same ids need other folders.",
        )
