"""Windows of an image that together hold its hole, each with its surroundings: the cheapest that are small enough."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool

from inpaintlab.layers import Context

Hole = Bool[np.ndarray, "height width"]
Span = tuple[int, int]
"""The first row or column, and the one behind the last."""

LEAST = 64
"""The side of a window's inner part in pixels, up to which it is not divided; if the context is wider, that. So windows
have no more than about nine times the pixels of what is taken from them."""

EACH = 2**12
"""What a window costs beside its pixels, in pixels: starting a network's layers."""


@final
@dataclass(frozen=True)
class Window:
    """A part of an image that is completed at once.

    Args:
        rows: of the window.
        columns: of the window.
        inner_rows: of the part whose hole is taken from what is completed.
        inner_columns: likewise.
    """

    rows: Span
    columns: Span
    inner_rows: Span
    inner_columns: Span

    @property
    def pixels(self) -> int:
        """How many it has."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    @property
    def whole(self) -> tuple[slice, slice]:
        """Where it is, in a plane of the image."""
        return slice(*self.rows), slice(*self.columns)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where its inner part is, in a plane of the image."""
        return slice(*self.inner_rows), slice(*self.inner_columns)

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where its inner part is, in a plane of the window."""
        return (
            slice(self.inner_rows[0] - self.rows[0], self.inner_rows[1] - self.rows[0]),
            slice(self.inner_columns[0] - self.columns[0], self.inner_columns[1] - self.columns[0]),
        )


@final
@dataclass(frozen=True)
class Tiling:
    """Windows whose inner parts hold each pixel of a hole once.

    Args:
        windows: without an order.
        cut: whether one of the hole's connected parts lies in several of them.
    """

    windows: tuple[Window, ...]
    cut: bool

    @property
    def cost(self) -> int:
        """In pixels to be completed."""
        return sum(window.pixels + EACH for window in self.windows)


def tiled(hole: Hole, context: Context, most: int | float, *, cuts: bool) -> Tiling:
    """Windows around a hole.

    They are found by dividing the hole's smallest rectangle where it has the widest gap, or else in its middle where
    the fewest of its pixels lie, as long as the parts are cheaper than the whole, or this has too many pixels.

    Args:
        hole: True in the hole, which has a pixel.
        context: what each window has around each pixel of its inner part, but for the image's border.
        most: the most pixels of a window, at least `least_window`.
        cuts: whether connected parts are divided to save pixels; if not, only those of too many pixels are.
    """
    search = _Search(hole, context, most, cuts)
    windows = search.divided((0, hole.shape[0]), (0, hole.shape[1]))
    return Tiling(tuple(windows), search.cut)


def least_window(size: tuple[int, int], context: Context) -> int:
    """The pixels of the largest window whose inner part is divided no more, in an image of this height and width."""
    side = max(LEAST, context.pixels) + 2 * (context.pixels + context.align - 1)
    return min(side, size[0]) * min(side, size[1])


@final
class _Search:
    """The work of `tiled`, whose arguments it has.

    Attributes:
        cut: whether a connected part was divided.
    """

    def __init__(self, hole: Hole, context: Context, most: int | float, cuts: bool) -> None:
        self.hole, self.context, self.most, self.cuts = hole, context, most, cuts
        self.cut = False

    def divided(self, rows: Span, columns: Span) -> list[Window]:
        """The cheapest windows that were found for the hole in a rectangle."""
        part = self.hole[slice(*rows), slice(*columns)]
        rows, columns = (
            _tight(first, np.asarray(part.any(axis=axis))) for first, axis in ((rows[0], 1), (columns[0], 0))
        )
        if rows[0] == rows[1]:
            return []
        one = self._around(rows, columns)
        fits = one.pixels <= self.most
        longest = max(rows[1] - rows[0], columns[1] - columns[0])
        if longest <= max(LEAST, self.context.pixels):
            return [one]
        axis, place, gap = self._division(rows, columns)
        if fits and not gap and not self.cuts:
            return [one]
        cut_before = self.cut
        if axis:
            parts = [(rows, (columns[0], place)), (rows, (place, columns[1]))]
        else:
            parts = [((rows[0], place), columns), ((place, rows[1]), columns)]
        windows = [window for each in parts for window in self.divided(*each)]
        if fits and sum(window.pixels + EACH for window in windows) >= one.pixels + EACH:
            self.cut = cut_before
            return [one]
        self.cut = self.cut or not gap
        return windows

    def _around(self, rows: Span, columns: Span) -> Window:
        """The window around a rectangle."""
        whole = []
        for (first, last), side in zip((rows, columns), self.hole.shape, strict=True):
            align = self.context.align
            begin, end = first - self.context.pixels, last + self.context.pixels
            whole.append((max(0, begin - begin % align), min(side, end + -end % align)))
        return Window(whole[0], whole[1], rows, columns)

    def _division(self, rows: Span, columns: Span) -> tuple[int, int, bool]:
        """Where a rectangle is divided: the axis (0: between rows), the place, and whether there is a gap."""
        part = self.hole[slice(*rows), slice(*columns)]
        counts = part.sum(axis=1, dtype=np.int64), part.sum(axis=0, dtype=np.int64)
        gaps = [_widest_gap(count) for count in counts]
        axis = int(gaps[1][1] > gaps[0][1])
        middle, width = gaps[axis]
        first = (rows, columns)[axis][0]
        if width > self.context.pixels // 2 or (width and not self.cuts):
            return axis, first + middle, True
        axis = int(part.shape[1] > part.shape[0])
        side = part.shape[axis]
        near = np.arange(side // 3, side - side // 3)
        # of a border between two rows the pixels on both sides; of equal ones that nearest to the middle
        crossing = counts[axis][near] + counts[axis][near - 1]
        order = np.lexsort((np.abs(2 * near - side), crossing))
        place = int(near[order[0]])
        return axis, (rows, columns)[axis][0] + place, False


def _tight(first: int, marked: Bool[np.ndarray, " side"]) -> Span:
    """The span of what is marked, counted from ``first``; empty if nothing is."""
    places = np.flatnonzero(marked)
    return (first + int(places[0]), first + int(places[-1]) + 1) if len(places) else (first, first)


def _widest_gap(counts: np.ndarray) -> tuple[int, int]:
    """The middle of the longest run of zeros, and its length."""
    places = np.flatnonzero(counts)
    gaps = np.diff(places) - 1
    if not len(gaps) or not gaps.max():
        return 0, 0
    widest = int(gaps.argmax())
    return int(places[widest]) + 1 + int(gaps[widest]) // 2, int(gaps[widest])
