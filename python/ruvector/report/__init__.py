"""One page about a trained model: figures, plots, and an explorer of nearest neighbours."""

from ruvector.report.page import report_html, write_report

__all__ = ["report_html", "write_report"]
