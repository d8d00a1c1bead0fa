"""Masks made of other masks: one of several, or one that is redrawn until its hole ratio fits."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool

from inpaintlab.masks.mask import Hole, Mask
from inpaintlab.masks.settings import Number, checked_ratios


@final
class Mixture(Mask):
    """Draws each mask from one of several generators.

    Args:
        masks: the generators.
        weights: one for each; a generator is chosen with probability weight / (sum of the weights).

    Raises:
        ValueError: not one weight for each mask; or weights that are negative, not finite or all 0.
    """

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

    def files(self) -> list[tuple[str, Path]]:
        """The mask files of all generators, which are numbered because two may have files of one name."""
        return [(f"{i}/{name}", path) for i, mask in enumerate(self.masks) for name, path in mask.files()]

    def parts(self) -> Sequence[Mask]:
        """All of them."""
        return self.masks

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """A hole of one of the generators, chosen by the weights."""
        point = torch.rand((), generator=generator, dtype=torch.float64).item() * self._bounds[-1]
        return self.masks[bisect_right(self._bounds, point)].draw_proper(height, width, generator)


@final
class WithHoleRatio(Mask):
    """Redraws another generator until the hole ratio lies in (``low``, ``high``].

    Args:
        mask: the other generator.
        low: the hole ratio that is too small, in [0, 1).
        high: the largest hole ratio, up to 1.

    Raises:
        ValueError: not 0 <= low < high <= 1; or, when a mask is drawn, no hole ratio in the range in a thousand tries.
    """

    tries = 1000

    def __init__(self, mask: Mask, low: Number, high: Number) -> None:
        self.mask = mask
        self.low, self.high = checked_ratios("WithHoleRatio", (low, high))

    def files(self) -> list[tuple[str, Path]]:
        """The mask files of the other generator."""
        return self.mask.files()

    def parts(self) -> Sequence[Mask]:
        """The other generator."""
        return (self.mask,)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first hole of the other generator whose ratio lies in the range."""
        holes = (self.mask.draw_proper(height, width, generator) for _ in range(self.tries))
        return _first_within(type(self.mask).__name__, holes, (self.low, self.high))


def _first_within(
    owner: str, holes: Iterable[Bool[np.ndarray, "height width"]], ratios: tuple[float, float]
) -> Bool[np.ndarray, "height width"]:
    """The first of finitely many holes whose ratio lies in (low, high].

    Raises:
        ValueError: there is none; the message names ``owner``.
    """
    low, high = ratios
    seen = []
    for hole in holes:
        seen.append(np.count_nonzero(hole) / hole.size)
        if low < seen[-1] <= high:
            return hole
    raise ValueError(
        f"{owner} met no hole ratio in ({low:g}, {high:g}] at {hole.shape[0]} x {hole.shape[1]} px: {len(seen)} tries "
        f"gave {min(seen):.4f} to {max(seen):.4f}; widen the range or change the mask's parameters."
    )
