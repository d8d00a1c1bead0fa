"""Metrics of whole sets by mask bin, and on resampled photographs."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from inpaintlab.evaluation.resampling import drawn
from inpaintlab.evaluation.results import ALL
from inpaintlab.metrics import FeaturePairs, SetMetric, Times


def score_sets(
    metrics: Sequence[SetMetric],
    real: Float[np.ndarray, "images width"],
    completed: Float[np.ndarray, "images width"],
    bins: Sequence[str],
    photographs: Sequence[str],
    seed: str,
    resamples: int,
) -> tuple[dict[str, dict[str, float | None]], dict[str, dict[str, list[float]]]]:
    """The values of metrics of whole sets by mask bin, and their values on resampled photographs.

    A replicate is the value of as many photographs as the bin has, drawn with replacement, each with all its images in
    the bin. The draws follow from ``seed`` and the bin's name alone (see `drawn`), so the k-th replicates of two
    methods on one test set are of the same photographs, and their difference is paired. Use only the spread of the
    replicates, not their mean: drawing with replacement repeats photographs, which raises FID and KID. P-IDS and U-IDS
    draw the images but keep the SVM, because one trained on repeated images separates them far better.

    Args:
        metrics: all of the network that computed the features.
        real: features of the original photographs, one row per image.
        completed: features of the completed images, in the same order.
        bins: the mask bin of each image.
        photographs: the photograph of each image; several images may share one.
        seed: the hash of the manifest.
        resamples: number of replicates.

    Returns:
        Values by bin and metric, also over "all" images, and replicates by metric and bin. A bin has the value None
        and no replicates if it has fewer images than a metric needs or a feature that is not finite. A bin of one
        photograph has no replicates, and no KID.
    """
    values: dict[str, dict[str, float | None]] = {}
    replicates: dict[str, dict[str, list[float]]] = {metric.name: {} for metric in metrics}
    for bin_name, chosen in _by_bin(bins):
        pairs = FeaturePairs(real[chosen].astype(np.float64), completed[chosen].astype(np.float64))
        times = _times(np.asarray(photographs)[chosen], f"{seed}/{bin_name}", resamples)
        values[bin_name] = {}
        for metric in metrics:
            first, *rest = metric.values(pairs, times).tolist()
            values[bin_name][metric.name] = None if math.isnan(first) else first
            if rest and not math.isnan(first):
                replicates[metric.name][bin_name] = rest
    return values, replicates


def _by_bin(bins: Sequence[str]) -> Iterator[tuple[str, Int[np.ndarray, " chosen"]]]:
    """The rows of each bin, in the order in which the bins first appear, then all rows."""
    names = np.asarray(bins)
    for bin_name in dict.fromkeys(bins):
        yield bin_name, np.flatnonzero(names == bin_name)
    yield ALL, np.arange(len(names))


def _times(photographs: np.ndarray, seed: str, resamples: int) -> Times:
    """A row of ones, then a row per draw: how often each image is drawn. No draws if there is only one photograph."""
    number = np.unique(photographs, return_inverse=True)[1].ravel()
    n = int(number.max()) + 1
    ones = np.ones((1, len(photographs)))
    if n < 2 or resamples == 0:
        return ones
    return np.concatenate([ones, *(times[:, number] for times in drawn(n, resamples, seed))])
