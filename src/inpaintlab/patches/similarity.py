"""Matches that are turned, scaled and mirrored patches, lighter or darker: Barnes et al. 2010, generalised PatchMatch.

A patch is compared in five numbers a pixel: L, a and b of CIELab, and how L changes to the right and downwards. The
last two turn with the patch: where the source is read at ``centre + A (down, right)``, its gradient becomes A's
transpose times itself, which is the chain rule.
"""

from typing import NamedTuple, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from numba.extending import overload

from inpaintlab.patches.field import END, INVALID, VALID, cost, drawn, known_patches, sampled, shifted
from inpaintlab.patches.kernels import below, is_a, uniform
from inpaintlab.patches.similarity_costs import (
    ANGLE,
    BIAS,
    DOWN,
    FEATURES,
    GAIN,
    NUMBERS,
    RIGHT,
    XX,
    XY,
    YX,
    YY,
    X,
    Y,
    adjust,
    parts,
    read,
    squares,
)

PER_DEGREE = 8
"""Angles are multiples of an eighth of a degree, whose sines stand in a table: libraries differ in their last bits."""

SLACK = 1 / 256
"""Of a pixel, that a source may reach beyond the known region: what counting in parts of a pixel may add."""

FINEST_TURN = 1 / 64
"""Share of the ranges of angles and scales that the finest turn is drawn from: 0.7 of 45 degrees each way."""

FAR = 0.5
"""Share of the whole range from which on a guess also draws whether the source is mirrored."""


class Similarity(NamedTuple):
    """One level.

    Args:
        features: numbers of the image and one pixel more on each side; row after row, those of a pixel together.
        stride: numbers from one row of ``features`` to the next.
        unknown: in how many pixels above and at the left of a corner between pixels a source may not lie.
        centres: rows and columns where an upright patch may lie.
        turns: cosine and sine of each angle from ``-limit`` to ``limit``.
        shares: of the range of places that each guess is drawn from, falling.
        turning: shares of the ranges of angles and scales; each guess takes one at random, as a place that is right
            but for a pixel may need a large turn, and the reverse.
        limit: of angles, in degrees.
        scales: the least and the largest.
        stretches: how many times the horizontal scale may be the vertical one.
        mirrors: whether scales may be negative.
        gains: the least and the largest; nothing is made lighter or darker where ``adjusts`` is False.
        biases: likewise, in units of Lab.
        adjusts: whether each source gets the mean and the deviation of its target, within these bounds.
        size: of a patch in pixels.
    """

    features: Float[np.ndarray, " numbers"]
    stride: int
    unknown: Int[np.ndarray, "corners_down corners_right"]
    centres: Int[np.ndarray, "centres 2"]
    turns: Float[np.ndarray, "angles 2"]
    shares: Float[np.ndarray, " guesses"]
    turning: Float[np.ndarray, " guesses"]
    limit: float
    scales: tuple[float, float]
    stretches: tuple[float, float]
    mirrors: bool
    gains: tuple[float, float]
    biases: tuple[float, float]
    adjusts: bool
    size: int


def similarity(
    usable: Bool[np.ndarray, "height width"],
    size: int,
    *,
    guesses: int,
    rotation: float,
    scale: tuple[float, float],
    stretch: tuple[float, float],
    reflection: bool,
    gain: tuple[float, float],
    bias: float,
    adjusts: bool,
) -> Similarity:
    """The search in a level, before it has an image, see ``looking_at``.

    Args:
        usable: pixels that a source may hold.
        size: of a patch in pixels.
        guesses: at random, a target and scan, 1 or more.
        rotation: the largest, in degrees.
        scale: the least and the largest, of a source, in pixels of it for a pixel of the target.
        stretch: the least and the largest ratio of the horizontal scale to the vertical one.
        reflection: whether sources may be mirrored.
        gain: the least and the largest.
        bias: the largest, up or down, in units of Lab.
        adjusts: whether gains and biases are taken.
    """
    unknown = np.zeros((usable.shape[0] + 1, usable.shape[1] + 1), np.int32)
    unknown[1:, 1:] = np.cumsum(np.cumsum(~usable, axis=0, dtype=np.int32), axis=1, dtype=np.int32)
    angles = np.deg2rad(np.arange(-round(rotation * PER_DEGREE), round(rotation * PER_DEGREE) + 1) / PER_DEGREE)
    falling = (2 * max(usable.shape)) ** -np.linspace(0, 1, guesses)
    return Similarity(
        features=np.zeros(0, np.float32),
        stride=FEATURES * (usable.shape[1] + 2),
        unknown=unknown,
        centres=np.argwhere(known_patches(~usable, size)).astype(np.int32),
        turns=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        shares=falling.astype(np.float32),
        turning=(FINEST_TURN ** np.linspace(0, 1, guesses)).astype(np.float32),
        limit=round(rotation * PER_DEGREE) / PER_DEGREE,
        scales=(float(scale[0]), float(scale[1])),
        stretches=(float(stretch[0]), float(stretch[1])),
        mirrors=reflection,
        gains=(float(gain[0]), float(gain[1])),
        biases=(-float(bias), float(bias)),
        adjusts=adjusts,
        size=size,
    )


def looking_at(search: Similarity, features: Float[np.ndarray, "height width 5"]) -> Similarity:
    """The same search in an image."""
    padded = np.pad(features, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return search._replace(features=np.ascontiguousarray(padded, np.float32).ravel())


# --- what a match is ------------------------------------------------------------------------------------------------


@numba.njit(forceinline=True)
@no_type_check
def turn(search, match):
    """Write the matrix that follows from a match's angle and scales."""
    number = int(np.float32((match[ANGLE] + search.limit) * PER_DEGREE) + np.float32(0.5))
    cosine, sine = search.turns[number, 0], search.turns[number, 1]
    match[YY], match[YX] = cosine * match[DOWN], -sine * match[RIGHT]
    match[XY], match[XX] = sine * match[DOWN], cosine * match[RIGHT]


@numba.njit(forceinline=True)
@no_type_check
def _reach(first, last, a, b):
    """The least and the largest of ``a * down + b * right`` over a patch."""
    return min(a * first, a * last) + min(b * first, b * last), max(a * first, a * last) + max(b * first, b * last)


@numba.njit(forceinline=True)
@no_type_check
def lies_well(search, match):
    """Whether the box around a source holds nothing but pixels that may be used."""
    first = -(search.size // 2)
    last = search.size - 1 + first
    low_y, high_y = _reach(first, last, match[YY], match[YX])
    low_x, high_x = _reach(first, last, match[XY], match[XX])
    height, width = search.unknown.shape[0] - 1, search.unknown.shape[1] - 1
    top, bottom = int(np.floor(match[Y] + low_y + SLACK)), int(np.ceil(match[Y] + high_y - SLACK)) + 1
    left, right = int(np.floor(match[X] + low_x + SLACK)), int(np.ceil(match[X] + high_x - SLACK)) + 1
    if top < 0 or left < 0 or bottom > height or right > width:
        return False
    table = search.unknown
    return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left] == 0


@numba.njit(forceinline=True)
@no_type_check
def _between(state, low, high):
    return np.float32(low + (high - low) * uniform(state))


@numba.njit(forceinline=True)
@no_type_check
def _near(state, centre, share, low, high):
    """A random number around ``centre``, from a share of the whole range."""
    reach = share * (high - low) / 2
    return _between(state, max(low, centre - reach), min(high, centre + reach))


@numba.njit(forceinline=True)
@no_type_check
def guess(search, match, share, state, candidate):
    """Write a random match near another; at a share of 1, one that is drawn from the whole range around it."""
    height, width = search.unknown.shape[0] - 1, search.unknown.shape[1] - 1
    radius = share * max(height, width)
    turned = (
        search.turns.shape[0] > 1 or search.scales[0] < search.scales[1] or search.stretches[0] < search.stretches[1]
    )
    y = _between(state, max(0.0, match[Y] - radius), min(height - 1.0, match[Y] + radius))
    x = _between(state, max(0.0, match[X] - radius), min(width - 1.0, match[X] + radius))
    candidate[Y], candidate[X] = (y, x) if turned else (np.rint(y), np.rint(x))
    turn_share = np.float32(1) if share == 1 else search.turning[below(state, len(search.turning))]
    angle = _near(state, match[ANGLE], turn_share, -search.limit, search.limit)
    candidate[ANGLE] = np.rint(angle * PER_DEGREE) / PER_DEGREE
    down = _near(state, abs(match[DOWN]), turn_share, search.scales[0], search.scales[1])
    stretch = _near(state, abs(match[RIGHT] / match[DOWN]), turn_share, search.stretches[0], search.stretches[1])
    up, left = match[DOWN] < 0, match[RIGHT] < 0
    if search.mirrors and turn_share >= FAR:
        up, left = below(state, 2) == 1, below(state, 2) == 1
    candidate[DOWN] = -down if up else down
    candidate[RIGHT] = -down * stretch if left else down * stretch
    turn(search, candidate)
    for channel in range(3):
        candidate[GAIN + channel], candidate[BIAS + channel] = 1, 0


@overload(drawn, jit_options={"forceinline": True})
@no_type_check
def _drawn(search, row, column, matches, k, step, state, candidate):
    if not is_a(search, Similarity):
        return None

    def nearer_and_nearer(search, row, column, matches, k, step, state, candidate):
        if step >= len(search.shares):
            return END
        guess(search, matches[k], search.shares[step], state, candidate)
        return VALID if lies_well(search, candidate) else INVALID

    return nearer_and_nearer


@overload(shifted, jit_options={"forceinline": True})
@no_type_check
def _shifted(search, matches, k, down, right, candidate):
    if not is_a(search, Similarity):
        return None

    def beside(search, matches, k, down, right, candidate):
        for i in range(NUMBERS):
            candidate[i] = matches[k, i]
        candidate[Y] += candidate[YY] * down + candidate[YX] * right
        candidate[X] += candidate[XY] * down + candidate[XX] * right
        return lies_well(search, candidate)

    return beside


# --- how far a match is from its target, and what it puts there -------------------------------------------------------


@overload(cost, jit_options={"forceinline": True})
@no_type_check
def _cost(search, row, column, candidate, best):
    if not is_a(search, Similarity):
        return None

    def of_squares(search, row, column, candidate, best):
        stride, first = np.uintp(search.stride), -(search.size // 2)
        place = np.uintp(np.uintp(row + first + 1) * stride + np.uintp(FEATURES) * np.uintp(column + first + 1))
        y = np.int32(parts(candidate[Y] + 1) + first * (parts(candidate[YY]) + parts(candidate[YX])))
        x = np.int32(parts(candidate[X] + 1) + first * (parts(candidate[XY]) + parts(candidate[XX])))
        if search.adjusts:
            adjust(search.features, stride, place, y, x, candidate, search.size, search.gains, search.biases)
            return squares(search.features, stride, place, y, x, candidate, search.size, True, best)
        if search.size == 10:
            return squares(search.features, stride, place, y, x, candidate, 10, False, best)
        return squares(search.features, stride, place, y, x, candidate, search.size, False, best)

    return of_squares


@overload(sampled, jit_options={"forceinline": True})
@no_type_check
def _sampled(search, matches, k, down, right, pixel):
    if not is_a(search, Similarity):
        return None

    def turned(search, matches, k, down, right, pixel):
        yy, yx, xy, xx = matches[k, YY], matches[k, YX], matches[k, XY], matches[k, XX]
        y = np.int32(parts(matches[k, Y] + 1) + down * parts(yy) + right * parts(yx))
        x = np.int32(parts(matches[k, X] + 1) + down * parts(xy) + right * parts(xx))
        lightness, a, b, gx, gy = read(search.features, np.uintp(search.stride), y, x)
        pixel[0] = matches[k, GAIN] * lightness + matches[k, BIAS]
        pixel[1] = matches[k, GAIN + 1] * a + matches[k, BIAS + 1]
        pixel[2] = matches[k, GAIN + 2] * b + matches[k, BIAS + 2]
        pixel[3] = matches[k, GAIN] * (xx * gx + yx * gy)
        pixel[4] = matches[k, GAIN] * (xy * gx + yy * gy)

    return turned
