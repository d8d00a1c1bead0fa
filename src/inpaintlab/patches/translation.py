"""Matches that are upright patches elsewhere: row and column of the source."""

from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float
from numba.extending import overload

from inpaintlab.patches.field import END, INVALID, VALID, cost, drawn, sampled, shifted
from inpaintlab.patches.kernels import below, is_a

LARGEST = 9
"""The largest patch: sums of 9 x 9 x 3 squared differences of 8-bit colours are whole numbers below 2^24, which float32
holds exactly in whatever order they are added; so the sums may be vectorised, and every processor gives the same."""


class Translation(NamedTuple):
    """One level.

    Args:
        image: 8-bit colours as whole float32 numbers, continued by its outermost pixels on all sides, ``size // 2``
            pixels far; the three colours of a pixel beside each other.
        colours: what ``sampled`` gives, not rounded.
        valid: where a source may be centred.
        size: of a patch in pixels, odd.
    """

    image: Float[np.ndarray, "padded_height padded_width_colours"]
    colours: Float[np.ndarray, "height width 3"]
    valid: Bool[np.ndarray, "height width"]
    size: int


def translation(
    colours: Float[np.ndarray, "height width 3"], valid: Bool[np.ndarray, "height width"], size: int
) -> Translation:
    """The search in an image in [0, 1]; the size is odd, 3 to 9 pixels."""
    around = size // 2
    image = np.pad(np.rint(colours * 255), ((around, around), (around, around), (0, 0)), mode="edge")
    rows = np.ascontiguousarray(image, np.float32).reshape(len(image), -1)
    return Translation(rows, np.ascontiguousarray(colours, np.float32), np.ascontiguousarray(valid), size)


@numba.njit(fastmath=True, nogil=True)
@no_type_check
def _row_difference(image, y, x, other_y, other_x, numbers):
    """The sum of squares of a row of two patches; exact, see ``LARGEST``, so that it may be vectorised."""
    total = np.float32(0)
    for i in range(numbers):
        difference = image[y, x + i] - image[other_y, other_x + i]
        total += difference * difference
    return total


@overload(cost)
@no_type_check
def _cost(search, row, column, match, best):
    if not is_a(search, Translation):
        return None

    def squares(search, row, column, match, best):
        total = np.float32(0)
        for i in range(search.size):
            total += _row_difference(search.image, row + i, 3 * column, match[0] + i, 3 * match[1], 3 * search.size)
            if total >= best:
                break
        return total

    return squares


@overload(shifted)
@no_type_check
def _shifted(search, match, down, right, candidate):
    if not is_a(search, Translation):
        return None

    def beside(search, match, down, right, candidate):
        y, x = match[0] + down, match[1] + right
        candidate[0], candidate[1] = y, x
        return 0 <= y < search.valid.shape[0] and 0 <= x < search.valid.shape[1] and search.valid[y, x]

    return beside


@overload(drawn)
@no_type_check
def _drawn(search, row, column, match, step, state, candidate):
    if not is_a(search, Translation):
        return None

    def within_radius(search, row, column, match, step, state, candidate):
        height, width = search.valid.shape
        radius = max(height, width) >> step
        if radius < 1:
            return END
        top, left = max(0, match[0] - radius), max(0, match[1] - radius)
        y = top + below(state, min(height - 1, match[0] + radius) - top + 1)
        x = left + below(state, min(width - 1, match[1] + radius) - left + 1)
        candidate[0], candidate[1] = y, x
        return VALID if search.valid[y, x] else INVALID

    return within_radius


@overload(sampled)
@no_type_check
def _sampled(search, match, down, right, pixel):
    if not is_a(search, Translation):
        return None

    def copied(search, match, down, right, pixel):
        for c in range(3):
            pixel[c] = search.colours[match[0] + down, match[1] + right, c]

    return copied
