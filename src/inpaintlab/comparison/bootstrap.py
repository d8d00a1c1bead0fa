"""The bootstrap over photographs: what a number of a test set would have been with other photographs.

Every number that images decide is a harmonic mean of ratios, each a column's sum over another column's sum: a mean is
the sum of the values over their count, micro-averaged precision the matches over the drawn pixels. So all of them are
resampled together, by summing columns, and each draw is the same photographs for every method and metric.

Intervals are 95 % percentile intervals (Efron and Tibshirani 1993). BCa intervals, tried on normal and log-normal
values, cover the true mean about as often, and they have no ends where all images agree. Of fewer than about twenty
photographs both are too narrow.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from inpaintlab.evaluation import drawn

DRAWS = 4999


_TAILS = (0.025, 0.975)


Row = Float[np.ndarray, " images"]
"""A number an image, in the order of the images' names."""


Quantity = tuple[tuple[Row, Row], ...]
"""The ratios, each above and below its stroke, whose harmonic mean is meant; a single ratio is its own mean."""


Numbering = Int[np.ndarray, " images"]
"""Each image's photograph, numbered from 0 without gaps."""


Draws = Float[np.ndarray, " draws"]
"""A quantity's value in each draw; NaN where the draw leaves it undefined."""


Ends = tuple[float | None, float | None]


def mean_of(values: Row) -> Quantity:
    """The mean of the finite values."""
    known = np.isfinite(values)
    return ((np.where(known, values, 0.0), known.astype(np.float64)),)


def bootstrap(quantities: Sequence[Quantity], photographs: Numbering, seed: str) -> list[Draws]:
    """Each quantity's values in draws of as many photographs as there are, with replacement.

    A photograph is drawn with all its images. The draws follow from `seed` and the number of photographs. A quantity
    that fewer than two photographs decide is NaN in every draw.
    """
    if not quantities:
        return []
    sums, place = by_photograph([row for ratios in quantities for ratio in ratios for row in ratio], photographs)
    totals = np.concatenate([sums @ times.T for times in drawn(sums.shape[1], DRAWS, seed)], axis=1)
    places = iter(place)
    found = []
    for ratios in quantities:
        pairs = [(next(places), next(places)) for _ in ratios]
        decided = all(np.count_nonzero(sums[below]) >= 2 for _, below in pairs)
        values = harmonic([(totals[above], totals[below]) for above, below in pairs])
        found.append(values if decided else np.full(DRAWS, math.nan))
    return found


def ends(draws: Draws) -> Ends:
    """Ends of the 95 % percentile interval; (None, None) where no draw has a value."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return None, None
    low, high = np.quantile(finite, _TAILS)
    return float(low), float(high)


def harmonic(ratios: Sequence[tuple[Draws, Draws]]) -> Draws:
    """Harmonic mean of ratios in each draw: 0 where one of them is 0, NaN where one is 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [above / below for above, below in ratios]
        return values[0] if len(values) == 1 else np.asarray(len(values) / sum(1 / value for value in values))


def by_photograph(
    rows: Sequence[Row], photographs: Numbering
) -> tuple[Float[np.ndarray, "columns photographs"], list[int]]:
    """Sums over each photograph's images, every distinct row once, and where among them each row stands."""
    distinct: dict[bytes, int] = {}
    sums: list[Row] = []
    place = []
    for row in rows:
        content = row.tobytes()
        if content not in distinct:
            distinct[content] = len(sums)
            sums.append(np.bincount(photographs, row))
        place.append(distinct[content])
    return np.stack(sums), place
