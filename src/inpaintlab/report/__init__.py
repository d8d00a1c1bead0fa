"""The HTML report of a comparison, its pictures and looks, and logging results and comparisons to W&B."""

from typing import TYPE_CHECKING, Any

from inpaintlab.report.appearance import Look, looks, style
from inpaintlab.report.svg_plot import svg

if TYPE_CHECKING:
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
    "style",
    "svg",
    "track_comparison",
    "track_result",
]


def __getattr__(name: str) -> Any:
    """Import what needs results on first use: it loads torch, for which a page of curves need not wait."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from inpaintlab.report import cases, numbers, page, pictures, tracked

    of = dict.fromkeys(("chosen_tracker", "track_comparison", "track_result"), tracked)
    of |= {"Gallery": cases, "gallery": cases, "Numbers": numbers, "html_page": page}
    return getattr(of.get(name, pictures), {"read_kept": "read"}.get(name, name))
