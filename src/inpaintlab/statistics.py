"""Statistics of a comparison: how sure each mean is, and which leads between methods stand.

The unit is the photograph. A test set puts the same photographs into every mask bin, so over all bins a photograph
counts several times with different holes; these values resemble each other and are drawn, and tested, together.

Intervals are 95 % percentile bootstrap intervals (Efron and Tibshirani 1993). BCa intervals, tried on normal and
log-normal values, cover the true mean about as often, and they have no ends where all images agree. Of fewer than about
twenty photographs both are too narrow.

Leads are tested by Wilcoxon's signed-rank test on paired differences: the methods fill the same holes, so pairing
removes how hard each photograph is, and ranks bear the long tails that differences of PSNR have. Holm's procedure
corrects the p values, over all bins and methods of a metric: over what one table shows.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.stats import wilcoxon

from inpaintlab.results import ALL, Metric, Result

SIGNIFICANT = 0.05
_TAILS = (0.025, 0.975)
_RESAMPLES = 4999
_BLOCK = 2**22  # draws held in memory at a time

Key = tuple[str, str, str]
"""Metric, mask bin, label."""
Row = Float[np.ndarray, " images"]
"""A value an image, in the order of the images' names; NaN where the value is left out of the mean."""
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Estimate:
    """A mean over `images` images with its interval, which fewer than two photographs do not have (None)."""

    mean: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Difference:
    """Mean of a method's values minus those of `reference` on the same images, with its interval.

    `p` is two-sided and corrected; a test that points the other way than `mean` gives 1. Of the images, `pairs`
    count and `left_out` do not, because a value of either method is infinite or undefined there.
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
    """What `analyse` finds; a method has no entry where it has no finite mean, or no pair with the reference.

    `best` is the label of the best mean of a metric and bin among the methods that compete; `from_best` are the
    differences from it, `from_reference` those from the reference that was asked for (from the best, where none was).
    """

    estimates: dict[Key, Estimate]
    best: dict[tuple[str, str], str]
    from_best: dict[Key, Difference]
    from_reference: dict[Key, Difference]


def competes(result: Result) -> bool:
    """Whether a method can be the best: an oracle sees something of the hidden part, an untrained one is a floor."""
    return result.trained and not result.oracle


def analyse(
    results: list[Result], metrics: dict[str, Metric], bins: Sequence[str], reference: str | None = None
) -> Statistics:
    """Intervals, paired differences and corrected p values of results on the same images and holes.

    Which method is best is seen from the same data, so the differences from it are corrected for all pairs of methods;
    a `reference` (a label) was named beforehand and is compared with each other method once. The draws follow from the
    manifest's hash and the bin's name alone: the same for every method and metric, on every machine.
    """
    estimates: dict[Key, Estimate] = {}
    best: dict[tuple[str, str], str] = {}
    from_best: dict[Key, Difference] = {}
    from_reference: dict[Key, Difference] = {}
    for bin_name in bins:
        best |= _best(results, metrics, bin_name)
        rows = {
            (m, bin_name, r.label): row for m in metrics for r in results if (row := _row(r, m, bin_name)) is not None
        }
        to_best = _paired(rows, {key: best.get(key[:2]) for key in rows})
        to_reference = _paired(rows, dict.fromkeys(rows, reference))
        photographs = _photographs(results[0], bin_name)
        seed = f"{results[0].manifest['sha256']}/{bin_name}"
        ends = iter(intervals([*rows.values(), *to_best.values(), *to_reference.values()], photographs, seed))
        for key, row in rows.items():
            estimates[key] = Estimate(_mean(row), *next(ends), images=_count(row))
        for key, row in to_best.items():
            from_best[key] = _difference(best[key[:2]], row, next(ends), photographs)
        for key, row in to_reference.items():
            from_reference[key] = _difference(str(reference), row, next(ends), photographs)
    methods = Counter((metric, bin_name) for metric, bin_name, _ in estimates)
    all_pairs = {m: sum(math.comb(n, 2) for (metric, _), n in methods.items() if metric == m) for m in metrics}
    from_best = _corrected(from_best, all_pairs)
    if reference is None:
        return Statistics(estimates, best, from_best, from_best)
    return Statistics(estimates, best, from_best, _corrected(from_reference, Counter(key[0] for key in from_reference)))


def intervals(rows: list[Row], photographs: Int[np.ndarray, " images"], seed: str) -> list[Ends]:
    """Ends of the 95 % bootstrap interval of each row's mean; (None, None) where fewer than two photographs count.

    `photographs` numbers each image's photograph, from 0 without gaps. Whole photographs are drawn, the same ones for
    every row, and the draws follow from `seed` and the number of photographs.
    """
    if not rows:
        return []
    values = np.stack(rows, axis=1)
    known = np.isfinite(values)
    n = int(photographs.max()) + 1
    sums, counts = np.zeros((n, len(rows))), np.zeros((n, len(rows)))
    np.add.at(sums, photographs, np.where(known, values, 0.0))
    np.add.at(counts, photographs, known)
    # Most rows have the same counts: each kind is drawn once.
    kinds, kind_of = np.unique(counts, axis=1, return_inverse=True)
    # RandomState because its stream is frozen for good, whole numbers because they are the same on every processor.
    random = np.random.RandomState(np.frombuffer(hashlib.sha256(seed.encode()).digest(), dtype="<u4"))
    means = []
    for draws in _blocks(n):
        drawn = random.randint(n, size=(draws, n), dtype=np.int64) + n * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 where no photograph with a value was drawn
            means.append((times @ sums) / (times @ kinds)[:, kind_of.ravel()])
    enough = (counts > 0).sum(axis=0) >= 2
    ends: list[Ends] = [(None, None)] * len(rows)
    for i in np.flatnonzero(enough):
        column = np.concatenate([block[:, i] for block in means])
        low, high = np.quantile(column[np.isfinite(column)], _TAILS)
        ends[i] = float(low), float(high)
    return ends


def signed_rank(differences: Float[np.ndarray, " photographs"]) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test, in the direction of the mean difference.

    It is twice the one-sided p, so where the ranks point the other way than the mean there is no lead (1.0), and where
    they agree it is the usual two-sided p. Differences of 0 are dropped; where all are 0 there is no lead either. Exact
    for few photographs, by the normal distribution for more than 50 (SciPy's choice).
    """
    mean = math.fsum(differences)
    if mean == 0:
        return 1.0
    one_sided = wilcoxon(differences, alternative="greater" if mean > 0 else "less").pvalue
    return min(1.0, 2 * float(one_sided))


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """P values corrected for `family` comparisons by Holm's step-down procedure, in the given order.

    `family` may exceed their number: those that are not given then count as if their p values were larger, which
    never makes a corrected value smaller than Holm's procedure over all of them would.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (family - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def _best(results: list[Result], metrics: dict[str, Metric], bin_name: str) -> dict[tuple[str, str], str]:
    best = {}
    for metric, meaning in metrics.items():
        means = {r.label: mean for r in results if competes(r) and (mean := r.means[bin_name].get(metric)) is not None}
        if means:
            best[metric, bin_name] = (max if meaning.higher_is_better else min)(means, key=means.__getitem__)
    return best


def _images(result: Result, bin_name: str) -> pl.DataFrame:
    images = result.per_image if bin_name == ALL else result.per_image.filter(pl.col("bin") == bin_name)
    return images.sort("name")


def _photographs(result: Result, bin_name: str) -> Int[np.ndarray, " images"]:
    """Numbers the photograph of each image: an image of a test set is called <bin>/<photograph>."""
    names = [name.removeprefix(f"{of}/") for name, of in _images(result, bin_name).select("name", "bin").iter_rows()]
    return np.unique(np.array(names), return_inverse=True)[1].ravel()


def _row(result: Result, metric: str, bin_name: str) -> Row | None:
    """The values behind a mean; None where there is no mean."""
    if result.means[bin_name].get(metric) is None:
        return None
    values = _images(result, bin_name)[metric].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return np.where(np.isfinite(values), values, math.nan)


def _paired(rows: dict[Key, Row], references: dict[Key, str | None]) -> dict[Key, Row]:
    """Each row minus its reference's, where both have a value on at least one image."""
    differences = {}
    for key, row in rows.items():
        reference = references[key]
        other = None if reference is None else rows.get((key[0], key[1], reference))
        if other is None or reference == key[2]:
            continue
        if _count(row - other):
            differences[key] = row - other
    return differences


def _difference(reference: str, row: Row, ends: Ends, photographs: Int[np.ndarray, " images"]) -> Difference:
    """A difference whose p value is not corrected yet."""
    known = np.isfinite(row)
    sums, counts = np.bincount(photographs[known], row[known]), np.bincount(photographs[known])
    p = signed_rank(sums[counts > 0] / counts[counts > 0])
    return Difference(reference, _mean(row), *ends, p=p, pairs=_count(row), left_out=len(row) - _count(row))


def _corrected(differences: dict[Key, Difference], families: dict[str, int]) -> dict[Key, Difference]:
    corrected = {}
    for metric, family in families.items():
        keys = [key for key in differences if key[0] == metric]
        for key, p in zip(keys, holm([differences[key].p for key in keys], family), strict=True):
            corrected[key] = replace(differences[key], p=p)
    return corrected


def _count(row: Row) -> int:
    return int(np.isfinite(row).sum())


def _mean(row: Row) -> float:
    return math.fsum(row[np.isfinite(row)]) / _count(row)


def _blocks(n: int) -> list[int]:
    """Sizes of the blocks in which the resamples of n photographs are drawn."""
    size = max(1, _BLOCK // n)
    return [min(size, _RESAMPLES - start) for start in range(0, _RESAMPLES, size)]
