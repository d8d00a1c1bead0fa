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

    A pattern of noise, one uniform number in [0, 1] a cell, is interpolated by the cubic of Catmull and Rom; the hole
    is where it lies below ``level``. Windows of the pattern are redrawn until one is covered as asked. The free-form
    model that the authors of GLCIC released in 2020 was trained on holes from part of that code.

    - ``cell``: a cell's side as a fraction of the image's shorter side; it is at least one pixel.
    - ``level``: between 0 and 1; higher levels cover more.
    - ``coverage``: the hole's share of the image, in (low, high].

    The release cuts all windows from one pattern of 10,000 x 10,000 px, 400 MB in float32. The cells of a pattern are
    independent, so a window that draws only its own cells and where in the first it begins has the same distribution.
    """

    # So many windows are drawn at once, as a call into torch costs more than a window's numbers.
    windows = 12
    # How far the coverage that a sparse look sees may lie outside the range: four times its largest standard error.
    margin = 0.01

    def __init__(self, cell: Number, level: Number, coverage: Sequence[Number]) -> None:
        self.cell = checked_share("RandomRegion", "cell", cell)
        if not 0 < level < 1:
            raise ValueError(f"RandomRegion: level must lie strictly between 0 and 1, as the noise, but is {level}.")
        self.level = float(level)
        self.coverage = checked_ratios("RandomRegion", coverage)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first window that is covered as asked; raises ``ValueError`` when a thousand are not."""
        holes = islice(self._candidates(height, width, generator), WithHoleRatio.tries)
        return _first_within("RandomRegion", holes, self.coverage)

    def _candidates(self, height: int, width: int, generator: torch.Generator) -> Iterator[Hole]:
        """Windows whose coverage a sparse look puts into the range or near it; without any, the nearest of a batch.

        With the settings of the paper one window in 14 is covered as asked, and most can be told by a few pixels.
        """
        shorter = min(height, width)
        cell = max(1.0, self.cell * shorter)
        step = max(1, int(min(cell / 3, shorter / 48)))
        # A pixel is made of the cell that it lies behind, one before it and two after; the offset may add another cell.
        cells = [int((side - 1) / cell) + 5 for side in (height, width)]
        low, high = self.coverage
        while True:
            offset = torch.rand(self.windows, 2, generator=generator, dtype=torch.float64).numpy()
            noise = torch.rand(self.windows, *cells, generator=generator).double()
            look = self._below(noise, offset, height, width, cell, step).numpy().mean((1, 2))
            excess = np.abs(look - look.clip(low - self.margin, high + self.margin))
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
    """The weight of each cell at every ``step``-th pixel of a side that begins ``offset`` cells behind the second one.

    Weights are multiples of 2^-12 and numbers of float32 noise of 2^-24. Weighted in both directions these take 49
    bits, so a product of float64 matrices is exact, and thus the same on every machine in whatever order it is summed.
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
