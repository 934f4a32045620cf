"""One HTML file that shows a run: the verdict in words first, then the numbers, the pictures and the record."""

from roadstill.report.page import write_report

__all__ = ["write_report"]
