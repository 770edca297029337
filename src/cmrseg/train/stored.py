"""Frozen configurations as JSON and back, and single settings of them by their path."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_type_hints

from cmrseg.errors import UsageError
from cmrseg.io.files import write_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


@dataclass(frozen=True)
class StoredConfig:
    """What a frozen dataclass of settings needs to be kept beside its run."""

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of plain values, as JSON gives it back."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def published(self) -> dict[str, Any]:
        """As `to_dict`, files and folders by their last name alone: whose disk they lay on is nobody's business."""
        named: dict[str, Any] = _last_names(self.to_dict())
        return named

    def save(self, path: Path) -> None:
        """Write the configuration as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a configuration written by `save`; unknown keys are an error (TypeError)."""
        return from_dict(cls, json.loads(path.read_text(encoding="utf-8")))

    def changed(self, settings: Sequence[str]) -> Self:
        """A copy with settings such as ``optim.learning_rate=0.001`` applied; values are JSON, or else strings.

        Raises:
            UsageError: no such setting, or a value of another type.
        """
        config = self
        for setting in settings:
            path, _, text = setting.partition("=")
            try:
                value = json.loads(text)
            except json.JSONDecodeError:
                value = text
            config = with_setting(config, path.split("."), value, setting)
        return config


def _last_names(value: Any) -> Any:
    """Plain values in which paths have lost their folders."""
    if isinstance(value, dict):
        return {key: _last_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_last_names(item) for item in value]
    return Path(value).name if isinstance(value, str) and "/" in value else value


def from_dict(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A frozen configuration from the plain values of `dataclasses.asdict` and JSON, however deeply nested.

    Raises:
        TypeError: a key that the class does not have.
    """
    hints = get_type_hints(kind)
    made = {}
    for key, value in values.items():
        hint = hints.get(key)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            made[key] = from_dict(hint, value)
        else:
            made[key] = _tuples(value)
    return kind(**made)


def _tuples(value: Any) -> Any:
    """JSON knows lists only; configurations hold tuples."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def with_setting(config: Config, path: list[str], value: Any, setting: str) -> Config:
    """A frozen dataclass with one field, however deep, replaced; `setting` is what the user wrote."""
    name, *deeper = path
    if name not in {f.name for f in dataclasses.fields(config)}:
        raise UsageError(
            f"There is no training setting {setting.partition('=')[0]!r}.", "See docs/how-to/train-a-bundle.md."
        )
    old = getattr(config, name)
    if deeper and dataclasses.is_dataclass(old) and not isinstance(old, type):
        return dataclasses.replace(config, **{name: with_setting(old, deeper, value, setting)})
    new = tuple(value) if isinstance(old, tuple) and isinstance(value, list) else value
    new = float(new) if isinstance(old, float) and type(new) is int else new
    if deeper or type(new) is not type(old):
        raise UsageError(f"The setting {setting!r} does not fit: {name} is like {old!r}.", "Give a value of that type.")
    return dataclasses.replace(config, **{name: new})
