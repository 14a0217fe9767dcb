"""The report of a run: one HTML file that needs nothing else to be read."""

from __future__ import annotations

from ronchi.report.html import write_report

__all__ = ["write_report"]
