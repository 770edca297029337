"""Scar by its brightness: thresholds of the literature, each by its name, on myocardium that was outlined before."""

from cmrseg.quantify.scar.config import DEFAULT_METHOD, METHODS, ScarConfig
from cmrseg.quantify.scar.find import find_scar

__all__ = ["DEFAULT_METHOD", "METHODS", "ScarConfig", "find_scar"]
