"""How a part of the trained size, a square or a rectangle, is cut from a picture."""

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
from inpaintlab.shapes import Size, height_width


@final
@dataclass(frozen=True)
class Cut:
    """One way to take a part from a picture: crop to ``before``, resize to ``resized``, crop to ``after``.

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
    """How a part of ``size`` is taken from a picture of any size, without a change of its proportions."""

    size: tuple[int, int]
    """Height and width in pixels."""
    longest_needed: int
    """A picture whose shortest edge has so many pixels is never enlarged for a cut."""

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
    """Resize to a random length of the shortest edge, then cut a part at a random place (GLCIC, section 4).

    In evaluation the shortest edge becomes that of the part, which is cut at the centre. For a rectangle "the shortest
    edge" is the one that limits: the width where a picture is narrower than the rectangle, otherwise the height.

    Args:
        size: side of a square in pixels, or height and width.
        shortest_edge: lowest and highest length of the shortest edge in multiples of ``size``. The length in whole
            pixels is drawn uniformly, both ends included. GLCIC's 256 to 384 at size 256 is ``(1.0, 1.5)``.

    Raises:
        ValueError: ``shortest_edge`` is not two rising numbers of at least 1.
    """

    def __init__(self, size: Size, shortest_edge: Sequence[float] = (1.0, 1.5)) -> None:
        if len(shortest_edge) != 2 or not 1 <= shortest_edge[0] <= shortest_edge[1]:
            raise ValueError(
                f"shortest_edge={list(shortest_edge)} must be two numbers, lowest and highest, of at least 1 (in "
                "multiples of the crop's size): a smaller picture does not contain the crop."
            )
        self.size = height_width(size)
        self.scales = (shortest_edge[0], shortest_edge[1])
        self.longest_needed = round(max(self.size) * shortest_edge[1])

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """The whole picture, its shortest edge at the highest length."""
        return _covering(size, self.size, round(_limiting(size, self.size) * self.scales[1]))

    def train(self, image: Image.Image, generator: torch.Generator) -> Cut:
        """A random scale and a random place."""
        height, width = self.size
        edge = _limiting(image.size, self.size)
        lowest, highest = (round(edge * scale) for scale in self.scales)
        resized = _covering(image.size, self.size, _whole(lowest, highest, generator))
        left = _whole(0, resized[0] - width, generator)
        top = _whole(0, resized[1] - height, generator)
        return Cut((0, 0, *image.size), resized, (left, top, left + width, top + height), whole=False)

    def evaluate(self, image: Image.Image) -> Cut:
        """The shortest edge fills the part; the longer one is cut at both ends."""
        resized = _covering(image.size, self.size, _limiting(image.size, self.size))
        return Cut((0, 0, *image.size), resized, _centre(resized, self.size))


@final
class CentreSquare(Crop):
    """The largest square at the centre, resized (EdgeConnect's released data pipeline), in training as in evaluation.

    For a rectangle: the largest part at the centre with its proportions.

    Args:
        size: side of the square in pixels, or height and width.
    """

    def __init__(self, size: Size) -> None:
        self.size = height_width(size)
        self.longest_needed = max(self.size)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """The part alone."""
        return self.size[1], self.size[0]

    def train(self, image: Image.Image, generator: torch.Generator) -> Cut:
        """The centre square too: nothing is drawn from the generator."""
        return self.evaluate(image)

    def evaluate(self, image: Image.Image) -> Cut:
        """The centre square, resized to ``size``."""
        height, width = self.size
        if image.width * height <= image.height * width:
            part = (max(1, round(image.width * height / width)), image.width)
        else:
            part = (image.height, max(1, round(image.height * width / height)))
        return Cut(_centre(image.size, part), (width, height), (0, 0, width, height))


def _limiting(picture: tuple[int, int], size: tuple[int, int]) -> int:
    """The side of a part (height, width) that a picture (width, height) reaches first when it is reduced."""
    height, width = size
    return width if picture[0] * height <= picture[1] * width else height


def _covering(picture: tuple[int, int], size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Width and height of a picture whose limiting side was resized to ``edge``."""
    width, height = picture
    across = width * size[0] <= height * size[1]
    return (edge, round(height * edge / width)) if across else (round(width * edge / height), edge)


def _centre(picture: tuple[int, int], size: tuple[int, int]) -> Box:
    left, top = (picture[0] - size[1]) // 2, (picture[1] - size[0]) // 2
    return left, top, left + size[1], top + size[0]


def _whole(lowest: int, highest: int, generator: torch.Generator) -> int:
    """A random whole number, both ends included."""
    return int(torch.randint(lowest, highest + 1, (1,), generator=generator))
