"""Edge maps of images: Canny's detector on batches of tensors, equal to scikit-image's pixel for pixel.

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
from kornia.color import rgb_to_grayscale
from scipy import ndimage
from torch import Tensor

from inpaintlab.shapes import Images, Planes

# scikit-image's defaults for images in [0, 1], as magnitudes of the unnormalised Sobel gradient.
LOW_THRESHOLD = 0.1
HIGH_THRESHOLD = 0.2

# SciPy cuts the Gaussian after this many standard deviations.
GAUSSIAN_TRUNCATE = 4.0

# Rounds of joining groups between two looks at whether any changed: a look makes the host wait for the device.
ROUNDS_PER_CHECK = 2
JUMPS_PER_ROUND = 3


def rgb_to_gray(image: Images) -> Planes:
    """Luminance 0.2125 R + 0.7154 G + 0.0721 B, in the range and the dtype of the image.

    These are the weights of `skimage.color.rgb2gray`, not Pillow's and OpenCV's 0.299, 0.587, 0.114, which give
    visibly other edge maps.
    """
    return rgb_to_grayscale(image, rgb_weights=image.new_tensor([0.2125, 0.7154, 0.0721]))


@torch.no_grad()
def canny(gray: Planes, sigma: int | float | Sequence[int | float], known: Planes | None = None) -> Planes:
    """Canny's edges of a batch: float32, 1 on an edge and 0 elsewhere, on the device of `gray`, without a gradient.

    Equal to `skimage.feature.canny(gray, sigma, mask=known)` with its default thresholds for float images
    (Canny, "A computational approach to edge detection", PAMI 1986). Computed in float64, also under autocast.

    Args:
        gray: grey images in [0, 1].
        sigma: standard deviation of the Gaussian in pixels: one number for all images or one for each.
        known: where it is 0, the pixel is left out of the smoothing, and no edge is marked on it or next to it;
            every other value counts as known. None: all pixels are known.

    Raises:
        ValueError: an image has fewer than 3 rows or columns; a sigma is not a positive finite number; or the
            number of sigmas is not the number of images.
    """
    batch, _, height, width = gray.shape
    if min(height, width) < 3:
        raise ValueError(f"Canny needs images of at least 3 x 3 pixels, got {height} x {width}: pass larger images.")
    sigmas = _one_sigma_per_image(sigma, batch)

    with torch.autocast(gray.device.type, enabled=False):
        usable = gray.new_ones((1, height, width), dtype=torch.bool) if known is None else known[:, 0] != 0
        smooth = _smooth_each(gray[:, 0].double(), usable, sigmas)
        down, right = _sobel(smooth)
        weak, strong = _thin(down, right, _erode(usable))
        return _link(weak, strong, (batch, height, width)).float().unsqueeze(1)


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


def _smooth_each(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "#batch height width"], sigmas: list[float]
) -> Float[Tensor, "batch height width"]:
    distinct = sorted(set(sigmas))
    if len(distinct) == 1:
        return _smooth(gray, usable, distinct[0])
    smooth = torch.empty_like(gray)
    usable = usable.expand_as(gray)
    for sigma in distinct:
        rows = torch.tensor([i for i, value in enumerate(sigmas) if value == sigma], device=gray.device)
        smooth[rows] = _smooth(gray[rows], usable[rows], sigma)
    return smooth


def _smooth(
    gray: Float[Tensor, "batch height width"], usable: Bool[Tensor, "#batch height width"], sigma: float
) -> Float[Tensor, "batch height width"]:
    """Gaussian mean of the usable pixels: the sum over them, divided by the weight that fell on them."""
    total = _gaussian(torch.where(usable, gray, 0.0), sigma)
    weight = _gaussian(usable.double(), sigma) + torch.finfo(torch.float64).eps
    return total.div_(weight)


def _gaussian(image: Float[Tensor, "batch height width"], sigma: float) -> Float[Tensor, "batch height width"]:
    """Separable Gaussian, rows first, with zeros outside: `scipy.ndimage.gaussian_filter(mode="constant")`."""
    taps = _gaussian_taps(sigma)
    return _symmetric_filter(_symmetric_filter(image, taps, dim=1), taps, dim=2)


def _symmetric_filter(
    image: Float[Tensor, "batch height width"], taps: tuple[float, ...], dim: int
) -> Float[Tensor, "batch height width"]:
    """Correlation with a symmetric kernel given from its outermost tap to its central one.

    SciPy's order of sums: first the centre, then from the outside in, the two pixels of a tap added before they are
    weighted.
    """
    radius, length = len(taps) - 1, image.shape[dim]
    padded = F.pad(image, (0, 0, radius, radius) if dim == 1 else (radius, radius))
    result = image * taps[-1]
    pair = torch.empty_like(image)
    for start, tap in enumerate(taps[:-1]):
        torch.add(padded.narrow(dim, start, length), padded.narrow(dim, 2 * radius - start, length), out=pair)
        result.add_(pair.mul_(tap))  # two roundings, never torch.add's alpha: that may fuse them into one
    return result


@lru_cache(maxsize=32)
def _gaussian_taps(sigma: float) -> tuple[float, ...]:
    """SciPy's own Gaussian weights, from the outermost to the central one: its answer to a unit impulse."""
    radius = int(GAUSSIAN_TRUNCATE * sigma + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1.0
    response = ndimage.gaussian_filter1d(impulse, sigma, mode="constant", truncate=GAUSSIAN_TRUNCATE)
    return tuple(response[: radius + 1].tolist())


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


def _erode(usable: Bool[Tensor, "#batch height width"]) -> Bool[Tensor, "#batch height width"]:
    """Pixels whose 3 x 3 neighbourhood lies inside the image and is usable throughout."""
    unusable = F.pad((~usable).float(), (1, 1, 1, 1), value=1.0)
    return F.max_pool2d(unusable, 3, stride=1) == 0


def _thin(
    down: Float[Tensor, "batch height width"],
    right: Float[Tensor, "batch height width"],
    inside: Bool[Tensor, "#batch height width"],
) -> tuple[Int[Tensor, " weak"], Bool[Tensor, " weak"]]:
    """Non-maximum suppression: where the gradient's magnitude peaks along its own direction.

    The magnitude one step forward and one step back along the gradient is interpolated between the straight and the
    diagonal neighbour on that side, as in scikit-image; a tie is kept. Only the pixels over the low threshold are
    looked at. Returns the flat positions of the peaks in ascending order, and which of them reach the high threshold.
    """
    shape, width = down.shape, down.shape[2]
    down, right = down.flatten(), right.flatten()
    size = (down * down).add_(right * right).sqrt_()
    candidates = ((size >= LOW_THRESHOLD) & inside.expand(shape).flatten()).nonzero().squeeze(1)
    here = size.index_select(0, candidates)
    down, right = down.index_select(0, candidates), right.index_select(0, candidates)

    # Offsets in the flat batch. A candidate is never on a border, so no offset leaves its image.
    falling = (down >= 0) == (right >= 0)  # the gradient points along the main diagonal, or against it
    down, right = down.abs(), right.abs()
    diagonal = torch.where(falling, width + 1, 1 - width)
    straight = torch.where(down > right, torch.where(falling, width, -width), 1)

    slant = torch.minimum(down, right) / torch.maximum(down, right)
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
    batch, height, width = shape
    count = len(weak)
    numbers = torch.arange(count, device=weak.device)
    number_at = torch.full((batch * height * width,), -1, device=weak.device)
    number_at[weak] = numbers

    # each pair of neighbours once: to the right, and the three below
    offsets = torch.tensor([1, width - 1, width, width + 1], device=weak.device)
    other = number_at.index_select(0, (weak + offsets[:, None]).flatten())
    pairs = (other >= 0).nonzero().squeeze(1)
    group = _groups(pairs % count, other.index_select(0, pairs), count)

    kept = torch.zeros(count, dtype=torch.bool, device=weak.device)
    kept[group.masked_select(strong)] = True
    edges = torch.zeros(batch * height * width, dtype=torch.bool, device=weak.device)
    edges[weak] = kept.index_select(0, group)
    return edges.view(batch, height, width)


def _groups(first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"], count: int) -> Int[Tensor, " count"]:
    """Smallest number in the connected group of each of `count` things, given which pairs are neighbours.

    Trees of pointers to smaller numbers: in each round the larger root of two neighbours is hung below the smaller
    one, and all pointers jump to their target's target, so that the rounds grow with the logarithm of a group's size
    and not with its length.
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
