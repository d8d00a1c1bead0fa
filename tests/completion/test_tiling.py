"""Windows hold each pixel of a hole once, with what has to be seen around it, and no more pixels than they may have."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inpaintlab.completion.tiling import LEAST, Hole, Span, Tiling, _Search, tiled
from inpaintlab.layers import Context


def least_window(size: tuple[int, int], context: Context) -> int:
    """The pixels of the largest window whose inner part is divided no more, in an image of this height and width."""
    most = max(LEAST, context.pixels) + 2 * (context.pixels + context.align - 1)
    height, width = (-(-min(most, side) // context.align) * context.align for side in size)
    return height * width


def dots(count: int, height: int = 2000, width: int = 3000) -> Hole:
    random = np.random.default_rng(0)
    hole = np.zeros((height, width), bool)
    hole[random.integers(0, height, count), random.integers(0, width, count)] = True
    return hole


def box(height: int, width: int, rows: slice, columns: slice) -> Hole:
    hole = np.zeros((height, width), bool)
    hole[rows, columns] = True
    return hole


def scratch(side: int = 2000) -> Hole:
    hole = np.eye(side, dtype=bool)
    return hole | np.roll(hole, 1, axis=1)


HOLES: dict[str, Callable[[], Hole]] = {
    "one pixel": lambda: box(50, 70, slice(20, 21), slice(69, 70)),
    "all of it": lambda: np.ones((900, 700), bool),
    "one column": lambda: np.ones((1200, 1), bool),
    "one row": lambda: box(1, 900, slice(0, 1), slice(5, 890)),
    "border": lambda: box(800, 1000, slice(0, 300), slice(990, 1000)),
    "middle": lambda: box(1500, 1500, slice(500, 900), slice(560, 957)),
    "two far apart": lambda: (
        box(1000, 1400, slice(0, 30), slice(0, 30)) | box(1000, 1400, slice(900, 1000), slice(1300, 1400))
    ),
    "thousands of dots": lambda: dots(5000),
    "scratch": scratch,
    "frame": lambda: ~box(900, 900, slice(1, 899), slice(1, 899)),
}


def check(tiling: Tiling, hole: Hole, context: Context, most: int | float) -> None:
    times = np.zeros(hole.shape, int)
    for window in tiling.windows:
        times[window.inner] += 1
        assert window.pixels <= most
        for (first, last), (top, below), side in zip(
            (window.rows, window.columns), (window.inner_rows, window.inner_columns), hole.shape, strict=True
        ):
            assert first % context.align == 0
            assert last == side or last % context.align == 0
            assert first == 0 or first <= top - context.pixels
            assert last == side or last >= below + context.pixels
            assert top < below
        assert hole[window.inner].any()
    assert (times[hole] == 1).all()


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("context", [Context(3, 1), Context(29, 8), Context(153, 4)], ids=str)
@pytest.mark.parametrize("name", HOLES)
def test_windows_hold_each_pixel_of_the_hole_once_with_its_context(name: str, context: Context, cuts: bool) -> None:
    hole = HOLES[name]()
    for most in (float("inf"), least_window(hole.shape, context)):
        check(tiled(hole, context, most, cuts=cuts), hole, context, most)


def test_holes_far_apart_get_windows_of_their_own_and_near_ones_share_one() -> None:
    context = Context(20, 4)
    near, far = (
        box(600, 600, slice(100, 110), slice(100, 110)) | box(600, 600, slice(100, 110), slice(left, left + 10))
        for left in (115, 400)
    )
    for hole, number in ((near, 1), (far, 2)):
        for cuts in (False, True):
            assert len(tiled(hole, context, float("inf"), cuts=cuts).windows) == number


def test_a_hole_is_cut_only_where_it_has_to_be_or_where_that_is_asked_for_and_cheaper() -> None:
    context = Context(20, 4)
    square, long = box(900, 900, slice(300, 600), slice(300, 600)), scratch(900)
    assert not tiled(square, context, float("inf"), cuts=False).cut
    assert not tiled(long, context, float("inf"), cuts=False).cut
    assert tiled(square, context, 200 * 200, cuts=False).cut
    along = tiled(long, context, float("inf"), cuts=True)
    assert along.cut
    assert along.cost < long.size / 2


def test_between_holes_that_touch_in_no_row_nothing_is_cut() -> None:
    hole = box(900, 900, slice(100, 400), slice(100, 300)) | box(900, 900, slice(402, 700), slice(100, 300))
    tiling = tiled(hole, Context(20, 4), 360 * 360, cuts=False)
    assert not tiling.cut
    assert len(tiling.windows) == 2


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pixels of each rectangle that a search for windows looks at."""
    areas: list[int] = []
    tightened = _Search._tightened

    def counted(search: _Search, rows: Span, columns: Span) -> Any:
        areas.append((rows[1] - rows[0]) * (columns[1] - columns[0]))
        return tightened(search, rows, columns)

    monkeypatch.setattr(_Search, "_tightened", counted)
    return areas


def halvings(hole: Hole) -> float:
    """How often a rectangle can be halved."""
    return math.log2(hole.size)


def test_many_dots_of_a_large_photograph_are_looked_at_no_oftener_than_halving_does(looked_at: list[int]) -> None:
    hole = dots(20_000, 3000, 4000)
    tiled(hole, Context(29, 8), 10**6, cuts=True)
    assert sum(looked_at) < halvings(hole) * hole.size


def striped(height: int, width: int, step: int, *, columns: bool = False) -> Hole:
    hole = np.zeros((height, width), bool)
    hole[::step] = True
    if columns:
        hole[:, ::step] = True
    return hole


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("context", [Context(3, 1), Context(29, 8), Context(153, 4)], ids=str)
def test_windows_of_stripes_hold_each_pixel_of_the_hole_once_with_its_context(context: Context, cuts: bool) -> None:
    for hole in (striped(600, 1500, 2), striped(1500, 400, 3), striped(600, 900, 3, columns=True)):
        for most in (float("inf"), least_window(hole.shape, context)):
            check(tiled(hole, context, most, cuts=cuts), hole, context, most)


@pytest.mark.parametrize("cuts", [False, True])
def test_stripes_of_a_large_photograph_are_divided_into_halves_and_not_one_by_one(
    looked_at: list[int], cuts: bool
) -> None:
    hole = striped(3000, 4000, 3)
    tiled(hole, Context(29, 8), 10**6, cuts=cuts)
    assert sum(looked_at) < halvings(hole) * hole.size
