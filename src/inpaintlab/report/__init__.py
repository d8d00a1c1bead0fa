"""The HTML page, and what trackers are told of results."""

from inpaintlab.report.page import html_page
from inpaintlab.report.tracked import asked_for, track_comparison, track_result

__all__ = [
    "asked_for",
    "html_page",
    "track_comparison",
    "track_result",
]
