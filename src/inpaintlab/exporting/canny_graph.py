"""Canny's detector as a graph of tensor operations alone, whose shapes stay open: what a file can hold."""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch._higher_order_ops import while_loop

from inpaintlab.edges import HIGH_THRESHOLD, LOW_THRESHOLD, EdgeSource, gaussian_taps
from inpaintlab.imaging import GRAY_WEIGHTS
from inpaintlab.shapes import Images, Planes

STEPS_PER_LOOK = 8
"""Pixels that strong edges grow along weak ones between two looks at whether any grew."""

Maps = Float[Tensor, "batch rows columns"]


@final
class CannyGraph(EdgeSource):
    """`inpaintlab.edges.Canny` pixel for pixel, in operations that exporters know.

    The detector that we complete with is NumPy's and OpenCV's on a processor, and on a GPU a search among lists of
    pixels, whose lengths no graph knows. Here each step is of whole images: shifted images are weighted by the taps of
    the Gaussian and added in SciPy's order in float64; hysteresis is a loop that grows strong edges along weak ones
    until none grows.

    Args:
        sigma: standard deviation of the Gaussian, in pixels.
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def in_words(self) -> str:
        """Such as 'canny, sigma 2'."""
        return f"canny, sigma {self.sigma:g}"

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """The edges of the grey image; the known ones ignore the hole."""
        known = torch.ones_like(image[:, 0], dtype=torch.bool) if mask is None else 1 - mask[:, 0] != 0
        # doubles as tensors: the exporter rounds a number of Python to float32, whatever it stands beside
        low, high = (torch.tensor(value, dtype=torch.float64) for value in (LOW_THRESHOLD, HIGH_THRESHOLD))
        down, right = _gradient(_smooth(_gray(image), known, gaussian_taps(self.sigma)))
        size = (down * down + right * right).sqrt()
        peak = _peaks(down, right, size) & (size >= low) & _surrounded(known)
        return _linked(peak[:, None].float(), (peak & (size >= high))[:, None].float())


def _gray(image: Images) -> Maps:
    """The grey image as torch computes it: products and sums in float32, each sum rounded once with its product."""
    red, green, blue = GRAY_WEIGHTS
    total = image[:, 0] * red
    for plane, weight in ((image[:, 1], green), (image[:, 2], blue)):
        exact = torch.tensor(weight, dtype=torch.float32).double()
        total = (total.double() + plane.double() * exact).float()
    return total


def _smooth(gray: Maps, known: Bool[Tensor, "batch rows columns"], taps: tuple[float, ...]) -> Maps:
    """The Gaussian mean of the known pixels, in float64: the sum over them, divided by the weight that fell on them."""
    numbers = [torch.tensor(tap, dtype=torch.float64) for tap in taps]

    def gaussian(plane: Maps) -> Maps:
        return _filtered(_filtered(plane, numbers, 1), numbers, 2)

    over = gaussian(known.double())
    # plus float64's epsilon, as scikit-image does: scaled by powers of two, because optimizers of graphs take a term as
    # small as that for 0
    over = (over * 2.0**60 + 2.0**8) * 2.0**-60
    return gaussian(torch.where(known, gray.double(), 0.0)) / over


def _filtered(plane: Maps, taps: list[Float[Tensor, ""]], dim: int) -> Maps:
    """Correlation with a symmetric kernel along one dimension, with zeros outside; SciPy's order of sums.

    Args:
        plane: of each image.
        taps: from the outermost to the central one.
        dim: 1 for rows, 2 for columns.
    """
    radius = len(taps) - 1
    padded = F.pad(plane, (0, 0, radius, radius) if dim == 1 else (radius, radius))

    def at(place: int) -> Maps:
        part = slice(place, place - 2 * radius or None)
        return padded[:, part] if dim == 1 else padded[:, :, part]

    total = at(radius) * taps[-1]
    for place, tap in enumerate(taps[:-1]):
        total = total + (at(place) + at(2 * radius - place)) * tap
    return total


def _gradient(smooth: Maps) -> tuple[Maps, Maps]:
    """Unnormalised Sobel gradient (downwards, to the right), with the border pixels repeated outside."""
    framed = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    fall = framed[:, 2:] - framed[:, :-2]
    rise = framed[:, :, 2:] - framed[:, :, :-2]
    down = fall[:, :, 1:-1] * 2 + (fall[:, :, :-2] + fall[:, :, 2:])
    right = rise[:, 1:-1] * 2 + (rise[:, :-2] + rise[:, 2:])
    return down, right


def _surrounded(known: Bool[Tensor, "batch rows columns"]) -> Bool[Tensor, "batch rows columns"]:
    """Pixels whose 3 x 3 neighbourhood lies inside the image and is known throughout."""
    unknown = F.pad(1 - known.float(), (1, 1, 1, 1), value=1.0)
    return F.max_pool2d(unknown[:, None], 3, stride=1)[:, 0] < 0.5


def _peaks(down: Maps, right: Maps, size: Maps) -> Bool[Tensor, "batch rows columns"]:
    """Where the gradient's magnitude peaks along its own direction, between pixels interpolated; a tie is kept."""
    framed = F.pad(size, (1, 1, 1, 1))

    def beside(rows: int, columns: int) -> Maps:
        return framed[:, 1 + rows : rows - 1 or None, 1 + columns : columns - 1 or None]

    falling = (down >= 0) == (right >= 0)  # the gradient points along the main diagonal, or against it
    down, right = down.abs(), right.abs()
    steeper = torch.maximum(down, right)
    slant = torch.minimum(down, right) / torch.where(steeper > 0, steeper, 1.0)
    peak = torch.ones_like(falling)
    for side in (1, -1):
        diagonal = torch.where(falling, beside(side, side), beside(-side, side))
        upright = torch.where(falling, beside(side, 0), beside(-side, 0))
        straight = torch.where(down > right, upright, beside(0, side))
        peak = peak & (diagonal * slant + straight * (1 - slant) <= size)
    return peak


def _linked(weak: Planes, strong: Planes) -> Planes:
    """Hysteresis: the 8-connected groups of weak pixels that hold a strong one."""

    def grew(kept: Tensor, before: Tensor, weak: Tensor) -> Tensor:
        return (kept != before).any()

    def grow(kept: Tensor, before: Tensor, weak: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grown = kept
        for _ in range(STEPS_PER_LOOK):
            grown = F.max_pool2d(grown, 3, stride=1, padding=1) * weak
        return grown, kept.clone(), weak.clone()  # what is carried on must be no alias of what came

    carried = (strong, strong - 1, weak)
    if torch.compiler.is_exporting():
        return while_loop(grew, grow, carried)[0]
    while grew(*carried):  # the same without the compiler, which torch's loop would call for each size
        carried = grow(*carried)
    return carried[0]
