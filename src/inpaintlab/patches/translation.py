"""Matches that are upright patches elsewhere: row and column of the source."""

from typing import NamedTuple, final, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numba.extending import overload

from inpaintlab.patches.field import (
    END,
    INVALID,
    VALID,
    Targets,
    copy_best,
    cost,
    drawn,
    known_patches,
    sampled,
    shifted,
    targets_of,
    vote,
)
from inpaintlab.patches.kernels import below, is_a


class Translation(NamedTuple):
    """One level.

    Args:
        image: 8-bit colours, continued by its outermost pixels on all sides, ``size // 2``
            pixels far; row after row, the three colours of a pixel beside each other.
        stride: numbers from one row of ``image`` to the next.
        colours: what ``sampled`` gives, not rounded.
        valid: where a source may be centred.
        size: of a patch in pixels, odd.
    """

    image: UInt8[np.ndarray, " numbers"]
    stride: int
    colours: Float[np.ndarray, "height width 3"]
    valid: Bool[np.ndarray, "height width"]
    size: int


@final
class Painted:
    """An image whose hole is painted again and again, and the search in it.

    Args:
        colours: RGB in [0, 1], with a first guess in the hole.
        hole: True where it is painted.
        size: of a patch in pixels, odd.
    """

    def __init__(
        self, colours: Float[np.ndarray, "height width 3"], hole: Bool[np.ndarray, "height width"], size: int
    ) -> None:
        around = size // 2
        self.colours = np.array(colours, np.float32)
        self.valid = known_patches(hole, size)
        self.hole = targets_of(hole)
        image = np.pad(_in_8_bits(self.colours), ((around, around), (around, around), (0, 0)), mode="edge")
        self.search = Translation(image.ravel(), 3 * image.shape[1], self.colours, self.valid, size)
        self._image = image.reshape(-1, 3)
        own = np.pad(self.hole.number, around, mode="edge").ravel()
        """The pixel of the hole that each pixel of the padded image repeats, or -1."""
        self._repeating = np.flatnonzero(own >= 0)
        self._repeated = own[self._repeating]

    def vote(
        self, targets: Targets, matches: Int[np.ndarray, "targets 2"], weights: Float[np.ndarray, " targets"]
    ) -> float:
        """Paint each pixel with the weighted mean of what the patches over it have there.

        Returns:
            By how much the hole's colours changed, on average.
        """
        before = self.colours[self.hole.rows, self.hole.columns]
        after = before.copy()
        vote(self.search, targets, matches, weights.astype(np.float32), self.hole, self.search.size, after)
        self._paint(after)
        return float(np.abs(after - before).mean())

    def copy_best(
        self, targets: Targets, matches: Int[np.ndarray, "targets 2"], costs: Float[np.ndarray, " targets"]
    ) -> None:
        """Paint each pixel with what the best patch over it has there."""
        colours = self.colours[self.hole.rows, self.hole.columns]
        copy_best(self.search, targets, matches, costs, self.hole, self.search.size, colours)
        self._paint(colours)

    def _paint(self, colours: Float[np.ndarray, "pixels 3"]) -> None:
        self.colours[self.hole.rows, self.hole.columns] = colours
        self._image[self._repeating] = _in_8_bits(colours)[self._repeated]


def _in_8_bits(colours: np.ndarray) -> np.ndarray:
    return np.rint(colours.clip(0, 1) * 255).astype(np.uint8)


@numba.njit(forceinline=True)
@no_type_check
def _squares(image, stride, place, other, size, best):
    """The sum of squared differences of two patches, row by row until it is ``best`` or more.

    Whole numbers, so that they may be added in any order: several at once, with the same sum on every processor. Places
    are unsigned, because a signed index may count from the end, which numba looks at for each number.
    """
    total = np.int32(0)
    for _ in range(size):
        for i in range(3 * size):
            one, another = image[np.uintp(place + i)], image[np.uintp(other + i)]
            difference = np.int32(np.int32(one) - np.int32(another))
            total = np.int32(total + np.int32(difference * difference))
        if total >= best:
            break
        place += np.uintp(stride)
        other += np.uintp(stride)
    return total


@overload(cost, jit_options={"forceinline": True})
@no_type_check
def _cost(search, row, column, candidate, best):
    if not is_a(search, Translation):
        return None

    def squares(search, row, column, candidate, best):
        image, stride = search.image, search.stride
        place = np.uintp(row * stride + 3 * column)
        other = np.uintp(candidate[0] * stride + 3 * candidate[1])
        if search.size == 7:  # twice as fast with the usual size in the compiled code
            return _squares(image, stride, place, other, 7, best)
        return _squares(image, stride, place, other, search.size, best)

    return squares


@overload(shifted, jit_options={"forceinline": True})
@no_type_check
def _shifted(search, matches, k, down, right, candidate):
    if not is_a(search, Translation):
        return None

    def beside(search, matches, k, down, right, candidate):
        y, x = matches[k, 0] + down, matches[k, 1] + right
        candidate[0], candidate[1] = y, x
        return 0 <= y < search.valid.shape[0] and 0 <= x < search.valid.shape[1] and search.valid[y, x]

    return beside


@overload(drawn, jit_options={"forceinline": True})
@no_type_check
def _drawn(search, row, column, matches, k, step, state, candidate):
    if not is_a(search, Translation):
        return None

    def within_radius(search, row, column, matches, k, step, state, candidate):
        height, width = search.valid.shape
        radius = max(height, width) >> step
        if radius < 1:
            return END
        top, left = max(0, matches[k, 0] - radius), max(0, matches[k, 1] - radius)
        y = top + below(state, min(height - 1, matches[k, 0] + radius) - top + 1)
        x = left + below(state, min(width - 1, matches[k, 1] + radius) - left + 1)
        candidate[0], candidate[1] = y, x
        return VALID if search.valid[y, x] else INVALID

    return within_radius


@overload(sampled, jit_options={"forceinline": True})
@no_type_check
def _sampled(search, matches, k, down, right, pixel):
    if not is_a(search, Translation):
        return None

    def copied(search, matches, k, down, right, pixel):
        y, x = np.uintp(matches[k, 0] + down), np.uintp(matches[k, 1] + right)
        for c in range(np.uintp(3)):
            pixel[c] = search.colours[y, x, c]

    return copied
