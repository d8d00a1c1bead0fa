"""The HTML report of a comparison, and logging results and comparisons to W&B."""

from inpaintlab.report.page import html_page
from inpaintlab.report.tracked import chosen_tracker, track_comparison, track_result

__all__ = [
    "chosen_tracker",
    "html_page",
    "track_comparison",
    "track_result",
]
