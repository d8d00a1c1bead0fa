"""The HTML report of a comparison, its pictures and looks, and logging results and comparisons to W&B."""

from inpaintlab.report.appearance import Look, looks
from inpaintlab.report.cases import Gallery, gallery
from inpaintlab.report.numbers import Numbers
from inpaintlab.report.page import html_page
from inpaintlab.report.pictures import Original, completion, kinds, originals, painted
from inpaintlab.report.pictures import read as read_kept
from inpaintlab.report.tracked import chosen_tracker, track_comparison, track_result

__all__ = [
    "Gallery",
    "Look",
    "Numbers",
    "Original",
    "chosen_tracker",
    "completion",
    "gallery",
    "html_page",
    "kinds",
    "looks",
    "originals",
    "painted",
    "read_kept",
    "track_comparison",
    "track_result",
]
