"""Canny's detector on one image in NumPy and OpenCV: what `inpaintlab.edges.canny` runs on a CPU.

Torch needs about twice the time for the same sums, and more where each sum allocates memory. So an image is processed
in strips of rows, in a buffer of the thread that about fits a core's cache. Arrays are flat, with repeated pixels
between the lines, so that a neighbour is a shift of the whole array.

scikit-image smooths by SciPy, which takes several times as long as OpenCV. OpenCV adds a Gaussian's taps in another
order, so its sums round otherwise. A strip is smoothed by OpenCV first. Only if two compared numbers are then so close
that rounding could decide, as between the equal pixels of a drawing, the strip is smoothed again by SciPy.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Real
from scipy import ndimage

# scikit-image's defaults for images in [0, 1], as magnitudes of the unnormalised Sobel gradient.
LOW_THRESHOLD = 0.1
HIGH_THRESHOLD = 0.2

# SciPy cuts the Gaussian after this many standard deviations.
GAUSSIAN_TRUNCATE = 4.0
PIXELS_PER_STRIP = 2**15

# Where no pixel exceeds ORDINARY, two orders of sums over n taps a side give magnitudes, and interpolations between
# them, that differ by less than n times this. The roundings add up to less than a seventh of it: 64 n + 240 units in
# the last place for a gradient of the smoothed pixels, times the square of ORDINARY, times 1000 for the change of an
# interpolation at a magnitude of 0.1 with the gradient.
DOUBT_PER_TAP = 1e-9
ORDINARY = 2.0

Plane = Float[np.ndarray, "height width"]
Marked = Bool[np.ndarray, "height width"]
Rows = Float64[np.ndarray, "rows columns"]
Numbers = Float64[np.ndarray, " _"]
Places = Int64[np.ndarray, " places"]
Strengths = Bool[np.ndarray, " places"]
Gaussian = Callable[[Real[np.ndarray, "height width"], int, int, float], Rows]


@final
class _Memory(threading.local):
    """A buffer of each thread: to allocate one takes as long as the sums themselves."""

    def __init__(self) -> None:
        self.numbers = np.empty(0)

    def arrays(self, count: int, length: int) -> list[Numbers]:
        """``count`` uninitialised arrays of ``length`` numbers; the next call hands out the same memory."""
        if len(self.numbers) < count * length:
            self.numbers = np.empty(count * length)
        return [self.numbers[place * length : (place + 1) * length] for place in range(count)]


_memory = _Memory()


def edge_map(gray: Plane, usable: Marked | None, sigma: float) -> Marked:
    """Canny's edges of one grey image, equal to scikit-image's.

    Args:
        gray: in [0, 1], at least 3 x 3 pixels.
        usable: where it is False, the pixel is left out of the smoothing, and no edge is marked on it or next to it.
        sigma: standard deviation of the Gaussian, in pixels.

    Returns:
        True on the edges.
    """
    height, width = gray.shape
    if usable is not None and usable.all():
        usable = None
    filled = gray if usable is None else cv2.copyTo(gray, usable.view(np.uint8))
    ordinary = bool(filled.min() >= -ORDINARY and filled.max() <= ORDINARY)  # False with a NaN
    rows = max(1, PIXELS_PER_STRIP // width)
    with np.errstate(invalid="ignore", over="ignore"):  # a non-finite pixel only gets no edge
        strips = [
            _peaks(filled, usable, sigma, top, min(top + rows, height), ordinary) for top in range(0, height, rows)
        ]
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


@lru_cache(maxsize=8)  # it takes as long as the image's own sum, and most trainings need the same one always
def _whole_weight(height: int, width: int, sigma: float) -> Float64[np.ndarray, "{height} {width}"]:
    ones = np.ones((height, width))
    return ndimage.gaussian_filter(ones, sigma, mode="constant", truncate=GAUSSIAN_TRUNCATE) + np.finfo(float).eps


def _peaks(
    filled: Plane, usable: Marked | None, sigma: float, top: int, bottom: int, ordinary: bool
) -> tuple[Places, Strengths]:
    """The weak edge pixels in the rows from ``top`` to before ``bottom``, and which of them are strong.

    Places are counted line by line in the image with a frame of one pixel. ``filled`` is 0 where it is not usable.
    """
    if ordinary:
        doubt = DOUBT_PER_TAP * len(gaussian_taps(sigma))
        weak, strong, gap = _peaks_and_gap(filled, usable, sigma, top, bottom, _gaussian_by_opencv, doubt)
        if gap > doubt:
            return weak, strong
    return _peaks_and_gap(filled, usable, sigma, top, bottom, _gaussian_by_scipy, 0.0)[:2]


def _peaks_and_gap(
    filled: Plane, usable: Marked | None, sigma: float, top: int, bottom: int, gaussian: Gaussian, doubt: float
) -> tuple[Places, Strengths, float]:
    """The same by one way of smoothing, and the smallest difference between two numbers that were compared.

    Magnitudes less than ``doubt`` below the low threshold take part as well.
    """
    height, width = filled.shape
    line = width + 2
    a, b, c, d, e = _memory.arrays(5, (bottom - top + 4) * line)

    first, last = max(0, top - 2), min(height, bottom + 2)  # a pixel's neighbours' gradients reach two rows further
    over = _whole_weight(height, width, sigma)[first:last]
    if usable is not None:
        over = _with_weight_near_unusable(over, usable, first, sigma, gaussian)
    framed = a.reshape(-1, line)
    inner = framed[first - top + 2 : last - top + 2]
    np.divide(gaussian(filled, first, last, sigma), over, out=inner[:, 1:-1])
    inner[:, 0], inner[:, -1] = inner[:, 1], inner[:, -2]
    framed[: first - top + 2], framed[last - top + 2 :] = inner[0], inner[-1]

    down, right = _sobel(a, line, b, c, d, e)
    size, square = a[: len(down)], b[: len(down)]
    if doubt:  # takes a quarter of the time, and rounds otherwise
        cv2.magnitude(*(numbers.reshape(-1, line) for numbers in (down, right, size)))
    else:
        np.add(np.multiply(down, down, out=size), np.multiply(right, right, out=square), out=size)
        np.sqrt(size, out=size)
    marked = size.reshape(-1, line) >= LOW_THRESHOLD - doubt
    _clear_outside(marked, usable, top, height)
    weak, gap = _thinned(np.flatnonzero(marked), down, right, size, line)
    peaks = size.take(weak)
    return weak + top * line, peaks >= HIGH_THRESHOLD, min(gap, _gap(peaks, HIGH_THRESHOLD))


def _gap(sizes: Numbers, others: Numbers | float) -> float:
    return float(np.abs(sizes - others).min(initial=np.inf))


def _with_weight_near_unusable(whole: Rows, usable: Marked, first: int, sigma: float, gaussian: Gaussian) -> Rows:
    """The weight of some rows from ``first`` on; ``whole`` is their weight if all pixels are usable.

    Only the rectangle that unusable pixels reach is computed.
    """
    radius, (rows, width) = len(gaussian_taps(sigma)) - 1, whole.shape
    before = max(0, first - radius)
    unusable = ~usable[before : first + rows + radius]
    down, right = (np.flatnonzero(unusable.any(axis=axis)).tolist() for axis in (1, 0))
    if not down:
        return whole
    top, bottom = max(first, before + down[0] - radius), min(first + rows, before + down[-1] + radius + 1)
    left, end = max(0, right[0] - radius), min(width, right[-1] + radius + 1)
    start = max(0, left - radius)
    near = gaussian(usable[:, start : end + radius].view(np.uint8), top, bottom, sigma)[:, left - start : end - start]
    weight = whole.copy()
    np.add(near, np.finfo(float).eps, out=weight[top - first : bottom - first, left:end])
    return weight


def _gaussian_by_opencv(image: Real[np.ndarray, "height width"], first: int, last: int, sigma: float) -> Rows:
    """The same as `_gaussian_by_scipy` up to rounding."""
    taps = gaussian_taps(sigma)
    above, kernel = max(0, first - len(taps) + 1), np.array(taps + taps[-2::-1])
    part = image[above : last + len(taps) - 1]
    smooth = cv2.sepFilter2D(part, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(smooth, np.float64)[first - above : last - above]


def _gaussian_by_scipy(image: Real[np.ndarray, "height width"], first: int, last: int, sigma: float) -> Rows:
    """The rows from ``first`` to before ``last`` of the smoothed image; outside of the image are zeros."""
    radius = len(gaussian_taps(sigma)) - 1
    above = max(0, first - radius)
    part = image[above : last + radius].astype(np.float64)
    smooth = ndimage.gaussian_filter(part, sigma, mode="constant", truncate=GAUSSIAN_TRUNCATE)
    return np.asarray(smooth, np.float64)[first - above : last - above]


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
    """Unmark each pixel whose 3 x 3 neighbourhood leaves the image or is not usable throughout.

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
    candidates: Places, down: Numbers, right: Numbers, size: Numbers, line: int
) -> tuple[Int64[np.ndarray, " weak"], float]:
    """Non-maximum suppression: the candidates where the gradient's magnitude peaks along its own direction.

    The magnitude one step forward and one step back along the gradient is interpolated between the straight and the
    diagonal neighbour on that side, as in scikit-image; a tie is kept.

    Returns:
        The peaks, and the smallest difference between two numbers that were compared, here or with the low threshold.
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
    peak, gap = np.ones(len(candidates), bool), _gap(here, LOW_THRESHOLD)
    for side in (np.add, np.subtract):
        corner = size.take(side(candidates, diagonal))
        edge = size.take(side(candidates, straight))
        corner *= slant
        edge *= upright
        corner += edge
        peak &= corner <= here
        gap = min(gap, _gap(here, corner))
    return candidates.take(np.flatnonzero(peak)), gap


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
