"""Nearest-neighbour fields: for each patch that touches the hole, the most similar patch of the known region.

The loops are the same for every kind of match. A kind is a named tuple that holds one pyramid level's arrays, and four
functions for it, which numba chooses by the tuple's class (`numba.extending.overload`):

- ``shifted``: the match that a neighbour's match suggests;
- ``drawn``: the next guess at random;
- ``cost``: how far a match is from its target patch;
- ``sampled``: the pixel that a match puts at a place of its target patch.

A match is one row of an array: the row and column of its source patch first, then what else its kind needs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped

from inpaintlab.patches.kernels import below, kernel

END, INVALID, VALID = 0, 1, 2
"""What ``drawn`` tells: no more guesses for this target, one that cannot be a match, one that can."""

AT_ONCE = 1 << 16
"""Targets between two returns to Python, where a signal is received and progress is told; a quarter of a second for
translations."""

FORWARD = np.array([[1, 0], [0, 1]])
"""The steps from the neighbours that a scan has already visited, above and at the left."""


class Targets(NamedTuple):
    """The patches to be matched, in scan order.

    Args:
        rows: of their centres.
        columns: likewise.
        number: of each pixel, the number of the target that is centred there, or -1.
    """

    rows: Int[np.ndarray, " targets"]
    columns: Int[np.ndarray, " targets"]
    number: Int[np.ndarray, "height width"]


def targets_of(wanted: Bool[np.ndarray, "height width"]) -> Targets:
    """The targets whose centres are True."""
    rows, columns = np.nonzero(wanted)
    number = np.full(wanted.shape, -1, np.int32)
    number[rows, columns] = np.arange(len(rows), dtype=np.int32)
    return Targets(rows.astype(np.int32), columns.astype(np.int32), number)


def offsets_of(size: int) -> tuple[int, int]:
    """The first and the last offset of a patch from its centre, in pixels; an even patch has one more before it."""
    return -(size // 2), size - 1 - size // 2


def touching(hole: Bool[np.ndarray, "height width"], size: int) -> Bool[np.ndarray, "height width"]:
    """The centres of the patches that hold a pixel of the hole."""
    first, last = offsets_of(size)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(hole, ((-first, last), (-first, last))), size, axis=0)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(windows.any(axis=-1), size, axis=1).any(axis=-1))


def known_patches(hole: Bool[np.ndarray, "height width"], size: int) -> Bool[np.ndarray, "height width"]:
    """The centres of the patches that lie in the image and hold no pixel of the hole."""
    first, last = offsets_of(size)
    height, width = hole.shape
    valid = ~touching(hole, size)
    valid[:-first], valid[:, :-first] = False, False
    valid[max(0, height - last) :], valid[:, max(0, width - last) :] = False, False
    return valid


# --- what a kind of match defines -----------------------------------------------------------------------------------


def shifted(search: Any, matches: Any, k: int, down: int, right: int, candidate: Any) -> bool:
    """Write into ``candidate`` what the match of target ``k`` suggests for the target ``down`` and ``right`` of it.

    Returns:
        Whether it can be a match.
    """
    raise NotImplementedError


def drawn(search: Any, row: int, column: int, matches: Any, k: int, step: int, state: Any, candidate: Any) -> int:
    """Write into ``candidate`` the guess number ``step`` for a target, and tell ``END``, ``INVALID`` or ``VALID``.

    Args:
        search: the kind of match.
        row: of the target.
        column: likewise.
        matches: the best so far, of all targets.
        k: the target's number.
        step: 0, 1, 2 ... until ``END`` is told.
        state: of the random numbers.
        candidate: the guess.
    """
    raise NotImplementedError


def cost(search: Any, row: int, column: int, candidate: Any, best: float) -> float:
    """How far a match is from its target; once that is ``best`` or more, any number of at least ``best``.

    It may write into ``candidate`` what follows from the others of its numbers, such as gains.
    """
    raise NotImplementedError


def sampled(search: Any, matches: Any, k: int, down: int, right: int, pixel: Any) -> None:
    """Write into ``pixel`` what the match of target ``k`` puts ``down`` and ``right`` of the target's centre."""
    raise NotImplementedError


# --- the loops ------------------------------------------------------------------------------------------------------


@kernel
@no_type_check
def _copy_match(source, target):
    for i in range(len(source)):
        target[i] = source[i]


@kernel
@no_type_check
def _draw(choices, chosen, state):
    for i in range(len(chosen)):
        chosen[i] = choices[below(state, len(choices))]


@kernel
@no_type_check
def _measure(search, targets, matches, costs, first, last):
    candidate = np.empty_like(matches[0])
    for k in range(first, last):
        _copy_match(matches[k], candidate)
        costs[k] = cost(search, targets.rows[k], targets.columns[k], candidate, np.inf)
        _copy_match(candidate, matches[k])


@kernel
@no_type_check
def _improve(search, targets, matches, costs, steps, backward, exploring, state, first, last):
    height, width = targets.number.shape
    candidate = np.empty_like(matches[0])
    sign = -1 if backward else 1
    changes = 0
    for i in range(first, last):
        k = len(costs) - 1 - i if backward else i
        row, column = targets.rows[k], targets.columns[k]
        for j in range(len(steps)):
            down, right = sign * steps[j, 0], sign * steps[j, 1]
            y, x = row - down, column - right
            if 0 <= y < height and 0 <= x < width and targets.number[y, x] >= 0:
                neighbour = targets.number[y, x]
                if shifted(search, matches, neighbour, down, right, candidate):
                    found = cost(search, row, column, candidate, costs[k])
                    if found < costs[k]:
                        costs[k] = found
                        _copy_match(candidate, matches[k])
                        changes += 1
        step = 0
        while exploring:
            guess = drawn(search, row, column, matches, k, step, state, candidate)
            if guess == END:
                break
            if guess == VALID:
                found = cost(search, row, column, candidate, costs[k])
                if found < costs[k]:
                    costs[k] = found
                    _copy_match(candidate, matches[k])
                    changes += 1
            step += 1
    return changes


@kernel
@no_type_check
def _vote(search, targets, matches, weights, rows, columns, size, out, first, last):
    height, width = targets.number.shape
    before, after = size // 2, size - 1 - size // 2
    pixel, total = np.empty_like(out[0]), np.empty_like(out[0])
    channels = np.uintp(len(pixel))
    for i in range(first, last):
        row, column = rows[i], columns[i]
        total[:] = 0
        weight = np.float32(0)
        for y in range(np.uintp(max(0, row - after)), np.uintp(min(height, row + before + 1))):
            for x in range(np.uintp(max(0, column - after)), np.uintp(min(width, column + before + 1))):
                number = targets.number[y, x]
                if number < 0:
                    continue
                k = np.uintp(number)
                share = weights[k]
                if share > 0:
                    sampled(search, matches, k, row - np.intp(y), column - np.intp(x), pixel)
                    for c in range(channels):
                        total[c] += share * pixel[c]
                    weight += share
        if weight > 0:
            for c in range(channels):
                out[i, c] = total[c] / weight


@kernel
@no_type_check
def _copy(search, targets, matches, costs, rows, columns, size, out, first, last):
    height, width = targets.number.shape
    before = size // 2
    for i in range(first, last):
        best, chosen, best_down, best_right = np.inf, -1, 0, 0
        for oy in range(size):
            for ox in range(size):
                down, right = oy - before, ox - before
                y, x = rows[i] - down, columns[i] - right
                if 0 <= y < height and 0 <= x < width:
                    k = targets.number[y, x]
                    if k >= 0 and costs[k] < best:
                        best, chosen, best_down, best_right = costs[k], k, down, right
        if chosen >= 0:
            sampled(search, matches, chosen, best_down, best_right, out[i])


def at_random(
    valid: Bool[np.ndarray, "height width"], number: int, state: Shaped[np.ndarray, " 1"]
) -> Int[np.ndarray, "number 2"]:
    """The rows and columns of places that are valid, each drawn from all of them, int32."""
    chosen = np.empty(number, np.int64)
    _draw(np.flatnonzero(valid), chosen, state)
    return np.stack(np.divmod(chosen, valid.shape[1]), axis=1).astype(np.int32)


def _in_parts(number: int, progress: Callable[[float], None], run: Callable[[int, int], Any], at_once: int) -> list:
    """Call ``run(first, last)`` for parts of ``number`` items, so that Python has its turn between them."""
    results = []
    for first in range(0, number, at_once):
        last = min(number, first + at_once)
        results.append(run(first, last))
        progress(last / number)
    return results


def _unwatched(share: float) -> None:
    """Nobody watches."""


def measure(
    search: Any,
    targets: Targets,
    matches: Num[np.ndarray, "targets numbers"],
    progress: Callable[[float], None] = _unwatched,
    at_once: int = AT_ONCE,
) -> Float[np.ndarray, " targets"]:
    """The cost of each match in the image as it is now; to be called whenever the image has changed."""
    costs = np.empty(len(matches), np.float32)
    _in_parts(len(matches), progress, lambda *part: _measure(search, targets, matches, costs, *part), at_once)
    return costs


def improve(
    search: Any,
    targets: Targets,
    matches: Num[np.ndarray, "targets numbers"],
    costs: Float[np.ndarray, " targets"],
    state: Shaped[np.ndarray, " 1"],
    *,
    steps: Int[np.ndarray, "steps 2"] = FORWARD,
    backward: bool = False,
    exploring: bool = True,
    progress: Callable[[float], None] = _unwatched,
    at_once: int = AT_ONCE,
) -> int:
    """One scan over all targets (Barnes et al. 2009, section 3.2): propagate, then guess at random.

    Args:
        search: the kind of match.
        targets: what is matched.
        matches: the best so far, which become better.
        costs: of ``matches``, likewise.
        state: of the random numbers, see `generator`.
        steps: rows and columns from the neighbours that are asked to the target; negated in a backward scan.
        backward: from the last target to the first.
        exploring: whether to guess.
        progress: called with the share of the targets that are done.
        at_once: targets between two of its calls.

    Returns:
        How often a match became better.
    """
    parts = _in_parts(
        len(matches),
        progress,
        lambda *part: _improve(search, targets, matches, costs, steps, backward, exploring, state, *part),
        at_once,
    )
    return sum(parts)


def vote(
    search: Any,
    targets: Targets,
    matches: Num[np.ndarray, "targets numbers"],
    weights: Float[np.ndarray, " targets"],
    pixels: Targets,
    size: int,
    out: Float[np.ndarray, "pixels channels"],
) -> None:
    """Each pixel becomes the weighted mean of what the patches over it put there (Wexler et al. 2007, section 3.2).

    Args:
        search: the kind of match.
        targets: the patches.
        matches: of them.
        weights: of them.
        pixels: whose colours are wanted.
        size: of a patch, in pixels.
        out: the colours; one that no patch votes for stays as it is.
    """
    _in_parts(
        len(out),
        _unwatched,
        lambda *part: _vote(search, targets, matches, weights, pixels.rows, pixels.columns, size, out, *part),
        AT_ONCE,
    )


def copy_best(
    search: Any,
    targets: Targets,
    matches: Num[np.ndarray, "targets numbers"],
    costs: Float[np.ndarray, " targets"],
    pixels: Targets,
    size: int,
    out: Float[np.ndarray, "pixels channels"],
) -> None:
    """Each pixel becomes what the best patch over it puts there, without averaging; arguments as in ``vote``."""
    _in_parts(
        len(out),
        _unwatched,
        lambda *part: _copy(search, targets, matches, costs, pixels.rows, pixels.columns, size, out, *part),
        AT_ONCE,
    )
