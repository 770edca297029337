"""What a study leaves for readers: report.html, measurements.json, measurements.csv."""

from __future__ import annotations

from cmrseg.report.html import write_report
from cmrseg.report.tables import measurements_json, write_csv, write_json

__all__ = ["measurements_json", "write_csv", "write_json", "write_report"]
