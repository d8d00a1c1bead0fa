"""Upright rectangles: GLCIC's holes, the blocks of EdgeConnect and Contextual Attention, Context Encoder's centre."""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch

from inpaintlab.masks.mask import Hole, Mask, integer, pixels
from inpaintlab.masks.settings import Number, checked_fractions, checked_share


@final
class Rectangle(Mask):
    """One upright rectangle somewhere in the image, as GLCIC trains on (Iizuka et al. 2017).

    The ranges are rounded to whole pixels (see ``pixels``). Each side is drawn independently and uniformly from its
    range, both ends included, and then the place uniformly among those that keep the rectangle inside the image.

    Args:
        height: (low, high) fractions of the image's height.
        width: (low, high) fractions of the image's width.

    Raises:
        ValueError: a range that does not satisfy 0 < low <= high <= 1.
    """

    def __init__(self, height: Sequence[Number], width: Sequence[Number]) -> None:
        self.height = checked_fractions("Rectangle", "height", height)
        self.width = checked_fractions("Rectangle", "width", width)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """A rectangle with random sides at a random place."""
        rows = integer(pixels(self.height[0], height), pixels(self.height[1], height), generator)
        columns = integer(pixels(self.width[0], width), pixels(self.width[1], width), generator)
        return _rectangle_anywhere(height, width, rows, columns, generator)


@final
class Block(Mask):
    """One block at a uniformly random place: EdgeConnect's regular mask (``MASK: 1`` of its release).

    With ``shrink`` it then loses rows and columns, as in Contextual Attention (Yu et al. 2018): as many at the top as
    at the bottom, and as many at the left as at the right, two uniform whole numbers, 0 and the largest included.

    Args:
        fraction: the block's side over the image's side, in both directions; 0.5 covers 25 % of the image.
        shrink: the most rows that it loses on one side over the image's side, likewise columns.
        margin: the least distance of the block to the image's border, before it shrinks, over the image's side.

    Raises:
        ValueError: the fraction does not lie strictly between 0 and 1, nothing would be left of the block, or the
            margins leave no place.
    """

    def __init__(self, fraction: Number = 0.5, shrink: Number = 0, margin: Number = 0) -> None:
        self.fraction = checked_share("Block", "fraction", fraction)
        if not 0 <= 2 * shrink < fraction:
            raise ValueError(
                f"Block: shrink must be at least 0 and less than half of fraction={fraction}, but is {shrink}."
            )
        if not 0 <= 2 * margin <= 1 - fraction:
            raise ValueError(
                f"Block: margin must be at least 0 and leave room for fraction={fraction} between two of it, but is "
                f"{margin}."
            )
        self.shrink = float(shrink)
        self.margin = float(margin)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The block at a random place, shrunk."""
        rows, columns = pixels(self.fraction, height), pixels(self.fraction, width)
        top, left = (
            integer(least, max(least, side - block - least), generator)
            for side, block, least in (
                (height, rows, int(self.margin * height)),
                (width, columns, int(self.margin * width)),
            )
        )
        if not self.shrink:
            return _rectangle(height, width, top, left, rows, columns)
        fewer_rows, fewer_columns = (integer(0, round(self.shrink * side), generator) for side in (height, width))
        rows, columns = max(1, rows - 2 * fewer_rows), max(1, columns - 2 * fewer_columns)
        return _rectangle(height, width, top + fewer_rows, left + fewer_columns, rows, columns)


@final
class Center(Mask):
    """One block of fixed size in the middle of the image, up to half a pixel up and left. Nothing about it is random.

    Args:
        fraction: the block's side over the image's side, in both directions; 0.5 covers 25 % of the image.

    Raises:
        ValueError: the fraction does not lie strictly between 0 and 1.
    """

    def __init__(self, fraction: Number = 0.5) -> None:
        self.fraction = checked_share("Center", "fraction", fraction)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The block in the middle."""
        rows, columns = pixels(self.fraction, height), pixels(self.fraction, width)
        return _rectangle(height, width, (height - rows) // 2, (width - columns) // 2, rows, columns)


@final
class Half(Mask):
    """The left or the right half of the image, each with probability 1/2 (EdgeConnect's ``MASK: 2``).

    The middle column of an odd width stays known, so that both halves have the same area.
    """

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """Half of the image, to whole columns."""
        columns = width // 2
        left = integer(0, 1, generator) * (width - columns)
        return _rectangle(height, width, 0, left, height, columns)


def _rectangle(height: int, width: int, top: int, left: int, rows: int, columns: int) -> Hole:
    """An image that is True inside one rectangle."""
    hole = np.zeros((height, width), bool)
    hole[top : top + rows, left : left + columns] = True
    return hole


def _rectangle_anywhere(height: int, width: int, rows: int, columns: int, generator: torch.Generator) -> Hole:
    """A rectangle of the given sides, at a uniform place inside the image."""
    top = integer(0, height - rows, generator)
    left = integer(0, width - columns, generator)
    return _rectangle(height, width, top, left, rows, columns)
