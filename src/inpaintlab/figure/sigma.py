"""fig6_sigma: how good completions are against the sigma of the edges, and fig7_sigma: the pictures of it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from inpaintlab.comparison import Table, tabulate
from inpaintlab.evaluation import Result
from inpaintlab.figure.caption import caption, of_result
from inpaintlab.figure.edge_settings import LEVEL, RIM, WithSigma, by_sigma, in_words
from inpaintlab.figure.page import WIDTH, Drawn
from inpaintlab.figure.sheet import Cell, Row, sheet, texts_of
from inpaintlab.figure.sources import (
    chosen,
    completed,
    item,
    kept_edges,
    load,
    meaning,
    moved,
    nine_digits,
    of_images,
    of_photographs,
    pixels,
    score,
    titled,
)
from inpaintlab.report import looks
from inpaintlab.testsets import Manifest, ManifestDataset

FIG6, FIG7 = "fig6_sigma", "fig7_sigma"


_SETS = ("fid_", "fd_hed")
"""How the names of the metrics of whole sets begin that ``auto`` looks for, in this order."""


_ASIDE = 0.05  # inches between the points of two lines at one sigma, so that no interval hides another


_NUMBERS = {
    "label": pl.String(),
    "line": pl.String(),
    "sigma": pl.Float64(),
    "density": pl.Float64(),
    "metric": pl.String(),
    "bin": pl.String(),
    "images": pl.Int64(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}


# ---------------------------------------------------------------------------------------------------------- fig6_sigma


def sigma_curves(
    results: Sequence[str],
    *,
    metric: str,
    set_metric: str | None,
    bin_name: str,
    axis: str,
    root: str | None,
    mask_root: str | None,
) -> Drawn:
    """EdgeConnect's Figure 6: a metric of images and one of the set against sigma, with 95 % intervals.

    Args:
        results: folders of one test set, each of another sigma; those whose hole is filled or surrounded by other
            edges make a line of their own, and a result without edges is a level.
        metric: of images.
        set_metric: of the whole set; 'auto' for an FID, or fd_hed, or another that all have, if there is one; None for
            a single panel.
        bin_name: the mask bin; 'all' for all images.
        axis: 'sigma', or 'density' for the share of the hole's pixels that the edges of that sigma mark in the
            originals.
        root: the folder of the photographs on this machine, if they have moved; for the density.
        mask_root: the same of the mask files.

    Raises:
        ValueError: results without a sigma, of different test sets, or without a metric.
    """
    loaded = load(FIG6, results)
    series = by_sigma(loaded)
    of_set = _of_set(loaded) if set_metric == "auto" else set_metric
    metrics = [metric] if of_set is None else [metric, of_set]
    keys = {metric: "metric"} | dict.fromkeys(metrics[1:], "set_metric")
    meanings = {name: meaning(loaded, name, key) for name, key in keys.items()}
    if bin_name not in loaded[0].means:
        raise ValueError(f"bin={bin_name}: the test set has no such bin; it can be {', '.join(loaded[0].means)}.")
    densities = _densities(series, bin_name, root, mask_root) if axis == "density" else {}
    table = tabulate(loaded, only=metrics)
    figure = Figure(figsize=(WIDTH if len(metrics) > 1 else WIDTH / 2, 2.7), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, name in zip(panels, metrics, strict=True):
        _panel(axes, table, series, name, bin_name, densities)
    handles, labels = panels[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place].startswith(LEVEL))  # levels come last
    figure.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="outside upper center",
        ncols=3 if len(metrics) > 1 else 1,
        frameon=False,
    )
    numbers = [
        (
            *(one.result.label, one.line, one.sigma, densities.get(one.result.label), name, bin_name),
            *(table.bins[bin_name], *_estimate(table, one.result, name, bin_name)),
        )
        for one in series
        for name in metrics
    ]
    against = "sigma of Canny's Gaussian, in pixels"
    if densities:
        against = "share of the hole's pixels that the edges of each sigma mark in the originals, in %"
    what = [
        f"{' and '.join(metrics)} against the {against}; bars are 95 % intervals.",
        f"Over {table.bins[bin_name]} images (bin '{bin_name}').",
        *in_words(series),
    ]
    if set_metric == "auto" and of_set is None:
        what.append("The results share no metric of a whole set (evaluate with metrics=perceptual or metrics=fd_hed).")
    if any(one.sigma is None for one in series):
        what.append("“no edges” is a network without any known edges (sigma none), drawn as a level.")
    written = caption(
        FIG6,
        what,
        test_sets=[of_result(loaded[0])],
        results=[one.result for one in series],
        metrics=meanings,
        notes=[*table.notes(), *table.left_out()],
        texts=[one.line for one in series],
    )
    return Drawn(figure, pl.DataFrame(numbers, schema=_NUMBERS, orient="row"), written)


def _of_set(results: Sequence[Result]) -> str | None:
    """The metric of whole sets to show of those that all results have; None if they share none."""
    common = [
        name for name, one in results[0].metrics.items() if one.of_set and all(name in r.metrics for r in results)
    ]
    liked = [name for beginning in _SETS for name in common if name.startswith(beginning)]
    return next(iter([*liked, *common]), None)


def _panel(
    axes: Axes, table: Table, series: Sequence[WithSigma], metric: str, bin_name: str, densities: dict[str, float]
) -> None:
    look = looks(one.line for one in series)
    levels = sum(one.sigma is None for one in series)
    lines = list(dict.fromkeys(one.line for one in series))
    for number, line in enumerate(lines):
        aside = ScaledTranslation((number - (len(lines) - 1) / 2) * _ASIDE, 0, axes.figure.dpi_scale_trans)
        style: dict[str, Any] = {"color": look[line].colour, "linewidth": 1.4}
        points = [(one, *_estimate(table, one.result, metric, bin_name)) for one in series if one.line == line]
        known = [point for point in points if point[1] is not None and math.isfinite(point[1])]
        curve = [point for point in known if point[0].sigma is not None]
        if curve:
            at = np.array([densities.get(one.result.label, one.sigma) for one, *_ in curve], float)
            means, lows, highs = (np.array([point[place] for point in curve], float) for place in (1, 2, 3))
            bars = [np.nan_to_num(means - lows), np.nan_to_num(highs - means)]
            order = np.argsort(at)
            axes.errorbar(
                at[order],
                means[order],
                yerr=np.array(bars)[:, order],
                label=line.replace(RIM, f",\n{RIM.removeprefix(', ')}"),
                marker=look[line].marker,
                markersize=4,
                capsize=2.5,
                transform=axes.transData + aside,
                dashes=look[line].dashes or (None, None),
                **style,
            )
            ends = [*(means - bars[0]), *(means + bars[1])]
            axes.update_datalim(np.column_stack([np.tile(at, 2), ends]))  # which a shifted curve does not do itself
        for _, mean, low, high in [point for point in known if point[0].sigma is None]:
            axes.axhline(
                mean or 0.0,
                linestyle=(0, (4, 2)),
                label=LEVEL if levels == 1 else f"{LEVEL} ({line})",
                **style,
            )
            if low is not None and high is not None:
                axes.axhspan(low, high, color=style["color"], alpha=0.12, linewidth=0)
    axes.margins(x=0.1, y=0.06)
    axes.autoscale_view()
    sigmas = sorted({one.sigma for one in series if one.sigma is not None})
    if densities:
        axes.set_xlabel("edges, % of the hole's pixels")
    else:
        axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
        axes.set_xlabel("σ of Canny's Gaussian (pixels)")  # noqa: RUF001
    meaning_of = table.metrics[metric]
    arrow = "↑" if meaning_of.higher_is_better else "↓"
    axes.set_ylabel(f"{metric}{f' ({meaning_of.unit})' if meaning_of.unit else ''} {arrow}")
    axes.grid(alpha=0.25, linewidth=0.5)


def _estimate(
    table: Table, result: Result, metric: str, bin_name: str
) -> tuple[float | None, float | None, float | None]:
    """Mean and ends of its interval, as `compare` gives them."""
    found = table.statistics.estimates.get((metric, bin_name, result.label))
    mean = table.mean(result, metric, bin_name)
    return (mean, None, None) if found is None else (mean, nine_digits(found.low), nine_digits(found.high))


def _densities(series: Sequence[WithSigma], bin_name: str, root: str | None, mask_root: str | None) -> dict[str, float]:
    """The mean share of the hole's pixels that each result's source marks in the originals, in %, by label."""
    result = series[0].result
    bins = dict(zip(result.per_image["name"], result.per_image["bin"], strict=True))
    pairs = ManifestDataset(Manifest.load(result.folder / "manifest.json"), root, mask_root)
    for one in series:
        one.source.require()
    shares: dict[str, list[float]] = {one.result.label: [] for one in series}
    with moved(root):
        for position in range(len(pairs)):
            if bin_name not in ("all", bins[pairs.manifest.items[position].name]):
                continue
            pair = pairs[position]
            hole: torch.Tensor = pair["mask"][None]
            for one in series:
                marked = one.source.whole(pair["image"][None]) * hole
                shares[one.result.label].append(100 * float(marked.sum() / hole.sum().clamp(min=1)))
    return {label: math.fsum(values) / len(values) for label, values in shares.items()}


# ---------------------------------------------------------------------------------------------------------- fig7_sigma


def sigma_pictures(
    results: Sequence[str],
    *,
    images: Sequence[str],
    count: int,
    metric: str,
    root: str | None,
    mask_root: str | None,
) -> Drawn:
    """EdgeConnect's Figure 7: the edges, and what was painted from them, at each sigma.

    Args:
        results: folders of one test set, each of another sigma, evaluated with ``raw=true``.
        images: their names in the manifest; empty for ``count`` that are chosen by number.
        count: how many, then.
        metric: of images, below the pictures.
        root: the folder of the photographs on this machine, if they have moved.
        mask_root: the same of the mask files.

    Raises:
        ValueError: results without a sigma, of different test sets, without pictures of edges, or a photograph that
            has moved.
    """
    loaded = load(FIG7, results)
    series = by_sigma(loaded)
    of = {metric: of_images(loaded, metric, "metric")}
    names, rule = chosen(loaded[0], images, count)
    for one in series:
        kept_edges(one.result, names[0])
    found = of_photographs(loaded[0], names, root, mask_root)
    lines = {one.line for one in series}
    rows, numbers = [], []
    for name in names:
        edges = [Cell(pixels(found[name].image), "original")]
        painted = [Cell(pixels(found[name].painted), note="input")]
        for one in series:
            mark = f" {one.line}" if len(lines) > 1 else ""
            edges.append(Cell(kept_edges(one.result, name), f"{one.name}{mark}"))
            value = item(one.result, name)[metric]
            painted.append(Cell(completed(one.result, name), note=score(value, metric, of)))
            numbers.append((name, one.result.label, one.line, one.sigma, metric, value))
        rows += [Row(edges, titled(loaded[0], name)), Row(painted)]
    what = [
        "For each image, above: the original, and the edges that the inpainting generator got at each sigma; below: "
        f"the image with its hole, and what was painted, with its {metric}.",
        *in_words(series),
        rule,
    ]
    written = caption(
        FIG7,
        what,
        test_sets=[of_result(loaded[0])],
        results=[one.result for one in series],
        metrics=of,
        texts=texts_of(rows),
    )
    schema = ["image", "label", "line", "sigma", "metric", "value"]
    return Drawn(sheet(rows), pl.DataFrame(numbers, schema=schema, orient="row"), written)
