"""The plots of the report: each metric against the hole ratio, as SVG with the page's text colour."""

import math
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes

from inpaintlab.comparison import Table
from inpaintlab.evaluation import ALL, FIXED, Result
from inpaintlab.report.appearance import Look, looks
from inpaintlab.report.svg_plot import svg


def window(images: int) -> int:
    """How many images a running mean over the hole ratio covers; 0 for no curve.

    Args:
        images: number of images with irregular holes.
    """
    return max(5, images // 5) if images >= 12 else 0


def running_mean(
    x: Float[np.ndarray, " images"], y: Float[np.ndarray, " images"], size: int
) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
    """Running means of ``x`` and ``y`` over ``size`` neighbours in the order of ``x``."""
    order = np.argsort(x, kind="stable")
    box = np.full(size, 1 / size)
    return np.convolve(x[order], box, mode="valid"), np.convolve(y[order], box, mode="valid")


def plot(table: Table, metric: str) -> str:
    """One SVG element: each method's means by bin with intervals, its faint running mean, a square for fixed holes.

    An infinite mean is a triangle on the upper edge.
    """
    unit = table.metrics[metric].unit

    def draw(axes: Axes) -> None:
        look = looks(result.label for result in table.results)
        for result in table.results:
            if metric in result.metrics:
                _draw(axes, table, result, metric, look[result.label])

    return svg(draw, metric, "hole, % of the pixels", f"{metric} ({unit})" if unit else metric)


def _draw(axes: Axes, table: Table, result: Result, metric: str, method: Look) -> None:
    look: dict[str, Any] = {"color": method.colour, "dashes": method.dashes}
    apart = {"color": look["color"], "clip_on": False, "linestyle": "none"}
    centres, means, ends = [], [], []
    for bin_name in table.bins:
        mean = table.mean(result, metric, bin_name)
        if bin_name == ALL or mean is None:
            continue
        centre = 100 * result.per_image.filter(pl.col("bin") == bin_name)["hole_ratio"].to_numpy().mean()
        estimate = table.statistics.estimates.get((metric, bin_name, result.label))
        known = (None, None) if estimate is None else (estimate.low, estimate.high)
        low, high = (mean if end is None else end for end in known)
        if math.isinf(mean):
            axes.plot([centre], [1], marker="^", markersize=6, transform=axes.get_xaxis_transform(), **apart)
            continue
        if bin_name == FIXED:
            axes.plot([centre], [mean], marker="s", markersize=7, markerfacecolor="none", color=look["color"])
            axes.vlines(centre, low, high, color=look["color"], linewidth=1.2)
        else:
            centres.append(centre)
            means.append(mean)
            ends.append((low, high))
    axes.plot(centres, means, marker="o", markersize=4, linewidth=1.6, **look)
    axes.fill_between(centres, *np.transpose(ends).reshape(2, -1), color=look["color"], alpha=0.15, linewidth=0)

    if result.metrics[metric].of_set or result.metrics[metric].pooled:
        return  # these metrics have no value per image
    irregular = result.per_image.filter(pl.col("bin") != FIXED)
    kept = irregular.filter(pl.col(metric).is_finite())
    if size := window(irregular.height):
        if kept.height < size:
            return
        x, y = running_mean(100 * kept["hole_ratio"].to_numpy(), kept[metric].to_numpy(), size)
        axes.plot(x, y, linewidth=1, alpha=0.35, **look)
