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
from inpaintlab.patches.kernels import below, is_a, kernel, uniform

FEATURES = 5
"""Numbers a pixel: L, a, b, and the weighted differences of L to the right and downwards."""

Y, X, YY, YX, XY, XX, ANGLE, DOWN, RIGHT, GAIN, BIAS, NUMBERS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15
"""What stands where in a match: the centre of its source; A, which turns ``(down, right)`` in the target to that in the
source; the degrees and the two signed scales that A is made of; three gains and three biases, of L, a and b."""

FINE = 65536
"""Parts of a pixel in which places are counted: whole numbers, which every processor adds alike."""

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


# --- how far a match is from its target -----------------------------------------------------------------------------


@numba.njit(forceinline=True)
@no_type_check
def _parts(number):
    return np.int32(np.rint(number * np.float32(FINE)))


@numba.njit(forceinline=True)
@no_type_check
def _read(features, stride, y, x):
    """The five numbers at a place between four pixels; in parts of a pixel, from the padding's corner."""
    one = np.float32(1 / FINE)
    above = np.uintp(np.uintp(y >> 16) * stride + np.uintp(FEATURES) * np.uintp(x >> 16))
    under = above + stride
    fy, fx = np.float32(np.int32(y & 65535)) * one, np.float32(np.int32(x & 65535)) * one
    w11 = fy * fx
    w10, w01 = fy - w11, fx - w11
    w00 = np.float32(1) - fy - w01
    a, b, c, d, e = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    n = np.uintp(FEATURES)
    f, g, h = above + n, under, under + n
    return (
        w00 * features[above + a] + w01 * features[f + a] + w10 * features[g + a] + w11 * features[h + a],
        w00 * features[above + b] + w01 * features[f + b] + w10 * features[g + b] + w11 * features[h + b],
        w00 * features[above + c] + w01 * features[f + c] + w10 * features[g + c] + w11 * features[h + c],
        w00 * features[above + d] + w01 * features[f + d] + w10 * features[g + d] + w11 * features[h + d],
        w00 * features[above + e] + w01 * features[f + e] + w10 * features[g + e] + w11 * features[h + e],
    )


@numba.njit(forceinline=True)
@no_type_check
def _squares(features, stride, place, y, x, match, size, best):
    """The sum of squared differences, row by row until it is ``best`` or more.

    Args:
        features: see ``Similarity``.
        stride: likewise.
        place: of the target's first number.
        y: of the source's first pixel, in parts.
        x: likewise.
        match: its matrix, gains and biases.
        size: of a patch.
        best: when to stop.
    """
    yy, yx, xy, xx = match[YY], match[YX], match[XY], match[XX]
    down_y, right_y, down_x, right_x = _parts(yy), _parts(yx), _parts(xy), _parts(xx)
    gain0, gain1, gain2 = match[GAIN], match[GAIN + 1], match[GAIN + 2]
    bias0, bias1, bias2 = match[BIAS], match[BIAS + 1], match[BIAS + 2]
    total = np.float32(0)
    for _ in range(size):
        s0, s1, s2, s3, s4 = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        sy, sx, at = y, x, place
        for _ in range(size):
            lightness, a, b, gx, gy = _read(features, stride, sy, sx)
            d = gain0 * lightness + bias0 - features[at]
            s0 += d * d
            d = gain1 * a + bias1 - features[at + np.uintp(1)]
            s1 += d * d
            d = gain2 * b + bias2 - features[at + np.uintp(2)]
            s2 += d * d
            d = gain0 * (xx * gx + yx * gy) - features[at + np.uintp(3)]
            s3 += d * d
            d = gain0 * (xy * gx + yy * gy) - features[at + np.uintp(4)]
            s4 += d * d
            at += np.uintp(FEATURES)
            sy, sx = np.int32(sy + right_y), np.int32(sx + right_x)
        total += s0 + s1 + s2 + s3 + s4
        if total >= best:
            break
        place += stride
        y, x = np.int32(y + down_y), np.int32(x + down_x)
    return total


@kernel
@no_type_check
def _adjust(search, place, y, x, match):
    """Write the gains and biases that give the source its target's mean and deviation, within their bounds."""
    features, stride, size = search.features, np.uintp(search.stride), search.size
    down_y, right_y, down_x, right_x = _parts(match[YY]), _parts(match[YX]), _parts(match[XY]), _parts(match[XX])
    sums = np.zeros((3, 4))
    for i in range(size):
        for j in range(size):
            read = _read(features, stride, y + i * down_y + j * right_y, x + i * down_x + j * right_x)
            for channel in range(3):
                source = read[0] if channel == 0 else read[1] if channel == 1 else read[2]
                target = features[place + np.uintp(i) * stride + np.uintp(FEATURES * j + channel)]
                sums[channel, 0] += source
                sums[channel, 1] += source * source
                sums[channel, 2] += target
                sums[channel, 3] += target * target
    pixels = size * size
    for channel in range(3):
        source, target = sums[channel, 0] / pixels, sums[channel, 2] / pixels
        of_source = np.sqrt(max(0.0, sums[channel, 1] / pixels - source * source))
        of_target = np.sqrt(max(0.0, sums[channel, 3] / pixels - target * target))
        gain = of_target / of_source if of_source > 0 else 1.0
        gain = min(max(gain, search.gains[0]), search.gains[1])
        match[GAIN + channel] = gain
        match[BIAS + channel] = min(max(target - gain * source, search.biases[0]), search.biases[1])


@overload(cost, jit_options={"forceinline": True})
@no_type_check
def _cost(search, row, column, candidate, best):
    if not is_a(search, Similarity):
        return None

    def squares(search, row, column, candidate, best):
        stride, first = np.uintp(search.stride), -(search.size // 2)
        place = np.uintp(np.uintp(row + first + 1) * stride + np.uintp(FEATURES) * np.uintp(column + first + 1))
        y = np.int32(_parts(candidate[Y] + 1) + first * (_parts(candidate[YY]) + _parts(candidate[YX])))
        x = np.int32(_parts(candidate[X] + 1) + first * (_parts(candidate[XY]) + _parts(candidate[XX])))
        if search.adjusts:
            _adjust(search, place, y, x, candidate)
        return _squares(search.features, stride, place, y, x, candidate, search.size, best)

    return squares


@overload(sampled, jit_options={"forceinline": True})
@no_type_check
def _sampled(search, matches, k, down, right, pixel):
    if not is_a(search, Similarity):
        return None

    def turned(search, matches, k, down, right, pixel):
        yy, yx, xy, xx = matches[k, YY], matches[k, YX], matches[k, XY], matches[k, XX]
        y = np.int32(_parts(matches[k, Y] + 1) + down * _parts(yy) + right * _parts(yx))
        x = np.int32(_parts(matches[k, X] + 1) + down * _parts(xy) + right * _parts(xx))
        lightness, a, b, gx, gy = _read(search.features, np.uintp(search.stride), y, x)
        pixel[0] = matches[k, GAIN] * lightness + matches[k, BIAS]
        pixel[1] = matches[k, GAIN + 1] * a + matches[k, BIAS + 1]
        pixel[2] = matches[k, GAIN + 2] * b + matches[k, BIAS + 2]
        pixel[3] = matches[k, GAIN] * (xx * gx + yx * gy)
        pixel[4] = matches[k, GAIN] * (xy * gx + yy * gy)

    return turned
