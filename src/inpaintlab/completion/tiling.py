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
        align: see `Context`.
    """

    rows: Span
    columns: Span
    inner_rows: Span
    inner_columns: Span
    align: int = 1

    @property
    def pixels(self) -> int:
        """How many a method computes; see `aligned`."""
        return aligned(self.rows[1] - self.rows[0], self.columns[1] - self.columns[0], self.align)

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
        first, last = self.rows[0], self.columns[0]
        rows, columns = self.inner
        return slice(rows.start - first, rows.stop - first), slice(columns.start - last, columns.stop - last)


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

    @property
    def largest(self) -> int:
        """The pixels of its largest window."""
        return max(window.pixels for window in self.windows)


def aligned(height: int, width: int, align: int) -> int:
    """How many pixels a method computes for so many: its layers round the sides up to a multiple."""
    return (height + -height % align) * (width + -width % align)


def tiled(hole: Hole, context: Context, most: int | float, *, cuts: bool) -> Tiling:
    """Windows around a hole.

    They are found by dividing the hole's smallest rectangle where it has the widest gap, or else in its middle where
    the fewest of its pixels lie, as long as the parts are cheaper than the whole, or this has too many pixels.

    Args:
        hole: True in the hole, which has a pixel.
        context: what each window has around each pixel of its inner part, but for the image's border.
        most: the most pixels of a window, which it may exceed if it is divided no more; 0 for the smallest windows.
        cuts: whether connected parts are divided to save pixels; if not, only those of too many pixels are.
    """
    return _Search(hole, context, most, cuts).tiling()


@final
@dataclass
class _Part:
    """A rectangle that holds a part of the hole, while windows are searched for.

    Args:
        one: its window.
        fits: whether that has no more pixels than it may have.
        parts: those that it was divided into.
        gap: whether they were divided where no hole is.
    """

    one: Window
    fits: bool
    parts: "tuple[_Part, ...]" = ()
    gap: bool = True


@final
class _Search:
    """The work of `tiled`, whose arguments it has."""

    def __init__(self, hole: Hole, context: Context, most: int | float, cuts: bool) -> None:
        self.hole, self.context, self.most, self.cuts = hole, context, most, cuts

    def tiling(self) -> Tiling:
        """The cheapest windows that were found."""
        whole = self._tightened((0, self.hole.shape[0]), (0, self.hole.shape[1]))
        assert whole is not None
        found = [whole]
        for part in found:  # those that are found here are divided as well
            self._divide(part)
            found += part.parts
        best: dict[int, Tiling] = {}
        for part in reversed(found):  # each after those that it was divided into; without recursion, however deep
            tilings = [best.pop(id(one)) for one in part.parts]
            windows = tuple(window for one in tilings for window in one.windows)
            divided = Tiling(windows, not part.gap or any(one.cut for one in tilings))
            alone = Tiling((part.one,), cut=False)
            best[id(part)] = alone if not windows or (part.fits and divided.cost >= alone.cost) else divided
        return best[id(whole)]

    def _tightened(self, rows: Span, columns: Span) -> _Part | None:
        """The smallest rectangle that holds the hole in another; None if there is none in it."""
        part = self.hole[slice(*rows), slice(*columns)]
        rows, columns = (
            _tight(first, np.asarray(part.any(axis=axis))) for first, axis in ((rows[0], 1), (columns[0], 0))
        )
        if rows[0] == rows[1]:
            return None
        one = self._around(rows, columns)
        return _Part(one, one.pixels <= self.most)

    def _divide(self, part: _Part) -> None:
        """Divide a part, if it is not too small for that."""
        rows, columns = part.one.inner_rows, part.one.inner_columns
        if max(rows[1] - rows[0], columns[1] - columns[0]) <= max(LEAST, self.context.pixels):
            return
        axis, place, gap = self._division(rows, columns)
        if part.fits and not gap and not self.cuts:
            return
        if axis:
            halves = (rows, (columns[0], place)), (rows, (place, columns[1]))
        else:
            halves = ((rows[0], place), columns), ((place, rows[1]), columns)
        part.parts = tuple(one for half in halves if (one := self._tightened(*half)) is not None)
        part.gap = gap

    def _around(self, rows: Span, columns: Span) -> Window:
        """The window around a rectangle."""
        whole = []
        for (first, last), side in zip((rows, columns), self.hole.shape, strict=True):
            align = self.context.align
            begin, end = first - self.context.pixels, last + self.context.pixels
            whole.append((max(0, begin - begin % align), min(side, end + -end % align)))
        return Window(whole[0], whole[1], rows, columns, self.context.align)

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
    """The middle of the longest run of zeros, and its length; of several that are as long, of the one in the middle.

    So stripes at equal distances are divided into halves, not one by one.
    """
    places = np.flatnonzero(counts)
    gaps = np.diff(places) - 1
    if not len(gaps) or not gaps.max():
        return 0, 0
    widest = np.flatnonzero(gaps == gaps.max())
    chosen = int(widest[len(widest) // 2])
    return int(places[chosen]) + 1 + int(gaps[chosen]) // 2, int(gaps[chosen])
