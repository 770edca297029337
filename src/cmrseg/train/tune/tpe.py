"""The tree-structured Parzen estimator (Bergstra et al., NeurIPS 24, 2011, 2546-2554), as Optuna has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cmrseg.errors import UsageError
from cmrseg.train.space import Categorical, Continuous, Logarithmic, Space
from cmrseg.train.tune.search import Settings, Turns, check_spaces, chosen

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


class Tpe:
    """Models where good and bad trials lie, and tries where good ones are most likely; the optional extra ``tune``.

    Args:
        spaces: what is searched; of the kinds of `cmrseg.train.space`.
        seed: decides every random draw.
        batch: settings asked for at a time; one by one it learns most from its trials.
        start: settings of the first trial; None to draw all of them.

    Raises:
        UsageError: Optuna is not installed, no spaces, or start values outside them.
    """

    def __init__(self, spaces: Mapping[str, Space], seed: int, batch: int = 1, start: Settings | None = None) -> None:
        check_spaces(spaces)
        try:
            import optuna
        except ImportError as error:
            raise UsageError("TPE needs Optuna.", "Install it: pip install 'cmrseg[tune]'.") from error

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spaces = dict(spaces)
        self.batch = batch
        self._turns = Turns()
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._distributions = {path: _distribution(path, space) for path, space in spaces.items()}
        self._waiting: list[Trial] = []
        if start is not None:
            values = chosen(spaces, start)
            self._study.enqueue_trial({path: self._to_optuna(path, value) for path, value in values.items()})

    def ask(self) -> list[Settings]:
        """The next trials."""
        self._turns.asked(self.batch)
        self._waiting = [self._study.ask(self._distributions) for _ in range(self.batch)]
        return [self._settings(trial) for trial in self._waiting]

    def tell(self, values: Sequence[float]) -> None:
        """Learn from their values."""
        self._turns.told(values)
        for trial, value in zip(self._waiting, values, strict=True):
            self._study.tell(trial, value)

    def _settings(self, trial: Trial) -> Settings:
        values = trial.params
        return {
            path: space.options[values[path]] if isinstance(space, Categorical) else values[path]
            for path, space in self.spaces.items()
        }

    def _to_optuna(self, path: str, value: Any) -> Any:
        space = self.spaces[path]
        return space.options.index(value) if isinstance(space, Categorical) else value


def _distribution(path: str, space: Space) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(space, Continuous | Logarithmic):
        return FloatDistribution(space.low, space.high, log=isinstance(space, Logarithmic))
    if isinstance(space, Categorical):
        # By number: Optuna takes only plain values as options.
        return CategoricalDistribution(range(len(space.options)))
    raise UsageError(
        f"TPE cannot search {path}, a {type(space).__name__}.", "Use Continuous, Logarithmic or Categorical."
    )
