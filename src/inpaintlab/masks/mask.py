"""Mask generators: one small class per family of holes.

Every generator is called as ``mask(height, width, generator)`` and returns a float32 tensor of shape (1, height, width)
with values exactly 0 and 1, where 1 is the hole; ``mask.draw_proper(...)`` is the same as an array of bools. All
randomness comes from the ``torch.Generator`` that is passed in, so the same generator state gives the same hole on each
machine. Sizes are fractions of the image's sides, so that one configuration serves every resolution. Generators are
plain picklable objects, ready for loader workers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

# True inside the hole; height and width are the arguments of the function that draws it.
Hole = Bool[np.ndarray, "{height} {width}"]


class Mask(ABC):
    """A family of holes: a subclass draws one, and the call makes sure that it is a proper mask."""

    redraws = 100

    @abstractmethod
    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """One hole, which is drawn again if it happens to be empty or to cover everything.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.
            generator: the source of all randomness.

        Returns:
            True inside the hole.
        """

    def files(self) -> list[tuple[str, Path]]:
        """The mask files that holes are taken from, each with a name that does not depend on where the folder lies."""
        return []

    def parts(self) -> Sequence["Mask"]:
        """The generators that this one draws from; most have none."""
        return ()

    @final
    def __call__(self, height: int, width: int, generator: torch.Generator) -> Float[Tensor, "1 {height} {width}"]:
        """``draw_proper`` as a tensor whose values are exactly 0 and 1, 1 = hole; arguments and errors as there."""
        return torch.from_numpy(self.draw_proper(height, width, generator).astype(np.float32, order="C"))[None]

    @final
    def draw_proper(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """A hole with at least one hole pixel and one known pixel.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.
            generator: the source of all randomness.

        Returns:
            True inside the hole.

        Raises:
            ValueError: the settings did not give such a mask at this size in 100 draws.
        """
        if height < 1 or width < 1:
            raise ValueError(f"A mask needs a height and a width of at least 1 px, but got {height} x {width} px.")

        for _ in range(self.redraws):
            hole = self.draw(height, width, generator)
            if 0 < np.count_nonzero(hole) < hole.size:
                return hole
        fault = "left no known pixel" if hole.any() else "drew no hole"
        raise ValueError(
            f"{type(self).__name__} {fault} at {height} x {width} px in {self.redraws} draws; "
            "use a larger image or change the mask's parameters."
        )


def integer(low: int, high: int, generator: torch.Generator) -> int:
    """A uniform integer, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator).item())


def integers(low: int, high: int, uniform: Float[np.ndarray, " n"]) -> Integer[np.ndarray, " n"]:
    """Uniform integers, both ends included, from numbers that are uniform in [0, 1)."""
    return low + np.floor((high - low + 1) * uniform).astype(np.int64)


def pixels(fraction: float, side: int) -> int:
    """A fraction of a side in whole pixels, at least 1.

    Halves round down, so that half an odd side is EdgeConnect's integer division.
    """
    return max(1, math.ceil(fraction * side - 0.5))
