"""Blobs all over the image: Context Encoder's random region."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inpaintlab.masks.mask import Hole, Mask
from inpaintlab.masks.mixtures import WithHoleRatio, _first_within
from inpaintlab.masks.settings import Number, checked_ratios, checked_share


@final
class RandomRegion(Mask):
    """Blobs all over the image: the random region of Context Encoder (Pathak et al. 2016, as its release draws it).

    A pattern of noise has one uniform number in [0, 1] for each cell and is interpolated by the cubic of Catmull and
    Rom; the hole is where it lies below ``level``. Windows of the pattern are redrawn until the hole ratio of one lies
    in ``coverage``. The free-form model that the authors of GLCIC released in 2020 was trained on holes from part of
    that code.

    The release cuts all windows from one pattern of 10,000 x 10,000 px, 400 MB in float32. Here a window draws only its
    own cells and its offset in the first of them. The cells of a pattern are independent, so the distribution is the
    same.

    Args:
        cell: a cell's side as a fraction of the image's shorter side; it is at least one pixel.
        level: between 0 and 1; higher levels cover more.
        coverage: the hole ratio, in (low, high].

    Raises:
        ValueError: a setting out of its range; or, when a mask is drawn, no hole ratio in the range in 1000 tries.
    """

    # Windows drawn at once, because a call into torch takes longer than a window's numbers.
    windows = 12
    # How far a coverage estimated from few pixels may lie outside the range: four of its largest standard errors.
    margin = 0.01

    def __init__(self, cell: Number, level: Number, coverage: Sequence[Number]) -> None:
        self.cell = checked_share("RandomRegion", "cell", cell)
        if not 0 < level < 1:
            raise ValueError(f"RandomRegion: level must lie strictly between 0 and 1, as the noise, but is {level}.")
        self.level = float(level)
        self.coverage = checked_ratios("RandomRegion", coverage)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first window whose hole ratio lies in ``coverage``."""
        holes = islice(self._candidates(height, width, generator), WithHoleRatio.tries)
        return _first_within("RandomRegion", holes, self.coverage)

    def _candidates(self, height: int, width: int, generator: torch.Generator) -> Iterator[Hole]:
        """Windows whose coverage, estimated from few pixels, lies in the range or near it, else the nearest of a batch.

        With the paper's settings one window in 14 fits, and a few pixels are enough to reject most of the others.
        """
        shorter = min(height, width)
        cell = max(1.0, self.cell * shorter)
        step = max(1, int(min(cell / 3, shorter / 48)))
        # A pixel is interpolated from its own cell, one before it and two after; the offset may add another one.
        cells = [int((side - 1) / cell) + 5 for side in (height, width)]
        low, high = self.coverage
        while True:
            offset = torch.rand(self.windows, 2, generator=generator, dtype=torch.float64).numpy()
            noise = torch.rand(self.windows, *cells, generator=generator).double()
            estimate = self._below(noise, offset, height, width, cell, step).numpy().mean((1, 2))
            excess = np.abs(estimate - estimate.clip(low - self.margin, high + self.margin))
            for index in np.flatnonzero(excess == excess.min()):
                window = slice(index, index + 1)
                yield self._below(noise[window], offset[window], height, width, cell, 1)[0].numpy()

    def _below(
        self,
        noise: Float[Tensor, "windows rows columns"],
        offset: Float[np.ndarray, "windows 2"],
        height: int,
        width: int,
        cell: float,
        step: int,
    ) -> Bool[Tensor, "windows down right"]:
        """Where the interpolated noise is below the level, at every ``step``-th pixel of each window."""
        down = catmull_rom(offset[:, 0], height, cell, step, noise.shape[1])
        right = catmull_rom(offset[:, 1], width, cell, step, noise.shape[2])
        return down @ noise @ right.mT < self.level


def catmull_rom(
    offset: Float[np.ndarray, " windows"], side: int, cell: float, step: int, cells: int
) -> Float[Tensor, "windows pixels {cells}"]:
    """The weight of each cell at the pixels of a side of the image.

    Weights are multiples of 2^-12, and float32 noise consists of multiples of 2^-24. Weighted in both directions they
    take 49 bits, so a product of float64 matrices is exact, in whatever order a machine sums it.

    Args:
        offset: cells behind the second one at which each window begins, in [0, 1).
        side: of the image, in pixels.
        cell: the side of a cell, in pixels.
        step: every ``step``-th pixel is taken.
        cells: how many cells there are.
    """
    place = offset[:, None] + np.arange(step // 2, side, step) / cell
    distance = np.rint(1024 * (place[..., None] + 1 - np.arange(cells))).astype(np.int64)
    return torch.from_numpy(_CUBIC.take(distance + 2048, mode="clip"))


def _cubic_weights() -> Float[np.ndarray, "4097"]:
    """The kernel of Catmull and Rom, Keys' with a = -1/2, from -2 to 2 cells in steps of 1/1024, to 2^-12."""
    x = np.abs(np.arange(-2048, 2049) / 1024)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return np.rint(4096 * np.where(x < 1, near, far)) / 4096


_CUBIC = _cubic_weights()
