"""One HTML file that shows a run: first the verdict in words, then the numbers, the pictures and the record."""

from roadstill.report.page import write_report

__all__ = ["write_report"]
