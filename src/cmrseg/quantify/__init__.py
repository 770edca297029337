"""From labels to clinical numbers: volumes, ejection fraction, mass, wall thickness by AHA segment."""

from cmrseg.quantify.measure import measure

__all__ = ["measure"]
