"""Canny's detector on one image in NumPy: what `inpaintlab.edges.canny` runs on a CPU.

Torch needs about twice the time for the same sums, more where each takes fresh memory. So an image is worked through
in strips of rows, in memory that a thread keeps and that about fits a core's cache. Arrays are flat, with zeros or
repeated pixels between the lines, so that a neighbour is a shift of the whole array.
"""

import threading
from functools import lru_cache
from typing import Literal, final

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy import ndimage

# scikit-image's defaults for images in [0, 1], as magnitudes of the unnormalised Sobel gradient.
LOW_THRESHOLD = 0.1
HIGH_THRESHOLD = 0.2

# SciPy cuts the Gaussian after this many standard deviations.
GAUSSIAN_TRUNCATE = 4.0

PIXELS_PER_STRIP = 2**15

Plane = Float[np.ndarray, "height width"]
Marked = Bool[np.ndarray, "height width"]
Rows = Float64[np.ndarray, "rows columns"]
Numbers = Float64[np.ndarray, " _"]
Three = tuple[Numbers, Numbers, Numbers]
Peaks = tuple[Int64[np.ndarray, " weak"], Bool[np.ndarray, " weak"]]


@final
class _Memory(threading.local):
    """Numbers that a thread keeps to compute in: fresh memory costs as much as the sums themselves."""

    def __init__(self) -> None:
        self.numbers = np.empty(0)

    def arrays(self, count: int, length: int) -> list[Numbers]:
        """Arrays that hold anything; after the next call they are someone else's."""
        if len(self.numbers) < count * length:
            self.numbers = np.empty(count * length)
        return [self.numbers[place * length : (place + 1) * length] for place in range(count)]


_memory = _Memory()


def edge_map(gray: Plane, usable: Marked | None, sigma: float) -> Marked:
    """Canny's edges of one grey image of at least 3 x 3 pixels, equal to scikit-image's.

    Pixels where ``usable`` is False are left out of the smoothing, and no edge is marked on them or next to them.
    """
    height, width = gray.shape
    if usable is not None and usable.all():
        usable = None
    rows = max(1, PIXELS_PER_STRIP // width)
    with np.errstate(invalid="ignore", over="ignore"):  # no edge lies where an image is not finite, and that is all
        strips = [_peaks(gray, usable, sigma, top, min(top + rows, height)) for top in range(0, height, rows)]
    weak, strong = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    return _linked(weak, strong, height, width)


@lru_cache(maxsize=32)
def gaussian_taps(sigma: float) -> tuple[float, ...]:
    """SciPy's own Gaussian weights, from the outermost to the central one: its answer to a unit impulse."""
    radius = int(GAUSSIAN_TRUNCATE * sigma + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1.0
    response = ndimage.gaussian_filter1d(impulse, sigma, mode="constant", truncate=GAUSSIAN_TRUNCATE)
    return tuple(response[: radius + 1].tolist())


@lru_cache(maxsize=8)  # as costly as the image's own sum, and in most trainings always the same
def _whole_weight(height: int, width: int, sigma: float) -> Float64[np.ndarray, "{height} {width}"]:
    ones = np.ones((height, width))
    return ndimage.gaussian_filter(ones, sigma, mode="constant", truncate=GAUSSIAN_TRUNCATE) + np.finfo(float).eps


def _peaks(gray: Plane, usable: Marked | None, sigma: float, top: int, bottom: int) -> Peaks:
    """Where in the rows from ``top`` to before ``bottom`` the weak edge pixels lie, and which of them are strong.

    Places are counted in the image with a frame of one pixel, line by line.
    """
    height, width = gray.shape
    taps = gaussian_taps(sigma)
    radius, line = len(taps) - 1, width + 2
    longest = (bottom - top + 4 + 2 * radius) * (width + max(radius, 2)) + 2 * radius
    a, b, c, d, e = _memory.arrays(5, longest)

    first, last = max(0, top - 2), min(height, bottom + 2)  # a pixel's neighbours' gradients reach two rows further
    smooth = _gaussian(gray, True if usable is None else usable, first, last, taps, (a, b, c))
    over = _whole_weight(height, width, sigma)[first:last]
    if usable is not None:
        over = _with_weight_near_unusable(over, usable, first, taps, (a, b, d), e)
    framed = a[: (bottom - top + 4) * line].reshape(-1, line)
    inner = framed[first - top + 2 : last - top + 2]
    np.divide(smooth, over, out=inner[:, 1:-1])
    inner[:, 0], inner[:, -1] = inner[:, 1], inner[:, -2]
    framed[: first - top + 2], framed[last - top + 2 :] = inner[0], inner[-1]

    down, right = _sobel(framed.reshape(-1), line, b, c, d, e)
    size, square = a[: len(down)], b[: len(down)]
    np.add(np.multiply(down, down, out=size), np.multiply(right, right, out=square), out=size)
    marked = np.sqrt(size, out=size).reshape(-1, line) >= LOW_THRESHOLD
    _clear_outside(marked, usable, top, height)
    weak = _thinned(np.flatnonzero(marked), down, right, size, line)
    return weak + top * line, size.take(weak) >= HIGH_THRESHOLD


def _with_weight_near_unusable(
    whole: Rows, usable: Marked, first: int, taps: tuple[float, ...], scratch: Three, result: Numbers
) -> Rows:
    """The weight of some rows from ``first`` on; ``whole`` is what it would be if all pixels were usable.

    Only the rectangle that unusable pixels reach is computed. The answer lies in ``result``.
    """
    radius, (rows, width) = len(taps) - 1, whole.shape
    before = max(0, first - radius)
    unusable = ~usable[before : first + rows + radius]
    down, right = (np.flatnonzero(unusable.any(axis=axis)).tolist() for axis in (1, 0))
    if not down:
        return whole
    top, bottom = max(first, before + down[0] - radius), min(first + rows, before + down[-1] + radius + 1)
    left, end = max(0, right[0] - radius), min(width, right[-1] + radius + 1)
    start = max(0, left - radius)
    near = _gaussian(usable[:, start : end + radius], True, top, bottom, taps, scratch)[:, left - start : end - start]
    weight = result[: whole.size].reshape(whole.shape)
    weight[:] = whole
    np.add(near, np.finfo(float).eps, out=weight[top - first : bottom - first, left:end])
    return weight


def _gaussian(
    image: Plane | Marked,
    usable: Marked | Literal[True],
    first: int,
    last: int,
    taps: tuple[float, ...],
    scratch: Three,
) -> Rows:
    """Some rows of a separable Gaussian: `scipy.ndimage.gaussian_filter(mode="constant")`.

    Outside the image and where it is not usable stand zeros. As many zeros as the kernel's radius lie behind each line,
    so that both directions are shifts. The answer lies in the last array of ``scratch``.
    """
    source, between, result = scratch
    height, width = image.shape
    radius, rows = len(taps) - 1, last - first
    line = width + radius
    above, below = max(0, first - radius), min(height, last + radius)
    source = source[: (rows + 2 * radius) * line + 2 * radius]
    source.fill(0)
    lines = source[radius : len(source) - radius].reshape(-1, line)
    inner = lines[above - first + radius : below - first + radius, :width]
    np.copyto(inner, image[above:below], where=usable if usable is True else usable[above:below])

    between, smooth = between[: rows * line + 2 * radius], result[: rows * line]
    _symmetric_filter(source, taps, line, between, result)
    _symmetric_filter(between, taps, 1, smooth, source)
    return smooth.reshape(rows, line)[:, :width]


def _symmetric_filter(numbers: Numbers, taps: tuple[float, ...], step: int, result: Numbers, spare: Numbers) -> None:
    """Correlation with a symmetric kernel, given from its outermost tap to its central one, of each ``step``-th number.

    SciPy's order of sums: first the centre, then from the outside in, the two pixels of a tap added before they are
    weighted.
    """
    length, reach = len(result), (len(taps) - 1) * step
    pair = spare[:length]
    np.multiply(numbers[reach : reach + length], taps[-1], out=result)
    for place, tap in enumerate(taps[:-1]):
        start, end = place * step, 2 * reach - place * step
        np.add(numbers[start : start + length], numbers[end : end + length], out=pair)
        np.multiply(pair, tap, out=pair)
        np.add(result, pair, out=result)


def _sobel(
    image: Numbers, line: int, fall: Numbers, down: Numbers, rise: Numbers, right: Numbers
) -> tuple[Numbers, Numbers]:
    """Unnormalised Sobel gradient (downwards, to the right) of all lines but the first and the last.

    The answers lie in ``down`` and ``right``; those of the first and the last pixel of a line mean nothing.
    """
    length = len(image) - 2 * line
    down, right = down[:length], right[:length]
    for answer in (down, right):
        answer[0] = answer[-1] = 0.0
    _one_two_one(np.subtract(image[2 * line :], image[: -2 * line], out=fall[:length]), 1, down[1:-1])
    _one_two_one(np.subtract(image[2:], image[:-2], out=rise[: len(image) - 2]), line, right[1:-1])
    return down, right


def _one_two_one(numbers: Numbers, step: int, result: Numbers) -> None:
    """Weighted sum of three numbers, one each ``step``; ``numbers`` is overwritten."""
    np.add(numbers[: -2 * step], numbers[2 * step :], out=result)
    middle = numbers[step:-step]
    np.add(np.multiply(middle, 2, out=middle), result, out=result)


def _clear_outside(marked: Bool[np.ndarray, "rows line"], usable: Marked | None, top: int, height: int) -> None:
    """Take away what is not inside: where a pixel's 3 x 3 neighbourhood leaves the image or is not usable throughout.

    The first row that is marked belongs to the image's row ``top - 1``, the first column lies before the image.
    """
    start = 2 if top == 0 else 1
    end = min(len(marked) - 1, height - top)
    marked[:start], marked[end:] = False, False
    marked[:, :2], marked[:, -2:] = False, False
    if usable is not None and start < end:
        near = usable[top + start - 2 : top + end]
        rows = near[:-2] & near[1:-1] & near[2:]
        marked[start:end, 2:-2] &= rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]


def _thinned(
    candidates: Int64[np.ndarray, " candidates"], down: Numbers, right: Numbers, size: Numbers, line: int
) -> Int64[np.ndarray, " weak"]:
    """Non-maximum suppression: the candidates where the gradient's magnitude peaks along its own direction.

    The magnitude one step forward and one step back along the gradient is interpolated between the straight and the
    diagonal neighbour on that side, as in scikit-image; a tie is kept.
    """
    here, down, right = size.take(candidates), down.take(candidates), right.take(candidates)
    falling = (down >= 0) == (right >= 0)  # the gradient points along the main diagonal, or against it
    np.abs(down, out=down)
    np.abs(right, out=right)
    kind = (falling.view(np.uint8) + 2 * (down > right).view(np.uint8)).astype(np.intp)
    diagonal = np.array([1 - line, 1 + line, 1 - line, 1 + line]).take(kind)
    straight = np.array([1, 1, -line, line]).take(kind)

    slant = np.minimum(down, right)
    slant /= np.maximum(down, right, out=down)
    upright = np.subtract(1, slant, out=right)
    peak = np.ones(len(candidates), bool)
    for side in (np.add, np.subtract):
        corner = size.take(side(candidates, diagonal))
        edge = size.take(side(candidates, straight))
        corner *= slant
        edge *= upright
        corner += edge
        peak &= corner <= here
    return candidates.take(np.flatnonzero(peak))


def _linked(weak: Int64[np.ndarray, " weak"], strong: Bool[np.ndarray, " weak"], height: int, width: int) -> Marked:
    """Hysteresis: the 8-connected groups of weak pixels that hold a strong one."""
    marked = np.zeros((height + 2, width + 2), np.uint8)
    places = marked.reshape(-1)
    places[weak] = 1
    groups, labels = cv2.connectedComponents(marked, connectivity=8, ltype=cv2.CV_32S)
    group = np.asarray(labels, np.int32).reshape(-1).take(weak)
    kept = np.zeros(groups, np.uint8)
    kept[group.take(np.flatnonzero(strong))] = 1
    places[weak] = kept.take(group)
    return marked[1:-1, 1:-1].view(bool)
