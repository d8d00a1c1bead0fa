"""Tests of the difference between two methods that filled the same holes, one for each kind of metric.

Pairing removes the difficulty of each photograph. All tests are two-sided; the unit is the photograph.

- Means over images: Wilcoxon's signed-rank test. Ranks are robust to the long tails of differences in PSNR.
- Ratios of sums (micro-averages), which have no value per image: a permutation test. If the methods are equally good,
  the two completions of a photograph are exchangeable, so they are swapped on random photographs. p is the share of
  swaps that separate the two ratios at least as far as observed. The test assumes no distribution; like the signed-rank
  test, it is never significant on a handful of photographs.
- Numbers of whole sets (FID): a t test of the difference by its standard deviation over resampled photographs, because
  computing such numbers for thousands of swaps would take too long.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student
from scipy.stats import wilcoxon

from inpaintlab.comparison.bootstrap import Ends, Numbering, Quantity, by_photograph, harmonic
from inpaintlab.evaluation import block_sizes, frozen_random

_SWAPS = 2**16  # random ones; with up to 16 photographs there are no more, and all are tried


_TIE = 1e-9  # equal differences are not always equal after rounding


def signed_rank(differences: Float[np.ndarray, " photographs"]) -> float:
    """P value of Wilcoxon's signed-rank test, in the direction of the mean difference.

    It is twice the one-sided p. If ranks and mean agree in direction, this is the usual two-sided p; if they disagree,
    it is 1. Differences of 0 are dropped; if all are 0, p is 1. Infinite differences share the largest rank; if there
    are some of both signs, their mean is undefined and p is 1. Exact for few photographs, by the normal distribution
    for more than 50 (SciPy's choice).

    Args:
        differences: one per photograph; NaN if its mean is undefined, as the whole is then.
    """
    mean = mean_difference(differences)
    if mean == 0 or math.isnan(mean):
        return 1.0
    infinite = np.isinf(differences)
    beyond = 1 + max(abs(differences[~infinite]), default=0.0)
    ranked = np.where(infinite, np.copysign(beyond, differences), differences)
    one_sided = wilcoxon(ranked, alternative="greater" if mean > 0 else "less").pvalue
    return min(1.0, 2 * float(one_sided))


def mean_difference(differences: Float[np.ndarray, " differences"]) -> float:
    """The mean of differences of which some may be infinite; NaN if there are infinite ones of both signs, or a NaN."""
    infinite = set(differences[~np.isfinite(differences)].tolist())
    return sum(infinite) if infinite else math.fsum(differences) / len(differences)


def swapping(pairs: Sequence[tuple[Quantity, Quantity]], photographs: Numbering, seed: str) -> list[float]:
    """P value of each pair's permutation test, which swaps the two methods on whole photographs.

    Exact for up to 16 photographs. For more there are 65 535 random swaps, the same for every pair, and the observed
    order counts as one more, so p is never below 1 / 65 536. A swap that leaves a ratio undefined counts as one that
    separates the two as far.

    Args:
        pairs: the quantity of each of the two methods.
        photographs: the photograph of each image.
        seed: decides the swaps, together with the number of photographs.
    """
    if not pairs:
        return []
    rows = [
        (row + other, row - other)
        for one, two in pairs
        for ratio, other_ratio in zip(one, two, strict=True)
        for row, other in zip(ratio, other_ratio, strict=True)
    ]
    halves, place = by_photograph([difference / 2 for _, difference in rows], photographs)
    middles = [float(both.sum()) / 2 for both, _ in rows]
    n = halves.shape[1]
    as_far = np.zeros(len(pairs))
    observed = _apart(pairs, middles, place, halves.sum(axis=1, keepdims=True))
    for signs in _signs(n, seed):
        apart = _apart(pairs, middles, place, halves @ signs.T)
        as_far += [np.count_nonzero(~(a < o * (1 - _TIE))) for a, o in zip(apart, observed, strict=True)]
    every = 2**n <= _SWAPS
    return [float(count / 2**n if every else (count + 1) / _SWAPS) for count in as_far]


def resampled(difference: float, replicates: Float[np.ndarray, " draws"]) -> tuple[Ends, float]:
    """95 % interval and p value of a difference between numbers of whole sets.

    Student's t with one degree of freedom less than there are replicates, because a few replicates estimate their
    standard deviation poorly. If the replicates do not vary, p is 1.

    Args:
        difference: on the test set itself.
        replicates: at least 2 values of it on resampled photographs.
    """
    half = half_width(replicates)
    if half == 0:
        return (difference, difference), 1.0
    error = float(replicates.std(ddof=1))
    return (difference - half, difference + half), float(2 * student.sf(abs(difference) / error, len(replicates) - 1))


def half_width(replicates: Float[np.ndarray, " draws"]) -> float:
    """Half of the 95 % interval of a number whose values on resampled photographs are `replicates` (at least 2).

    Only their spread is used: photographs that are drawn twice raise a FID, so all replicates are too high.
    """
    return float(student.ppf(0.975, len(replicates) - 1) * replicates.std(ddof=1))


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """P values corrected for multiple comparisons by Holm's step-down procedure, in the given order.

    Args:
        p_values: of the comparisons.
        family: number of comparisons to correct for. It may exceed the number of p values; the missing ones count as
            larger, so no corrected value is smaller than with all of them.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (family - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def _apart(
    pairs: Sequence[tuple[Quantity, Quantity]],
    middles: list[float],
    place: list[int],
    moved: Float[np.ndarray, "columns swaps"],
) -> list[Float[np.ndarray, " swaps"]]:
    """The distance between each pair's quantities, if their sums lie `moved` above and below the pair's middles."""
    sums = ((middle + moved[i], middle - moved[i]) for middle, i in zip(middles, place, strict=True))
    found = []
    for ratios, _ in pairs:
        sides = [(next(sums), next(sums)) for _ in ratios]
        one, two = (harmonic([(above[side], below[side]) for above, below in sides]) for side in (0, 1))
        found.append(abs(one - two))
    return found


def _signs(photographs: int, seed: str) -> Iterator[Float[np.ndarray, "swaps photographs"]]:
    """Blocks of swaps: -1 where the two methods change places, 1 where they stay."""
    of_byte = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    if 2**photographs <= _SWAPS:
        numbers = np.arange(2**photographs, dtype="<u2")
        yield of_byte[numbers.view(np.uint8)].reshape(-1, 16)[:, :photographs]
        return
    random = frozen_random(f"swap/{seed}")
    width = -(-photographs // 8)
    for swaps in block_sizes(_SWAPS - 1, photographs):
        drawn = np.frombuffer(random.bytes(swaps * width), dtype=np.uint8)
        yield of_byte[drawn].reshape(swaps, -1)[:, :photographs]
