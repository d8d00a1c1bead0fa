"""Masks made of other masks: one of several, or one that is held to a hole ratio."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import final

import numpy as np
import torch
from jaxtyping import Bool

from inpaintlab.masks.mask import Hole, Mask, as_hole
from inpaintlab.masks.settings import Number, checked_ratios


@final
class Mixture(Mask):
    """Draws each mask from one of several generators, chosen with probability weight / (sum of the weights)."""

    def __init__(self, masks: Sequence[Mask], weights: Sequence[Number]) -> None:
        if len(masks) != len(weights) or not len(masks):
            raise ValueError(
                f"Mixture needs one weight for each mask, but got {len(masks)} masks and {len(weights)} weights."
            )
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) == 0:
            raise ValueError(
                f"Mixture: the weights must be finite, not negative and not all 0, but are {list(weights)}."
            )
        self.masks = list(masks)
        self._bounds = list(accumulate(float(weight) for weight in weights))

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """A hole of one of the masks."""
        point = torch.rand((), generator=generator, dtype=torch.float64).item() * self._bounds[-1]
        return as_hole(self.masks[bisect_right(self._bounds, point)](height, width, generator))


@final
class WithHoleRatio(Mask):
    """Redraws another generator until the hole covers a share of the image in (``low``, ``high``].

    Raises ``ValueError`` when a thousand tries do not meet the range.
    """

    tries = 1000

    def __init__(self, mask: Mask, low: Number, high: Number) -> None:
        self.mask = mask
        self.low, self.high = checked_ratios("WithHoleRatio", (low, high))

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first hole of the other generator whose ratio lies in the range."""
        holes = (as_hole(self.mask(height, width, generator)) for _ in range(self.tries))
        return _first_within(type(self.mask).__name__, holes, (self.low, self.high))


def _first_within(
    owner: str, holes: Iterable[Bool[np.ndarray, "height width"]], ratios: tuple[float, float]
) -> Bool[np.ndarray, "height width"]:
    """The first of finitely many holes that covers a share in (low, high]."""
    low, high = ratios
    met = []
    for hole in holes:
        met.append(np.count_nonzero(hole) / hole.size)
        if low < met[-1] <= high:
            return hole
    raise ValueError(
        f"{owner} met no hole ratio in ({low:g}, {high:g}] at {hole.shape[0]} x {hole.shape[1]} px: {len(met)} tries "
        f"gave {min(met):.4f} to {max(met):.4f}; widen the range or change the mask's parameters."
    )
