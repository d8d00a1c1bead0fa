"""A plot as SVG with the page's text colour, for the report and other pages."""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK = "#010203"  # stands for the page's text colour until the SVG is written


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def svg(draw: Callable[[Axes], None], salt: str, across: str, upwards: str = "") -> str:
    """One SVG element in the style of the report's plots.

    Args:
        draw: draws into the axes.
        salt: makes ids of it that no other plot of the page has.
        across: the label of the horizontal axis.
        upwards: that of the vertical one.
    """
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": salt}):
        figure = Figure(figsize=(4.8, 3.1), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_xlabel(across)
        axes.set_ylabel(upwards)
        axes.grid(alpha=0.2, color=_INK, linewidth=0.6)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    page = io.StringIO()
    # Without metadata the same numbers give the same bytes, and the page holds no URL.
    figure.savefig(page, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = page.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    # The size comes from the page; the viewBox keeps the proportions.
    head, body = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    # A plot's style sheet would apply to the whole page, and the ids of its groups recur in every plot.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    return head + ">" + re.sub(r'<g id="[^"]*"', "<g", body)
