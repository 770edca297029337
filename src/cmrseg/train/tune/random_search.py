"""Random search: every setting drawn anew (Bergstra and Bengio, JMLR 13, 2012, 281-305)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cmrseg.train.space import Space
from cmrseg.train.tune.search import Settings, Turns, check_spaces, chosen, decode, dimensions


class RandomSearch:
    """Independent draws: the measure of what a search has to beat.

    Args:
        spaces: what is searched.
        seed: decides every draw; how they are divided into generations does not matter.
        batch: settings asked for at a time.
        start: settings of the first trial; None to draw all of them.

    Raises:
        UsageError: no spaces, or start values outside them.
    """

    def __init__(self, spaces: Mapping[str, Space], seed: int, batch: int = 1, start: Settings | None = None) -> None:
        check_spaces(spaces)
        self.spaces = dict(spaces)
        self.batch = batch
        self._turns = Turns()
        self._generator = np.random.default_rng(seed)
        self._start = None if start is None else chosen(spaces, start)

    def ask(self) -> list[Settings]:
        """The next draws."""
        self._turns.asked(self.batch)
        drawn = [decode(self.spaces, u) for u in self._generator.random((self.batch, dimensions(self.spaces))).tolist()]
        if self._start is not None:
            drawn[0], self._start = self._start, None
        return list(drawn)

    def tell(self, values: Sequence[float]) -> None:
        """Nothing is learnt."""
        self._turns.told(values)
