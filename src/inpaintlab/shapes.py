"""Shapes that most signatures share; the ranges are the project's conventions (docs/conventions.md)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch 3 height width"]
"""RGB in [0, 1]."""

Planes = Float[Tensor, "batch 1 height width"]
"""One plane an image: a mask (1 = hole), an edge map (1 = edge), or gray in [0, 1]."""

AnyImages = Float[Tensor, "_ 3 _ _"]
"""The same, where one signature has several and each has a size of its own."""

AnyPlanes = Float[Tensor, "_ 1 _ _"]
"""Likewise of one plane, see `Planes`."""

Scalar = Float[Tensor, ""]

Size = int | Sequence[int]
"""The size of pictures in pixels as settings have it: the side of a square, or height and width."""


def height_width(size: Size) -> tuple[int, int]:
    """Height and width of a size.

    Raises:
        ValueError: it is neither a whole number of at least 1 nor two of them.
    """
    sides = [size, size] if isinstance(size, int) else list(size) if isinstance(size, Sequence) else []
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        raise ValueError(f"size={size} is no size; give the side of a square in pixels, or [height, width].")
    return sides[0], sides[1]


def plain_size(size: Size) -> int | list[int]:
    """A size in its shortest form: the side of a square, else [height, width]."""
    height, width = height_width(size)
    return height if height == width else [height, width]


def in_pixels(size: Size) -> str:
    """A size in words: height x width."""
    return " x ".join(map(str, height_width(size)))
