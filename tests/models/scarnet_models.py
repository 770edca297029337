"""A small ScarNet with random weights."""

from __future__ import annotations

from cmrseg.models import registry
from cmrseg.models.scarnet.config import ScarNetConfig

TINY = ScarNetConfig(**registry.entry("scarnet").tiny)
