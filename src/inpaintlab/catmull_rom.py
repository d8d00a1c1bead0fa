"""Catmull and Rom's interpolation as matrices, exact in float64: Keys' cubic convolution with a = -1/2."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


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
