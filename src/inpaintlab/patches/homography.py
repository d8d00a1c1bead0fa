"""Matches that are patches elsewhere in a plane, as that would be seen here (Huang et al. 2014, section 5)."""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba.extending import overload

from inpaintlab.patches.field import END, INVALID, VALID, cost, drawn, sampled, shifted
from inpaintlab.patches.kernels import below, is_a, kernel, uniform

NUMBERS = 15
Y, X, YY, YX, XY, XX, WY, WX, PLANE, ROW, COLUMN, RED, GREEN, BLUE, REGULAR = range(NUMBERS)
"""The numbers of a match. It takes the place (v, u) of its target's patch, in pixels from the centre, to row
(Y + YY v + YX u) / w and column (X + XY v + XX u) / w, where w = 1 + WY v + WX u. PLANE is whose lines and posterior it
is judged by, ROW and COLUMN where its target is, RED, GREEN and BLUE what is added to its colours, and REGULAR is 1 for
one that was guessed by a plane's regularity."""

LEAST_DEPTH = 0.1
"""Of a patch's corner, as a share of its centre's: a patch that comes closer to its plane's horizon is no match."""

SAME = 1.0
"""Pixels, along both axes, within which a neighbour's suggestion is what is there already (the authors'
sc_propagate.m)."""


class Homography(NamedTuple):
    """One level.

    Args:
        colours: in [0, 1].
        valid: where a source may be centred.
        number: of each pixel, that of the target centred there, or -1; see `Targets`.
        size: of a patch in pixels, odd.
        weights: of a patch's pixels, row by row, of sum 1.
        frame: a, b, c, d of the level: its row y and column x are a y + b and c x + d in the image.
        side: the longer side of the image in pixels.
        lines: h7 and h8 of each plane, in the image; plane 0 is parallel to it.
        turns: cosine and sine of the two directions in each plane.
        unlikely: of each plane and pixel, the weighted minus logarithm of the posterior.
        drawing: of each pixel, the sum of the posteriors of the planes up to each.
        steps: displacements x and y in the rectified image, those of a plane behind those of another.
        first: where those of each plane begin in ``steps``, and their number at the end.
        hole_distance: of each pixel from the known ones, as a share of the level's longer side.
        most_bias: what may be added to a colour.
        scales: the least and the greatest scale of a guess.
        direction: weight of the directional term, and its limit before it is weighted.
        proximity: weight of the proximity term, and the slack before it counts.
        bonus: what the cost of a match guessed by regularity is reduced by.
        regular_draws: guesses by regularity.
        own_plane: whether a neighbour's suggestion is judged by the plane of the target's present match, as the release
            does, instead of the neighbour's.
        patch: room for the colours of a patch.
    """

    colours: Float[np.ndarray, "height width 3"]
    valid: Bool[np.ndarray, "height width"]
    number: Int[np.ndarray, "height width"]
    size: int
    weights: Float[np.ndarray, " pixels"]
    frame: tuple[float, float, float, float]
    side: float
    lines: Float[np.ndarray, "planes 2"]
    turns: Float[np.ndarray, "planes 2 2"]
    unlikely: Float[np.ndarray, "planes height width"]
    drawing: Float[np.ndarray, "height width planes"]
    steps: Float[np.ndarray, "steps 2"]
    first: Int[np.ndarray, " planes_and_one"]
    hole_distance: Float[np.ndarray, "height width"]
    most_bias: float
    scales: tuple[float, float]
    direction: tuple[float, float]
    proximity: tuple[float, float]
    bonus: float
    regular_draws: int
    own_plane: bool
    patch: Float[np.ndarray, " pixels_and_colours"]


@kernel
@no_type_check
def transform(line, frame, row, column, y, x, match):
    """Write into a match what takes a target to a source on a plane; both have to lie before or behind its horizon.

    In the rectified image it is a translation by d; from there and back it is
    I + (dx, dy, -(h7 dx + h8 dy))^T (h7, h8, 1) (Equation 8 of the paper), here as seen from the target's centre
    (Equation 9), and in pixels of the level.

    Args:
        line: h7 and h8.
        frame: see `Homography`.
        row: of the target.
        column: likewise.
        y: of the source.
        x: likewise.
        match: whose first eight numbers are written.
    """
    a, b, c, d = frame
    ty, tx, sy, sx = a * row + b, c * column + d, a * y + b, c * x + d
    h7, h8 = line[0], line[1]
    depth, other = h7 * tx + h8 * ty + 1, h7 * sx + h8 * sy + 1
    dx, dy = sx / other - tx / depth, sy / other - ty / depth
    ratio = other / depth
    bend = -(h7 * dx + h8 * dy) * ratio
    wx, wy = bend * h7, bend * h8
    match[Y], match[X] = y, x
    match[YY] = (1 + dy * h8) * ratio - b * wy
    match[YX] = (dy * h7 * ratio - b * wx) * c / a
    match[XY] = (dx * h8 * ratio - d * wy) * a / c
    match[XX] = (1 + dx * h7) * ratio - d * wx
    match[WY], match[WX] = wy * a, wx * c


@kernel
@no_type_check
def moved(match, down, right, out):
    """Write into ``out`` the same transform as seen from a place of the patch, and tell whether that is before the
    horizon."""
    depth = 1 + match[WY] * down + match[WX] * right
    if not depth > LEAST_DEPTH:
        return False
    out[Y] = (match[Y] + match[YY] * down + match[YX] * right) / depth
    out[X] = (match[X] + match[XY] * down + match[XX] * right) / depth
    for i in range(YY, WX + 1):
        out[i] = match[i] / depth
    return True


@kernel
@no_type_check
def scale(match):
    """How much larger the source is than the target at their centres: of lengths, the root of the Jacobian's
    determinant (Chum and Matas 2010)."""
    yy, yx = match[YY] - match[Y] * match[WY], match[YX] - match[Y] * match[WX]
    xy, xx = match[XY] - match[X] * match[WY], match[XX] - match[X] * match[WX]
    return np.sqrt(abs(xx * yy - xy * yx))


@kernel
@no_type_check
def is_valid(valid, match, size):
    """Whether the source's centre lies on a pixel that may be one, and no corner of its patch near the horizon."""
    if not 1 - (size // 2) * (abs(match[WY]) + abs(match[WX])) > LEAST_DEPTH:
        return False
    y, x = np.floor(match[Y] + 0.5), np.floor(match[X] + 0.5)
    return 0 <= y < valid.shape[0] and 0 <= x < valid.shape[1] and valid[int(y), int(x)]


@kernel
@no_type_check
def _pixel(colours, match, down, right, out, place):
    """Write the colour that a match puts at a place into ``out``, interpolated between four pixels; the border goes on
    for ever."""
    height, width = colours.shape[0], colours.shape[1]
    inverse = 1 / (1 + match[WY] * down + match[WX] * right)
    y = (match[Y] + match[YY] * down + match[YX] * right) * inverse
    x = (match[X] + match[XY] * down + match[XX] * right) * inverse
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = np.uintp(y), np.uintp(x)
    bottom, behind = (
        np.uintp(min(top + np.uintp(1), np.uintp(height - 1))),
        np.uintp(min(left + np.uintp(1), np.uintp(width - 1))),
    )
    fy, fx = np.float32(y - top), np.float32(x - left)
    one = np.float32(1)
    a, b, c, d = (one - fy) * (one - fx), (one - fy) * fx, fy * (one - fx), fy * fx
    for i in range(np.uintp(3)):
        out[place + i] = (
            a * colours[top, left, i]
            + b * colours[top, behind, i]
            + c * colours[bottom, left, i]
            + d * colours[bottom, behind, i]
        )


@kernel
@no_type_check
def _guidance(search, row, column, match):
    """The planar, directional and proximity terms of a match (Equations 12 to 14 of the paper)."""
    plane = int(match[PLANE])
    y, x = int(np.floor(match[Y] + 0.5)), int(np.floor(match[X] + 0.5))
    total = search.unlikely[plane, row, column] + search.unlikely[plane, y, x]
    weight, limit = search.direction
    across = limit
    if plane > 0:
        a, b, c, d = search.frame
        ty, tx, sy, sx = a * row + b, c * column + d, a * match[Y] + b, c * match[X] + d
        h7, h8 = search.lines[plane]
        depth, other = h7 * tx + h8 * ty + 1, h7 * sx + h8 * sy + 1
        if depth * other > 0:
            dx, dy = sx / other - tx / depth, sy / other - ty / depth
            for i in range(2):
                cosine, sine = search.turns[plane, i]
                across = min(across, abs(cosine * dy - sine * dx) / search.side)
    total += weight * across
    weight, slack = search.proximity
    if weight > 0:
        extent = max(search.valid.shape[0], search.valid.shape[1])
        distance = np.sqrt((match[Y] - row) ** 2 + (match[X] - column) ** 2) / extent
        total += weight * max(0.0, distance - search.hole_distance[row, column] - slack)
    return total - search.bonus * match[REGULAR]


@overload(cost)
@no_type_check
def _cost(search, row, column, candidate, best):
    if not is_a(search, Homography):
        return None

    def guided(search, row, column, candidate, best):
        total = _guidance(search, row, column, candidate)
        if total >= best:
            return total
        size, before, patch, colours = search.size, search.size // 2, search.patch, search.colours
        here = np.zeros(3, np.float32)
        there = np.zeros(3, np.float32)
        place = np.uintp(0)
        for v in range(-before, before + 1):
            for u in range(-before, before + 1):
                _pixel(colours, candidate, v, u, patch, place)
                for i in range(np.uintp(3)):
                    here[i] += colours[np.uintp(row + v), np.uintp(column + u), i]
                    there[i] += patch[place + i]
                place += np.uintp(3)
        for i in range(3):
            bias = (here[i] - there[i]) / (size * size)
            here[i] = min(max(bias, -search.most_bias), search.most_bias)
            candidate[RED + i] = here[i]
        place, pixel = np.uintp(0), np.uintp(0)
        for v in range(-before, before + 1):
            for u in range(-before, before + 1):
                difference = np.float32(0)
                for i in range(np.uintp(3)):
                    difference += abs(colours[np.uintp(row + v), np.uintp(column + u), i] - patch[place + i] - here[i])
                total += search.weights[pixel] * difference
                place += np.uintp(3)
                pixel += np.uintp(1)
            if total >= best:
                return total
        return total

    return guided


@overload(shifted)
@no_type_check
def _shifted(search, matches, k, down, right, candidate):
    if not is_a(search, Homography):
        return None

    def beside(search, matches, k, down, right, candidate):
        match = matches[k]
        if not moved(match, down, right, candidate) or not is_valid(search.valid, candidate, search.size):
            return False
        row, column = match[ROW] + down, match[COLUMN] + right
        present = matches[search.number[int(row), int(column)]]
        if abs(present[Y] - candidate[Y]) <= SAME and abs(present[X] - candidate[X]) <= SAME:
            return False
        candidate[PLANE] = present[PLANE] if search.own_plane else match[PLANE]
        candidate[ROW], candidate[COLUMN], candidate[REGULAR] = row, column, 0
        return True

    return beside


@overload(drawn)
@no_type_check
def _drawn(search, row, column, matches, k, step, state, candidate):
    if not is_a(search, Homography):
        return None

    def guessed(search, row, column, matches, k, step, state, candidate):
        regular = search.regular_draws if len(search.steps) else 0
        height, width = search.valid.shape
        radius = max(height, width) / 4 / 2 ** max(0, step - regular)
        if radius < 1:
            return END
        chance, plane = uniform(state), 0
        while plane < len(search.lines) - 1 and chance >= search.drawing[row, column, plane]:
            plane += 1
        a, b, c, d = search.frame
        h7, h8 = search.lines[plane]
        tx, ty = c * column + d, a * row + b
        depth = h7 * tx + h8 * ty + 1
        if step < regular:
            number = search.first[plane + 1] - search.first[plane]
            if number == 0 or depth == 0:
                return INVALID
            chosen = search.steps[search.first[plane] + below(state, number)]
            x, y = tx / depth + chosen[0], ty / depth + chosen[1]
            inverse = 1 - h7 * x - h8 * y
            if not inverse * depth > 0:
                return INVALID
            y, x = (y / inverse - b) / a, (x / inverse - d) / c
        else:
            y = matches[k, Y] + radius * (2 * uniform(state) - 1)
            x = matches[k, X] + radius * (2 * uniform(state) - 1)
        if plane == 0:
            y, x = np.floor(y + 0.5), np.floor(x + 0.5)  # so that its copies are sharp
        if not 0 <= y <= height - 1 or not 0 <= x <= width - 1:
            return INVALID
        if not (h7 * (c * x + d) + h8 * (a * y + b) + 1) * depth > 0:
            return INVALID
        transform(search.lines[plane], search.frame, row, column, y, x, candidate)
        least, most = search.scales
        if not least < scale(candidate) < most or not is_valid(search.valid, candidate, search.size):
            return INVALID
        candidate[PLANE], candidate[ROW], candidate[COLUMN] = plane, row, column
        candidate[REGULAR] = 1 if step < regular else 0
        return VALID

    return guessed


@overload(sampled)
@no_type_check
def _sampled(search, matches, k, down, right, pixel):
    if not is_a(search, Homography):
        return None

    def warped(search, matches, k, down, right, pixel):
        match = matches[k]
        _pixel(search.colours, match, down, right, pixel, np.uintp(0))
        for i in range(np.uintp(3)):
            pixel[i] += match[RED + i]

    return warped
