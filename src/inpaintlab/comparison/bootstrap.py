"""The bootstrap over photographs: how a number of a test set varies with the choice of photographs.

Every metric of images is a harmonic mean of ratios, each the sum of one column over the sum of another. A mean is the
sum of the values over their count; micro-averaged precision is the matches over the predicted pixels. So all metrics
are resampled together, by summing columns, and each draw has the same photographs for every method and metric.

Intervals are 95 % percentile intervals (Efron and Tibshirani 1993). BCa intervals, tried on normal and log-normal
values, cover the true mean about as often, and are undefined if all images agree. With fewer than about twenty
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
"""One number per image, in the order of the images' names."""


Quantity = tuple[tuple[Row, Row], ...]
"""A harmonic mean of ratios, each given as numerator and denominator; a single ratio is its own mean."""


Numbering = Int[np.ndarray, " images"]
"""The photograph of each image, numbered from 0 without gaps."""


Draws = Float[np.ndarray, " draws"]
"""A quantity's value in each draw, which may be infinite; NaN if it is undefined there."""


Ends = tuple[float | None, float | None]


def mean_of(values: Row) -> Quantity:
    """The mean of the values that are not NaN, as a quantity that can be resampled."""
    known = ~np.isnan(values)
    return ((np.where(known, values, 0.0), known.astype(np.float64)),)


def bootstrap(quantities: Sequence[Quantity], photographs: Numbering, seed: str) -> list[Draws]:
    """The values of each quantity in `DRAWS` draws of as many photographs as there are, with replacement.

    A photograph is drawn with all its images. A quantity to which fewer than two photographs contribute is NaN in every
    draw.

    Args:
        quantities: what is resampled; all use the same draws.
        photographs: the photograph of each image.
        seed: decides the draws, together with the number of photographs.
    """
    if not quantities:
        return []
    sums, place = by_photograph([row for ratios in quantities for ratio in ratios for row in ratio], photographs)
    totals = np.concatenate([_totals(sums, times) for times in drawn(sums.shape[1], DRAWS, seed)], axis=1)
    places = iter(place)
    found = []
    for ratios in quantities:
        pairs = [(next(places), next(places)) for _ in ratios]
        decided = all(np.count_nonzero(sums[below]) >= 2 for _, below in pairs)
        values = harmonic([(totals[above], totals[below]) for above, below in pairs])
        found.append(values if decided else np.full(DRAWS, math.nan))
    return found


def ends(draws: Draws) -> Ends:
    """The ends of the 95 % percentile interval, which may be infinite; (None, None) if every draw is undefined."""
    known = draws[~np.isnan(draws)]
    if not known.size:
        return None, None
    if np.isfinite(known).all():
        low, high = np.quantile(known, _TAILS)
    else:  # nothing lies between a number and infinity, so the ends are draws, the outer ones
        low, high = np.quantile(known, _TAILS[0], method="lower"), np.quantile(known, _TAILS[1], method="higher")
    return float(low), float(high)


def harmonic(ratios: Sequence[tuple[Draws, Draws]]) -> Draws:
    """The harmonic mean of ratios in each draw: 0 if one of them is 0, NaN if one is 0 / 0.

    Args:
        ratios: numerator and denominator of each.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [above / below for above, below in ratios]
        return values[0] if len(values) == 1 else np.asarray(len(values) / sum(1 / value for value in values))


def _totals(
    sums: Float[np.ndarray, "columns photographs"], times: Float[np.ndarray, "draws photographs"]
) -> Float[np.ndarray, "columns draws"]:
    """The sum of each column in each draw; a photograph that is not drawn adds nothing, even if its sum is infinite."""
    finite = np.isfinite(sums)
    totals = np.where(finite, sums, 0.0) @ times.T
    for column in np.flatnonzero(~finite.all(axis=1)):
        infinite, negative, undefined = (
            times[:, found].any(axis=1)
            for found in (sums[column] == np.inf, sums[column] == -np.inf, np.isnan(sums[column]))
        )
        totals[column, infinite] = np.inf
        totals[column, negative] = -np.inf
        totals[column, undefined | (infinite & negative)] = np.nan
    return np.asarray(totals)


def by_photograph(
    rows: Sequence[Row], photographs: Numbering
) -> tuple[Float[np.ndarray, "columns photographs"], list[int]]:
    """Sum each row over the images of each photograph; equal rows are summed once.

    Returns:
        The sums of the distinct rows, and for each given row its index among them.
    """
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
