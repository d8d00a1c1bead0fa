"""The HTML report of a comparison, its pictures and looks, and logging results and comparisons to W&B."""

from inpaintlab.report.appearance import Look, looks
from inpaintlab.report.page import html_page, style
from inpaintlab.report.pictures import Original, completion, kinds, originals, painted
from inpaintlab.report.pictures import read as read_kept
from inpaintlab.report.plots import svg
from inpaintlab.report.tracked import chosen_tracker, track_comparison, track_result

__all__ = [
    "Look",
    "Original",
    "chosen_tracker",
    "completion",
    "html_page",
    "kinds",
    "looks",
    "originals",
    "painted",
    "read_kept",
    "style",
    "svg",
    "track_comparison",
    "track_result",
]
