"""How far a turned, scaled and mirrored patch is from another, and what makes it lighter or darker."""

from typing import no_type_check

import numba
import numpy as np

from inpaintlab.patches.kernels import kernel

FEATURES = 5
"""Numbers a pixel: L, a, b, and the weighted differences of L to the right and downwards."""

Y, X, YY, YX, XY, XX, ANGLE, DOWN, RIGHT, GAIN, BIAS, NUMBERS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15
"""What stands where in a match: the centre of its source; A, which turns ``(down, right)`` in the target to that in the
source; the degrees and the two signed scales that A is made of; three gains and three biases, of L, a and b."""

FINE = 65536
"""Parts of a pixel in which places are counted: whole numbers, which every processor adds alike."""


@numba.njit(forceinline=True)
@no_type_check
def parts(number):
    """A length in parts of a pixel."""
    return np.int32(np.rint(number * np.float32(FINE)))


@numba.njit(forceinline=True)
@no_type_check
def read(features, stride, y, x):
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
def squares(features, stride, place, y, x, match, size, adjusts, best):
    """The sum of squared differences, row by row until it is ``best`` or more.

    Args:
        features: see ``Similarity``.
        stride: likewise.
        place: of the target's first number.
        y: of the source's first pixel, in parts.
        x: likewise.
        match: its matrix, gains and biases.
        size: of a patch.
        adjusts: whether gains and biases count; a constant, as the usual size is one, for which other code is compiled.
        best: when to stop.
    """
    yy, yx, xy, xx = match[YY], match[YX], match[XY], match[XX]
    down_y, right_y, down_x, right_x = parts(yy), parts(yx), parts(xy), parts(xx)
    gain0, gain1, gain2 = match[GAIN], match[GAIN + 1], match[GAIN + 2]
    bias0, bias1, bias2 = match[BIAS], match[BIAS + 1], match[BIAS + 2]
    total = np.float32(0)
    for _ in range(size):
        s0, s1, s2, s3, s4 = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        sy, sx, at = y, x, place
        for _ in range(size):
            lightness, a, b, gx, gy = read(features, stride, sy, sx)
            if adjusts:
                lightness, a, b = gain0 * lightness + bias0, gain1 * a + bias1, gain2 * b + bias2
                gx, gy = gain0 * gx, gain0 * gy
            d = lightness - features[at]
            s0 += d * d
            d = a - features[at + np.uintp(1)]
            s1 += d * d
            d = b - features[at + np.uintp(2)]
            s2 += d * d
            d = xx * gx + yx * gy - features[at + np.uintp(3)]
            s3 += d * d
            d = xy * gx + yy * gy - features[at + np.uintp(4)]
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
def adjust(features, stride, place, y, x, match, size, gains, biases):
    """Write the gains and biases that give the source its target's mean and deviation, within their bounds."""
    down_y, right_y, down_x, right_x = parts(match[YY]), parts(match[YX]), parts(match[XY]), parts(match[XX])
    sums = np.zeros((3, 4))
    for i in range(size):
        for j in range(size):
            numbers = read(features, stride, y + i * down_y + j * right_y, x + i * down_x + j * right_x)
            for channel in range(3):
                source = numbers[0] if channel == 0 else numbers[1] if channel == 1 else numbers[2]
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
        gain = min(max(gain, gains[0]), gains[1])
        match[GAIN + channel] = gain
        match[BIAS + channel] = min(max(target - gain * source, biases[0]), biases[1])
