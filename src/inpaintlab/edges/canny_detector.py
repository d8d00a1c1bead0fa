"""Edge maps of grey images: Canny's detector on batches of tensors, equal to scikit-image's pixel for pixel.

EdgeConnect is trained on the maps of `skimage.feature.canny`; other implementations (OpenCV, kornia) mark other
pixels, and published weights notice. Every step below therefore rounds as SciPy and scikit-image round: the taps of
a filter are added in their order, in float64, with no fused or reordered sums. That also decides the ties of
drawings and other flat images as they do, and keeps the result the same from one device to the next. The device has to
know float64.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inpaintlab.edges.canny_on_cpu import HIGH_THRESHOLD, LOW_THRESHOLD, edge_map, gaussian_taps
from inpaintlab.shapes import Planes

# Rounds of joining groups between two looks at whether any changed: a look makes the host wait for the device.
ROUNDS_PER_CHECK = 2
JUMPS_PER_ROUND = 3


@torch.no_grad()
def canny(gray: Planes, sigma: int | float | Sequence[int | float], known: Planes | None = None) -> Planes:
    """Canny's edges of a batch of images.

    Equal to `skimage.feature.canny(gray, sigma, mask=known)` with its default thresholds for float images
    (Canny, "A computational approach to edge detection", PAMI 1986). Computed in float64, also under autocast.

    Args:
        gray: grey images in [0, 1].
        sigma: standard deviation of the Gaussian in pixels: one number for all images or one for each.
        known: where it is 0, the pixel is left out of the smoothing, and no edge is marked on it or next to it;
            every other value counts as known. None: all pixels are known.

    Returns:
        float32, 1 on an edge and 0 elsewhere, on the device of `gray`, without a gradient.

    Raises:
        ValueError: an image has fewer than 3 rows or columns; a sigma is not a positive finite number; or the
            number of sigmas is not the number of images.
    """
    batch, _, height, width = gray.shape
    if min(height, width) < 3:
        raise ValueError(f"Canny needs images of at least 3 x 3 pixels, got {height} x {width}: pass larger images.")
    sigmas = _one_sigma_per_image(sigma, batch)

    usable = None if known is None else known[:, 0] != 0
    if gray.device.type == "cpu":
        return _canny_on_cpu(gray[:, 0], usable, sigmas).unsqueeze(1)
    with torch.autocast(gray.device.type, enabled=False):
        return _canny_on_device(gray[:, 0], usable, sigmas).unsqueeze(1)


def _one_sigma_per_image(sigma: int | float | Sequence[int | float], batch: int) -> list[float]:
    sigmas = [float(sigma)] * batch if isinstance(sigma, int | float) else [float(value) for value in sigma]
    if len(sigmas) != batch:
        raise ValueError(
            f"Canny got {len(sigmas)} values of sigma for a batch of {batch} images: pass one number, or one per image."
        )
    for value in sigmas:
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"Canny's sigma must be a positive finite number of pixels, got {value}: 2 is usual.")
    return sigmas


def _canny_on_cpu(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "batch height width"] | None, sigmas: list[float]
) -> Float[Tensor, "batch height width"]:
    images = (gray.float() if gray.dtype.itemsize == 2 else gray).numpy(force=True)  # OpenCV does not read 16 bits
    masks = [None] * len(images) if usable is None else usable.numpy()
    maps = [edge_map(*one) for one in zip(images, masks, sigmas, strict=True)]
    return torch.from_numpy(np.stack(maps)).float()


def _canny_on_device(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "batch height width"] | None, sigmas: list[float]
) -> Float[Tensor, "batch height width"]:
    """All images at once, because each call into torch launches a kernel."""
    batch, height, width = gray.shape
    smooth = _smooth_each(gray.double(), usable, sigmas)
    down, right = _sobel(smooth)
    weak, strong = _thin(down, right, _inside(height, width, gray.device) if usable is None else _erode(usable))
    return _link(weak, strong, (batch, height, width)).float()


def _smooth_each(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "#batch height width"] | None, sigmas: list[float]
) -> Float[Tensor, "batch height width"]:
    distinct = sorted(set(sigmas))
    if len(distinct) == 1:
        return _smooth(gray, usable, distinct[0])
    smooth = torch.empty_like(gray)
    for sigma in distinct:
        rows = torch.tensor([i for i, value in enumerate(sigmas) if value == sigma], device=gray.device)
        smooth[rows] = _smooth(gray[rows], None if usable is None else usable.expand_as(gray)[rows], sigma)
    return smooth


def _smooth(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "#batch height width"] | None, sigma: float
) -> Float[Tensor, "batch height width"]:
    """Gaussian mean of the usable pixels: the sum over them, divided by the weight that fell on them."""
    if usable is None:
        height, width = gray.shape[1:]
        return _gaussian(gray, sigma).div_(_whole_weight(height, width, sigma, gray.device))
    return _gaussian(torch.where(usable, gray, 0.0), sigma).div_(_weight(usable, sigma))


def _weight(usable: Bool[Tensor, "batch height width"], sigma: float) -> Float[Tensor, "batch height width"]:
    return _gaussian(usable.double(), sigma) + torch.finfo(torch.float64).eps


@lru_cache(maxsize=4)  # it takes as long as the image's own sum, and most trainings need the same one always
def _whole_weight(height: int, width: int, sigma: float, device: torch.device) -> Float[Tensor, "1 height width"]:
    return _weight(torch.ones((1, height, width), dtype=torch.bool, device=device), sigma)


def _gaussian(image: Float[Tensor, "batch height width"], sigma: float) -> Float[Tensor, "batch height width"]:
    """Separable Gaussian, rows first, with zeros outside: `scipy.ndimage.gaussian_filter(mode="constant")`.

    The batch lies in one flat row with a kernel's radius of zeros behind each line and that many lines of zeros behind
    each image, so that both directions are filters of contiguous numbers.
    """
    taps = gaussian_taps(sigma)
    radius, (batch, height, width) = len(taps) - 1, image.shape
    line = width + radius
    shape = (batch, height + radius, line)
    outside = radius * line + radius
    flat = image.new_zeros(math.prod(shape) + 2 * outside)
    flat[outside:-outside].view(shape)[:, :height, :width] = image
    smooth = _symmetric_filter(_symmetric_filter(flat, taps, line), taps, 1)
    return smooth.view(shape)[:, :height, :width]


def _symmetric_filter(
    numbers: Float[Tensor, " length"], taps: tuple[float, ...], step: int
) -> Float[Tensor, " shorter"]:
    """Correlation with a symmetric kernel over every `step`-th number.

    The order of sums is SciPy's: first the centre, then from the outside in; the two pixels of a tap are added before
    they are weighted.

    Args:
        numbers: in one flat row.
        taps: from the outermost to the central one.
        step: the distance of two neighbours in the row.
    """
    reach = (len(taps) - 1) * step
    length = len(numbers) - 2 * reach
    result = numbers.narrow(0, reach, length) * taps[-1]
    pair = torch.empty_like(result)
    for place, tap in enumerate(taps[:-1]):
        start = place * step
        torch.add(numbers.narrow(0, start, length), numbers.narrow(0, 2 * reach - start, length), out=pair)
        result.add_(pair.mul_(tap))  # two roundings, never torch.add's alpha: that may fuse them into one
    return result


def _sobel(
    image: Float[Tensor, "batch height width"],
) -> tuple[Float[Tensor, "batch height width"], Float[Tensor, "batch height width"]]:
    """Unnormalised Sobel gradient (downwards, to the right), with the border pixels repeated outside."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    fall = padded[:, 2:] - padded[:, :-2]
    rise = padded[:, :, 2:] - padded[:, :, :-2]
    down = (fall[:, :, 1:-1] * 2).add_(fall[:, :, :-2] + fall[:, :, 2:])
    right = (rise[:, 1:-1] * 2).add_(rise[:, :-2] + rise[:, 2:])
    return down, right


def _erode(usable: Bool[Tensor, "batch height width"]) -> Bool[Tensor, "batch height width"]:
    """Pixels whose 3 x 3 neighbourhood lies inside the image and is usable throughout."""
    rows = usable[:, :-2] & usable[:, 1:-1] & usable[:, 2:]
    inside = torch.zeros_like(usable)
    inside[:, 1:-1, 1:-1] = rows[:, :, :-2] & rows[:, :, 1:-1] & rows[:, :, 2:]
    return inside


@lru_cache(maxsize=4)
def _inside(height: int, width: int, device: torch.device) -> Bool[Tensor, "1 height width"]:
    return _erode(torch.ones((1, height, width), dtype=torch.bool, device=device))


def _thin(
    down: Float[Tensor, "batch height width"],
    right: Float[Tensor, "batch height width"],
    inside: Bool[Tensor, "#batch height width"],
) -> tuple[Int[Tensor, " weak"], Bool[Tensor, " weak"]]:
    """Non-maximum suppression: where the gradient's magnitude peaks along its own direction.

    The magnitude one step forward and one step back along the gradient is interpolated between the straight and the
    diagonal neighbour on that side, as in scikit-image; a tie is kept. Only the pixels over the low threshold are
    looked at.

    Returns:
        The flat positions of the peaks in ascending order, and which of them reach the high threshold.
    """
    shape, width = down.shape, down.shape[2]
    down, right = down.flatten(), right.flatten()
    size = (down * down).add_(right * right).sqrt_()
    candidates = ((size >= LOW_THRESHOLD) & inside.expand(shape).flatten()).nonzero().squeeze(1)
    here = size.index_select(0, candidates)
    down, right = down.index_select(0, candidates), right.index_select(0, candidates)

    # Offsets in the flat batch. A candidate is never on a border, so no offset leaves its image.
    falling = (down >= 0) == (right >= 0)  # the gradient points along the main diagonal, or against it
    down, right = down.abs_(), right.abs_()
    kind = falling.long().add_(down > right, alpha=2)
    diagonal = torch.tensor([1 - width, 1 + width], device=size.device).repeat(2).index_select(0, kind)
    straight = torch.tensor([1, 1, -width, width], device=size.device).index_select(0, kind)

    slant = torch.minimum(down, right).div_(torch.maximum(down, right))
    upright = 1 - slant
    peak = torch.ones_like(falling)
    for side in (1, -1):
        corner = size.index_select(0, candidates.add(diagonal, alpha=side)).mul_(slant)
        edge = size.index_select(0, candidates.add(straight, alpha=side)).mul_(upright)
        peak &= corner.add_(edge) <= here
    peaks = peak.nonzero().squeeze(1)
    return candidates.index_select(0, peaks), here.index_select(0, peaks) >= HIGH_THRESHOLD


def _link(
    weak: Int[Tensor, " weak"], strong: Bool[Tensor, " weak"], shape: tuple[int, int, int]
) -> Bool[Tensor, "batch height width"]:
    """Hysteresis: the 8-connected groups of weak pixels that hold a strong one."""
    group = _groups(*_neighbours(weak, shape), len(weak))
    kept = torch.zeros(len(weak), dtype=torch.uint8, device=weak.device)
    kept.scatter_reduce_(0, group, strong.byte(), "amax")
    edges = torch.zeros(math.prod(shape), dtype=torch.bool, device=weak.device)
    edges[weak] = kept.index_select(0, group).bool()
    return edges.view(shape)


def _neighbours(
    weak: Int[Tensor, " weak"], shape: tuple[int, int, int]
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Pairs of weak pixels that are neighbours, by their numbers and each once; a pixel without one pairs itself."""
    width = shape[2]
    numbers = torch.arange(len(weak), device=weak.device)
    number_at = torch.full((math.prod(shape),), -1, device=weak.device)
    number_at[weak] = numbers
    offsets = torch.tensor([1, width - 1, width, width + 1], device=weak.device)  # to the right, and the three below
    other = number_at.index_select(0, (weak + offsets[:, None]).flatten())
    own = numbers.repeat(4)
    return own, torch.where(other >= 0, other, own)  # selecting the true pairs would make the host wait


def _groups(first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"], count: int) -> Int[Tensor, " count"]:
    """Smallest number in the connected group of each of `count` things, given which pairs are neighbours.

    The pointers form trees and lead to smaller numbers. In each round the larger root of two neighbours is hung below
    the smaller one, and all pointers jump to their target's target. So the number of rounds grows with the logarithm
    of a group's size and not with its length.
    """
    root = torch.arange(count, device=first.device)
    while True:
        before = root
        for _ in range(ROUNDS_PER_CHECK):
            a, b = root.index_select(0, first), root.index_select(0, second)
            root = root.scatter_reduce(0, torch.maximum(a, b), torch.minimum(a, b), "amin")
            for _ in range(JUMPS_PER_ROUND):
                root = root.index_select(0, root)
        if torch.equal(root, before):
            return root
