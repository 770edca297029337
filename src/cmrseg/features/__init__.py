"""A table of features per patient, for statistics elsewhere: what `cmrseg features` writes."""

from cmrseg.features.definitions import FEATURES
from cmrseg.features.patient import features_of
from cmrseg.features.table import write_table

__all__ = ["FEATURES", "features_of", "write_table"]
