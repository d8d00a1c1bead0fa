"""Statistics of a comparison: intervals of all numbers, and tests of the leads between methods.

The unit is the photograph. A test set puts the same photographs into every mask bin, so over all bins a photograph
counts several times with different holes. These values are correlated, so they are resampled and tested together.

A metric is of one of three kinds (see `Meaning`): a mean over images, a ratio of sums over images, or a number of the
whole set. `bootstrap` computes the intervals of the first two, `paired_tests` the tests. The p values of a metric are
corrected by Holm's procedure over all bins and methods, that is, over everything that one table shows.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from inpaintlab.comparison.bootstrap import Draws, Numbering, Quantity, Row, bootstrap, ends, mean_of
from inpaintlab.comparison.paired_tests import half_width, holm, mean_difference, resampled, signed_rank, swapping
from inpaintlab.evaluation import ALL, DRAWN, Result
from inpaintlab.metrics import Meaning

SIGNIFICANT = 0.05


Key = tuple[str, str, str]
"""Metric, mask bin, label."""


Pair = tuple[Key, str]
"""A method's number, and the label of the method it is compared with."""


Scored = dict[Key, Result]
"""The methods that have a number of a metric in a bin."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Args:
        mean: the number itself.
        low: the lower end; None if there are too few photographs or replicates.
        high: the upper end; None likewise. Mean and ends are infinite where images are reproduced exactly.
        images: how many images it is computed from.
    """

    mean: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Difference:
    """A method's number minus that of another method on the same images.

    Args:
        reference: the label of the other method.
        mean: the difference. It is infinite if one method reproduces an image exactly that the other does not, and NaN
            if each does so. An image that both reproduce is a difference of 0.
        low: lower end of its 95 % interval; None if there are too few photographs or ``mean`` is NaN.
        high: upper end, likewise.
        p: two-sided and corrected; 1 if the test's direction disagrees with that of ``mean``.
        pairs: number of images that count.
        left_out: number of images that do not, because the value of a method is undefined there.
    """

    reference: str
    mean: float
    low: float | None
    high: float | None
    p: float
    pairs: int
    left_out: int


@dataclass(frozen=True)
class Statistics:
    """The results of `analyse`.

    A method without a number has no estimate. It has no difference if it shares no image with a value with the
    other method or, for a metric of whole sets, if replicates are missing.

    Args:
        estimates: intervals by metric, bin and label.
        best: by metric and bin, the label of the best among the methods that compete (see `competes`).
        from_best: the differences from the best method.
        from_reference: the differences from the chosen reference; without one, from the best method.
    """

    estimates: dict[Key, Estimate]
    best: dict[tuple[str, str], str]
    from_best: dict[Key, Difference]
    from_reference: dict[Key, Difference]


def competes(result: Result) -> bool:
    """Whether a method can be the best: not an oracle, which sees hidden pixels, and not an untrained method."""
    return result.trained and not result.oracle


def unlike(results: list[Result]) -> set[str]:
    """The metrics that these results do not share the truth of, so that nobody leads.

    Drawn edges are held against those that the method's own source of edges marks.
    """
    drawing = [result for result in results if DRAWN.keys() & result.metrics.keys()]
    sources = {str(result.switches.get("edges")).partition(" (trained on")[0] for result in drawing}
    return set(DRAWN) if len(sources) > 1 else set()


def paired_test(metric: Meaning) -> Literal["signed rank", "swap", "resampling"]:
    """The name of the test for differences of a metric (see `paired_tests`)."""
    if metric.of_set:
        return "resampling"
    return "swap" if metric.pooled else "signed rank"


def analyse(
    results: list[Result], metrics: dict[str, Meaning], bins: Sequence[str], reference: str | None = None
) -> Statistics:
    """Intervals, paired differences and corrected p values of results on the same images and holes.

    The best method is found in the same data, so differences from it are corrected for all pairs of methods. A
    reference is chosen beforehand, so differences from it are corrected for one comparison per method. The draws follow
    from the manifest's hash and the bin's name: they are the same for every method and metric, on every machine.

    Args:
        results: of one manifest.
        metrics: the meaning of each metric.
        bins: the mask bins, with "all".
        reference: the label that differences are taken from; None for the best method.
    """
    ranked = {name: metric for name, metric in metrics.items() if name not in unlike(results)}
    estimates: dict[Key, Estimate] = {}
    best: dict[tuple[str, str], str] = {}
    differences: dict[Pair, Difference] = {}
    for bin_name in bins:
        best |= _best(results, ranked, bin_name)
        seed = f"{results[0].manifest['sha256']}/{bin_name}"
        of_images = _scored(results, [name for name, metric in metrics.items() if not metric.of_set], bin_name)
        of_sets = _scored(results, [name for name, metric in metrics.items() if metric.of_set], bin_name)
        for found, apart in (
            _of_images(of_images, [p for p in _pairs(of_images, best, reference) if p[0][0] in ranked], metrics, seed),
            _of_sets(of_sets, _pairs(of_sets, best, reference)),
        ):
            estimates |= found
            differences |= apart
    methods = Counter((metric, bin_name) for metric, bin_name, _ in estimates)
    all_pairs = {m: sum(math.comb(n, 2) for (metric, _), n in methods.items() if metric == m) for m in metrics}
    from_best = {key: d for (key, rival), d in differences.items() if rival == best.get(key[:2])}
    from_best = _corrected(from_best, all_pairs)
    if reference is None:
        return Statistics(estimates, best, from_best, from_best)
    from_reference = {key: d for (key, rival), d in differences.items() if rival == reference}
    named = Counter(key[0] for key in from_reference)
    return Statistics(estimates, best, from_best, _corrected(from_reference, named))


Found = tuple[dict[Key, Estimate], dict[Pair, Difference]]
"""Estimates, and differences with uncorrected p values."""


def _of_images(scored: Scored, pairs: list[Pair], metrics: dict[str, Meaning], seed: str) -> Found:
    """Metrics of images in one bin: means and ratios of sums, all from the same draws."""
    if not scored:
        return {}, {}
    images = {result.label: _images(result, key[1]) for key, result in scored.items()}
    photographs = _photographs(next(iter(images.values())))
    rows = {key: _values(images[key[2]], key[0], metrics[key[0]]) for key in scored if not metrics[key[0]].pooled}
    ratios = {key: _ratios(images[key[2]], metrics[key[0]]) for key in scored if metrics[key[0]].pooled}
    apart = {pair: _minus(rows[pair[0]], rows[_rival(pair)]) for pair in pairs if pair[0] in rows}
    apart = {pair: row for pair, row in apart.items() if _count(row)}
    drawn = iter(bootstrap([*map(mean_of, [*rows.values(), *apart.values()]), *ratios.values()], photographs, seed))
    draws = {key: next(drawn) for key in rows}
    differences = {pair: _difference(pair[1], row, next(drawn), photographs) for pair, row in apart.items()}
    draws |= {key: next(drawn) for key in ratios}
    estimates = {
        key: Estimate(result.means[key[1]][key[0]], *ends(draws[key]), _count(rows.get(key, photographs)))
        for key, result in scored.items()
    }
    of_ratios = [pair for pair in pairs if pair[0] in ratios]
    p_values = swapping([(ratios[pair[0]], ratios[_rival(pair)]) for pair in of_ratios], photographs, seed)
    for pair, p in zip(of_ratios, p_values, strict=True):
        key, other = pair[0], _rival(pair)
        mean, interval = estimates[key].mean - estimates[other].mean, ends(draws[key] - draws[other])
        differences[pair] = Difference(pair[1], mean, *interval, p=p, pairs=len(photographs), left_out=0)
    return estimates, differences


def _of_sets(scored: Scored, pairs: list[Pair]) -> Found:
    """Metrics of whole sets in one bin, from the replicates in the results."""
    replicates = {key: np.array(result.replicates.get(key[0], {}).get(key[1], [])) for key, result in scored.items()}
    estimates = {}
    for key, result in scored.items():
        mean, images = result.means[key[1]][key[0]], result.means[key[1]]["n"]
        half = half_width(replicates[key]) if len(replicates[key]) >= 2 else None
        # The true values are never below 0, but an unbiased estimate, as KID's, can be.
        low, high = (None, None) if half is None else (max(mean - half, min(mean, 0.0)), mean + half)
        estimates[key] = Estimate(mean, low, high, images)
    differences = {}
    for key, label in pairs:
        ours, theirs = replicates[key], replicates[_rival((key, label))]
        common = min(len(ours), len(theirs))  # the first draws are the same, however many each evaluation made
        if common >= 2:
            mean = estimates[key].mean - estimates[_rival((key, label))].mean
            interval, p = resampled(mean, ours[:common] - theirs[:common])
            differences[key, label] = Difference(label, mean, *interval, p=p, pairs=estimates[key].images, left_out=0)
    return estimates, differences


def _scored(results: list[Result], metrics: list[str], bin_name: str) -> Scored:
    return {
        (metric, bin_name, result.label): result
        for metric in metrics
        for result in results
        if result.means[bin_name].get(metric) is not None
    }


def _pairs(scored: Scored, best: dict[tuple[str, str], str], reference: str | None) -> list[Pair]:
    """Each method paired with the best and with the reference, if both have a number."""
    pairs = []
    for key in scored:
        for rival in dict.fromkeys((best.get(key[:2]), reference)):
            if rival is not None and rival != key[2] and _rival((key, rival)) in scored:
                pairs.append((key, rival))
    return pairs


def _rival(pair: Pair) -> Key:
    (metric, bin_name, _), label = pair
    return metric, bin_name, label


def _best(results: list[Result], metrics: dict[str, Meaning], bin_name: str) -> dict[tuple[str, str], str]:
    best = {}
    for metric, meaning in metrics.items():
        ranks = {r.label: rank for r in results if competes(r) and (rank := standing(r, metric, bin_name)) is not None}
        if ranks:
            best[metric, bin_name] = (max if meaning.higher_is_better else min)(ranks, key=ranks.__getitem__)
    return best


def standing(result: Result, metric: str, bin_name: str) -> tuple[float, int, float] | None:
    """What orders methods in a column: the mean; of infinite means the number of exact images; the mean of the others.

    None if the method has no mean.
    """
    means: dict[str, Any] = result.means[bin_name]
    if means.get(metric) is None:
        return None
    return means[metric], means.get(f"{metric}_infinite", 0), means.get(f"{metric}_finite", math.inf)


def _images(result: Result, bin_name: str) -> pl.DataFrame:
    images = result.per_image if bin_name == ALL else result.per_image.filter(pl.col("bin") == bin_name)
    return images.sort("name")


def _photographs(images: pl.DataFrame) -> Numbering:
    """The number of each image's photograph; images with other holes or in other bins share it."""
    return np.unique(images["image"].to_numpy(), return_inverse=True)[1].ravel()


def _values(images: pl.DataFrame, metric: str, meaning: Meaning) -> Row:
    """The values of a mean; those that are left out are NaN, an image that is reproduced exactly may be infinite."""
    row = images[metric].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return row if meaning.infinite_allowed else np.where(np.isfinite(row), row, math.nan)


def _minus(row: Row, other: Row) -> Row:
    """The difference of each image: 0 where both are reproduced exactly, NaN where a value is undefined."""
    with np.errstate(invalid="ignore"):  # of infinity from infinity
        return np.where(row == other, 0.0, row - other)


def _ratios(images: pl.DataFrame, metric: Meaning) -> Quantity:
    """The columns whose sums make the metric; a metric with a missing value has no number and does not come here."""
    return tuple((_values(images, above, metric), _values(images, below, metric)) for above, below in metric.pooled)


def _difference(reference: str, row: Row, draws: Draws, photographs: Numbering) -> Difference:
    """The difference of two means from the differences on their common images, with its uncorrected p value."""
    known = ~np.isnan(row)
    sums, counts = np.bincount(photographs[known], row[known]), np.bincount(photographs[known])
    p = signed_rank(sums[counts > 0] / counts[counts > 0])
    mean = mean_difference(row[known])
    interval = (None, None) if math.isnan(mean) else ends(draws)
    return Difference(reference, mean, *interval, p=p, pairs=_count(row), left_out=len(row) - _count(row))


def _corrected(differences: dict[Key, Difference], families: dict[str, int]) -> dict[Key, Difference]:
    corrected = {}
    for metric, family in families.items():
        keys = [key for key in differences if key[0] == metric]
        for key, p in zip(keys, holm([differences[key].p for key in keys], family), strict=True):
            corrected[key] = replace(differences[key], p=p)
    return corrected


def _count(row: Row | Numbering) -> int:
    return int((~np.isnan(row)).sum())
