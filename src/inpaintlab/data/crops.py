"""How a square is cut from a picture."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from PIL import Image

from inpaintlab.data.sources import Box
from inpaintlab.imaging import MAX_PIXELS
from inpaintlab.machine import shown


@final
@dataclass(frozen=True)
class Cut:
    """One way to take a square from a picture: crop to ``before``, resize to ``resized``, crop to ``after``.

    It is a value, so that an edge map is cut exactly as its picture. Resizing is Pillow's bilinear with antialiasing.

    With ``whole`` the picture is resized, then cropped; test sets are cut this way. Without it only the part inside
    ``after`` is resized, which takes between a half and a thirtieth of the time. Pillow computes the position of that
    part in 32 bits, so single values differ by a grey level or two.
    """

    before: Box
    resized: tuple[int, int]
    """Width and height in pixels."""
    after: Box
    whole: bool = True

    def __call__(self, image: Image.Image) -> Image.Image:
        """Cut a picture, which must have the size that this cut was made for."""
        part = image if self.before == (0, 0, *image.size) else image.crop(self.before)
        if self.whole:
            return part.resize(self.resized, Image.Resampling.BILINEAR).crop(self.after)
        across, down = part.width / self.resized[0], part.height / self.resized[1]
        left, top, right, bottom = self.after
        box = (left * across, top * down, right * across, bottom * down)
        return part.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)


class Crop(ABC):
    """How a square of ``size`` pixels is taken from a picture of any size."""

    size: int
    shortest_edge: tuple[int, int]
    """Lowest and highest length in pixels to which the shortest edge is resized before the square is cut."""

    @abstractmethod
    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """The largest size to which a picture of ``size`` (width, height) is resized, in pixels."""

    @final
    def require_memory(self, image: Image.Image, name: Path | str) -> None:
        """Refuse a picture of such proportions that resizing it would take more memory than any picture may.

        Training, test sets and doctor all ask this, so that what one of them takes no other refuses.

        Args:
            image: the picture.
            name: of the picture, for the message.

        Raises:
            ValueError: resized, it would have more than `MAX_PIXELS` pixels, as a strip of 1 x 20000 has at size 256.
        """
        width, height = self.resized(image.size)
        if width * height > max(MAX_PIXELS, image.width * image.height):
            raise ValueError(
                f"{shown(name)} is {image.width} x {image.height} pixels, a strip that would be resized to {width} x "
                f"{height}, more than {MAX_PIXELS} pixels; cut a picture of usual proportions from it, or remove it."
            )

    @abstractmethod
    def train(self, image: Image.Image, generator: torch.Generator) -> Cut:
        """The cut for one training sample.

        Args:
            image: the picture, whose size decides the cut.
            generator: the only source of randomness.
        """

    @abstractmethod
    def evaluate(self, image: Image.Image) -> Cut:
        """The cut for validation and test: the same each time."""


@final
class RandomCrop(Crop):
    """Resize to a random length of the shortest edge, then cut a square at a random place (GLCIC, section 4).

    In evaluation the shortest edge becomes ``size`` and the square is cut at the centre.

    Args:
        size: side of the square in pixels.
        shortest_edge: lowest and highest length of the shortest edge in multiples of ``size``. The length in whole
            pixels is drawn uniformly, both ends included. GLCIC's 256 to 384 at size 256 is ``(1.0, 1.5)``.

    Raises:
        ValueError: ``shortest_edge`` is not two rising numbers of at least 1.
    """

    def __init__(self, size: int, shortest_edge: Sequence[float] = (1.0, 1.5)) -> None:
        if len(shortest_edge) != 2 or not 1 <= shortest_edge[0] <= shortest_edge[1]:
            raise ValueError(
                f"shortest_edge={list(shortest_edge)} must be two numbers, lowest and highest, of at least 1 (in "
                "multiples of the crop's size): a smaller picture does not contain the crop."
            )
        self.size = size
        self.shortest_edge = (round(size * shortest_edge[0]), round(size * shortest_edge[1]))

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """The whole picture, its shortest edge at the highest length."""
        return _with_shortest_edge(size, self.shortest_edge[1])

    def train(self, image: Image.Image, generator: torch.Generator) -> Cut:
        """A random scale and a random place."""
        lowest, highest = self.shortest_edge
        resized = _with_shortest_edge(image.size, _whole(lowest, highest, generator))
        left = _whole(0, resized[0] - self.size, generator)
        top = _whole(0, resized[1] - self.size, generator)
        return Cut((0, 0, *image.size), resized, (left, top, left + self.size, top + self.size), whole=False)

    def evaluate(self, image: Image.Image) -> Cut:
        """The shortest edge fills the square; the longer one is cut at both ends."""
        resized = _with_shortest_edge(image.size, self.size)
        return Cut((0, 0, *image.size), resized, _centre(resized, self.size))


@final
class CentreSquare(Crop):
    """The largest square at the centre, resized (EdgeConnect's released data pipeline), in training as in evaluation.

    Args:
        size: side of the square in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.shortest_edge = (size, size)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """The square alone."""
        return self.size, self.size

    def train(self, image: Image.Image, generator: torch.Generator) -> Cut:
        """The centre square too: nothing is drawn from the generator."""
        return self.evaluate(image)

    def evaluate(self, image: Image.Image) -> Cut:
        """The centre square, resized to ``size``."""
        return Cut(_centre(image.size, min(image.size)), (self.size, self.size), (0, 0, self.size, self.size))


def _with_shortest_edge(size: tuple[int, int], edge: int) -> tuple[int, int]:
    width, height = size
    return (edge, round(height * edge / width)) if width <= height else (round(width * edge / height), edge)


def _centre(size: tuple[int, int], side: int) -> Box:
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def _whole(lowest: int, highest: int, generator: torch.Generator) -> int:
    """A random whole number, both ends included."""
    return int(torch.randint(lowest, highest + 1, (1,), generator=generator))
