"""Picture: one picture of a program, as a method sees it, and as it comes back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from inpaintlab.shapes import AnyImages, AnyPlanes

Hole = Bool[Tensor, "1 1 height width"]


class Picture(ABC):
    """One picture of a program.

    Attributes:
        called: what sentences call it, such as "the image".
    """

    def __init__(self, called: str) -> None:
        self.called = called

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""

    @property
    @abstractmethod
    def seen(self) -> UInt8[Tensor, "1 3 height width"] | AnyImages:
        """What a method sees: bytes, or floats in [0, 1], where the picture lies; transparent pixels on white."""

    @abstractmethod
    def filled(self, raw: AnyImages, hole: Hole) -> Any:
        """The picture with its hole filled, every other pixel as it was; what is filled is opaque.

        Args:
            raw: RGB in [0, 1], of which the pixels in the hole are taken; where `home` says.
            hole: True in the hole.
        """

    @abstractmethod
    def as_it_is(self) -> Any:
        """A copy of the picture, in the kind in which completions come."""

    @abstractmethod
    def plane(self, values: AnyPlanes) -> Any:
        """A plane with values in [0, 1], such as edges, in this kind."""

    @property
    def home(self) -> torch.device:
        """Where the completion is made."""
        return torch.device("cpu")

    def extremes(self, hole: Hole) -> Float[Tensor, "2"] | None:
        """The lowest and the highest value outside the hole; None where all that can be there are in range."""
        return None


def require_pixels(size: Sequence[int], called: str) -> None:
    """Raise a ValueError if a height or a width is 0."""
    if 0 in size:
        raise ValueError(f"{called} has no pixel: its size is {size[0]} x {size[1]}.")


def tensor_of(array: Shaped[np.ndarray, "..."]) -> Tensor:
    """A NumPy array as a tensor, of any byte order, strides and flags; its memory is shared where it can be."""
    native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return torch.from_numpy(native if native.flags.writeable else native.copy())  # torch warns of what is read-only


def upright(image: Image.Image, called: str) -> Image.Image:
    """A picture of Pillow's, decoded, and turned upright by its EXIF orientation.

    Raises:
        ValueError: its file cannot be decoded, or it has no pixel.
    """
    require_pixels((image.height, image.width), called)
    try:
        image.load()
        # of premultiplied grey Pillow makes nothing else
        return ImageOps.exif_transpose(image.convert("LA") if image.mode == "La" else image)
    except Exception as error:  # each of Pillow's decoders raises its own errors
        raise ValueError(f"{called} cannot be decoded ({error}); read its file again.") from error
