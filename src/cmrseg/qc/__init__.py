"""Quality control: whether the numbers of an analysis can be used, and every reason why not."""

from cmrseg.qc.rules import check
from cmrseg.qc.thresholds import QcThresholds
from cmrseg.qc.together import check_together

__all__ = ["QcThresholds", "check", "check_together"]
