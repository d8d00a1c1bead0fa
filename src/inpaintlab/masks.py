"""Mask generators: one small class per family of holes.

Every generator is called as ``mask(height, width, generator)`` and answers a float32 tensor of shape (1, height, width)
with values exactly 0 and 1, where 1 is the hole. All randomness comes from the ``torch.Generator`` that is handed in,
so the same generator state gives the same hole on every machine. Sizes are fractions of the image's sides, so that one
configuration serves every resolution. Generators are plain picklable objects, ready for loader workers.
"""

import hashlib
import json
import math
import os
import warnings
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal, final

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image, ImageOps
from torch import Tensor

Number = int | float
# True inside the hole; height and width are the arguments of the function that draws it.
Hole = Bool[np.ndarray, "{height} {width}"]


def sample_generator(*key: int | str) -> torch.Generator:
    """A CPU generator that depends on nothing but ``key``, for example ``("training", seed, epoch, index)``.

    Equal keys give equal draws in every process and on every machine; a change of any part, of the order of the parts
    or of a part's type (1 or "1") gives another stream. The seed is a BLAKE2b hash of the key written as JSON, because
    Python's own ``hash`` of a string changes from process to process. Torch's CPU generator uses 32 bits of a seed.
    """
    canonical = json.dumps(key, separators=(",", ":"))
    digest = hashlib.blake2b(canonical.encode("ascii"), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


class Mask(ABC):
    """A family of holes: a subclass says how one is drawn, the call makes sure that it is a proper mask."""

    redraws = 100

    @abstractmethod
    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """One hole, True inside. It may turn out empty or cover everything by chance: then it is drawn again."""

    @final
    def __call__(self, height: int, width: int, generator: torch.Generator) -> Float[Tensor, "1 {height} {width}"]:
        """A mask with values exactly {0, 1}, 1 = hole, with at least one hole pixel and one known pixel.

        Raises ``ValueError`` when the parameters cannot give such a mask at this size.
        """
        if height < 1 or width < 1:
            raise ValueError(f"A mask needs a height and a width of at least 1 px, but got {height} x {width} px.")

        for _ in range(self.redraws):
            hole = self.draw(height, width, generator)
            if 0 < np.count_nonzero(hole) < hole.size:
                return torch.from_numpy(hole.astype(np.float32, order="C"))[None]
        fault = "left no known pixel" if hole.any() else "drew no hole"
        raise ValueError(
            f"{type(self).__name__} {fault} at {height} x {width} px in {self.redraws} draws; "
            "use a larger image or change the mask's parameters."
        )


@final
class Rectangle(Mask):
    """One upright rectangle somewhere in the image, as GLCIC trains on (Iizuka et al. 2017).

    ``height`` and ``width`` are (low, high) fractions of the image's height and width. At a given size they are rounded
    to whole pixels (see ``_pixels``), then each side is drawn independently and uniformly between its two ends, both
    included, and the place uniformly among those that keep the rectangle inside the image.
    """

    def __init__(self, height: Sequence[Number], width: Sequence[Number]) -> None:
        self.height = _fractions("Rectangle", "height", height)
        self.width = _fractions("Rectangle", "width", width)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """A rectangle with random sides at a random place."""
        rows = _integer(_pixels(self.height[0], height), _pixels(self.height[1], height), generator)
        columns = _integer(_pixels(self.width[0], width), _pixels(self.width[1], width), generator)
        return _rectangle_anywhere(height, width, rows, columns, generator)


@final
class Block(Mask):
    """One block of fixed size at a uniformly random place: EdgeConnect's regular mask (``MASK: 1`` of its release).

    ``fraction`` is the block's side over the image's side, in both directions; 0.5 covers 25 % of the image.
    """

    def __init__(self, fraction: Number = 0.5) -> None:
        self.fraction = _part("Block", "fraction", fraction)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The block at a random place."""
        rows, columns = _pixels(self.fraction, height), _pixels(self.fraction, width)
        return _rectangle_anywhere(height, width, rows, columns, generator)


@final
class Center(Mask):
    """One block of fixed size in the middle of the image; where it cannot be exact, half a pixel up and left.

    ``fraction`` is the block's side over the image's side, in both directions. Nothing about it is random.
    """

    def __init__(self, fraction: Number = 0.5) -> None:
        self.fraction = _part("Center", "fraction", fraction)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The block in the middle."""
        rows, columns = _pixels(self.fraction, height), _pixels(self.fraction, width)
        return _rectangle(height, width, (height - rows) // 2, (width - columns) // 2, rows, columns)


@final
class Half(Mask):
    """The left or the right half of the image, each with probability 1/2 (EdgeConnect's ``MASK: 2``).

    The middle column of an odd width stays known, so that both halves have the same area.
    """

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The left or the right half."""
        columns = width // 2
        left = _integer(0, 1, generator) * (width - columns)
        return _rectangle(height, width, 0, left, height, columns)


@final
class Strokes(Mask):
    """Free-form brush strokes in the manner of DeepFill v2 (Yu et al. 2019, as its release draws them).

    A stroke is a zigzag with round joints and ends. All (low, high) ranges include both ends.

    - ``strokes``: how many strokes, (low, high). A wide range spreads the hole ratios, so that ``WithHoleRatio`` meets
      narrow bins within a few tries.
    - ``vertices``: how many steps a stroke takes, (low, high).
    - ``angle``, ``angle_spread``: in degrees. Each stroke draws its own limits, ``angle`` minus and plus up to
      ``angle_spread``; each step turns to an angle between them, every other step to its mirror image.
    - ``length``, ``length_spread``: mean and standard deviation of a step as fractions of the image's diagonal;
      a step is clipped to [0, 2 * length] and ends inside the image.
    - ``width``: thickness, (low, high) fractions of the shorter side, drawn in whole pixels.

    Strokes that follow this recipe drift to the right, so the finished mask is mirrored in either direction with
    probability 1/2. The released DeepFill v2 means to do so too, but throws the mirrored picture away.
    """

    def __init__(
        self,
        strokes: Sequence[int],
        vertices: Sequence[int],
        angle: Number,
        angle_spread: Number,
        length: Number,
        length_spread: Number,
        width: Sequence[Number],
    ) -> None:
        self.strokes = _counts("Strokes", "strokes", strokes)
        self.vertices = _counts("Strokes", "vertices", vertices)
        self.angle = math.radians(angle)
        self.angle_spread = math.radians(angle_spread)
        self.length = _part("Strokes", "length", length)
        self.length_spread = float(length_spread)
        self.width = _fractions("Strokes", "width", width)
        for name, value in (("angle_spread", angle_spread), ("length_spread", length_spread)):
            if value < 0:
                raise ValueError(f"Strokes: {name} must not be negative, but is {value}.")

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """Some strokes, together mirrored at random."""
        count = _integer(*self.strokes, generator)
        # All numbers of all strokes in two draws: a draw costs more than the arithmetic on it.
        uniform = torch.rand(count, 6 + self.vertices[1], generator=generator, dtype=torch.float64).numpy()
        normal = torch.randn(count, self.vertices[1], generator=generator, dtype=torch.float64).numpy()
        corners = self._corners(height, width, normal, uniform[:, 2:])
        steps = _integers(*self.vertices, uniform[:, 0])
        shorter = min(height, width)
        thickness = _integers(_pixels(self.width[0], shorter), _pixels(self.width[1], shorter), uniform[:, 1])

        canvas = np.zeros((height, width), np.uint8)
        for stroke in range(count):
            # Whole coordinates and no anti-aliasing: the same pixels on every machine.
            polyline = corners[stroke, : 1 + steps[stroke]]
            cv2.polylines(canvas, [polyline], False, 1, int(thickness[stroke]), cv2.LINE_8)
        upside_down, back_to_front = torch.randint(0, 2, (2,), generator=generator).tolist()
        return canvas.view(bool)[:: -1 if upside_down else 1, :: -1 if back_to_front else 1]

    def _corners(
        self,
        height: int,
        width: int,
        normal: Float[np.ndarray, "strokes steps"],
        uniform: Float[np.ndarray, "strokes steps+4"],
    ) -> Integer[np.ndarray, "strokes steps+1 2"]:
        """The corners of every stroke as (column, row), each from a start anywhere in the image."""
        low = self.angle - self.angle_spread * uniform[:, :1]
        high = self.angle + self.angle_spread * uniform[:, 1:2]
        angle = low + (high - low) * uniform[:, 4:]
        angle[:, ::2] *= -1
        length = np.clip(self.length + self.length_spread * normal, 0, 2 * self.length) * math.hypot(height, width)
        step = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1)

        last = np.array([width - 1, height - 1], np.float64)
        corners = [last * uniform[:, 2:4]]
        for index in range(normal.shape[1]):
            corners.append(np.minimum(np.maximum(corners[-1] + step[:, index], 0), last))
        return np.rint(np.stack(corners, axis=1)).astype(np.int32)


@final
class MaskFolder(Mask):
    """Masks from image files: each call picks one file of ``root`` (and of the folders in it) at random.

    A file is turned upright by its EXIF tag and to grey (transparency is ignored); its largest central part with the
    proportions that are asked for is resized to the size that is asked for, by nearest neighbour. Then
    ``grey / 255 > threshold`` is white, the rest black. Nearest neighbour copies pixels and mixes none, so the
    threshold may come after the resize, where there are fewer pixels; after an interpolating resize it would move the
    outline of the hole.

    - ``threshold``: in [0, 1); 0 makes everything hole that is not black, as EdgeConnect does.
    - ``hole``: "white" or "black", the colour of the hole in the files.
    - ``dilate``: grows the hole by so many pixels of the resized mask in all eight directions.

    Raises ``ValueError`` when the folder is missing or holds no image, when a file cannot be read, and when a file
    turns out all hole or no hole. Warns once when a file has many grey values, as JPEG masks do.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
    # A clean mask has two grey levels and a palette a few; JPEG rings and soft brushes give dozens.
    many_greys = 16

    def __init__(
        self,
        root: str | os.PathLike[str],
        threshold: Number = 0.5,
        hole: Literal["white", "black"] = "white",
        dilate: int = 0,
    ) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"MaskFolder: threshold must lie in [0, 1), but is {threshold}; 0.5 is halfway to white.")
        if hole not in ("white", "black"):
            raise ValueError(f'MaskFolder: hole must be "white" or "black", the colour of the hole, but is {hole!r}.')
        if dilate < 0:
            raise ValueError(f"MaskFolder: dilate must be 0 or more pixels, but is {dilate}.")
        self.root = Path(root).expanduser()
        self.threshold = float(threshold)
        self.hole = hole
        self.dilate = dilate
        self.names = self._list()
        self._warned = False

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The hole of a file picked at random."""
        file = self.root / self.names[_integer(0, len(self.names) - 1, generator)]
        grey = self._read(file, height, width)
        white = grey > 255 * self.threshold
        hole = white if self.hole == "white" else ~white
        if self.dilate:
            reach = np.ones((2 * self.dilate + 1, 2 * self.dilate + 1), np.uint8)
            hole = cv2.dilate(hole.astype(np.uint8), reach).astype(bool)

        if hole.all() or not hole.any():
            other = "black" if self.hole == "white" else "white"
            raise ValueError(
                f"The mask {file} is {'all hole' if hole.any() else 'no hole'} at {height} x {width} px (hole: "
                f"{self.hole}, threshold {self.threshold}, dilate {self.dilate}; its grey values there run from "
                f"{grey.min()} to {grey.max()} of 255); remove it, set hole to {other}, or change the threshold."
            )
        return hole

    def _list(self) -> list[str]:
        """The names of the image files relative to the root, sorted, so that every machine counts them alike."""
        wanted = f"MaskFolder looks for mask images ({', '.join(self.suffixes)}) in {self.root} and the folders in it"
        if not self.root.is_dir():
            raise ValueError(f"{wanted}, but there is no such folder; set root to the folder that holds your masks.")
        files = (file for file in self.root.rglob("*") if file.suffix.lower() in self.suffixes and file.is_file())
        # Names that begin with a dot are what file managers leave behind, not masks.
        names = sorted(file.relative_to(self.root).as_posix() for file in files if not file.name.startswith("."))
        if not names:
            raise ValueError(f"{wanted}, but found none; put masks there or set root to the folder that holds them.")
        return names

    def _read(self, file: Path, height: int, width: int) -> UInt8[np.ndarray, "{height} {width}"]:
        """The grey values of the file's central part at the size that is asked for."""
        try:
            with Image.open(file) as opened:
                image = _grey(ImageOps.exif_transpose(opened))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(
                f"The mask {file} cannot be read as an image ({error}); repair or remove the file."
            ) from error

        if not self._warned and sum(count > 0 for count in image.histogram()[1:255]) > self.many_greys:
            self._warned = True
            warnings.warn(
                f"The mask {file} has many grey values, as JPEG files and soft brushes have: the outline of its hole "
                f"depends on the threshold ({self.threshold}). Save the masks of {self.root} as two-valued PNG, or "
                "set dilate to cover the rim.",
                stacklevel=2,
            )

        # The largest central part with the wanted proportions: the shapes of the holes are not stretched.
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        box = (left, top, min(left + scale * width, image.width), min(top + scale * height, image.height))
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST, box=box))


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
        return _hole(self.masks[bisect_right(self._bounds, point)](height, width, generator))


@final
class WithHoleRatio(Mask):
    """Redraws another generator until the hole covers a share of the image in (``low``, ``high``].

    Raises ``ValueError`` when a thousand tries do not meet the range.
    """

    tries = 1000

    def __init__(self, mask: Mask, low: Number, high: Number) -> None:
        if not 0 <= low < high <= 1:
            raise ValueError(
                f"WithHoleRatio: the range (low, high] must satisfy 0 <= low < high <= 1, but is ({low}, {high}]."
            )
        self.mask = mask
        self.low = float(low)
        self.high = float(high)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first hole of the other generator whose ratio lies in the range."""
        least, most = 1.0, 0.0
        for _ in range(self.tries):
            hole = _hole(self.mask(height, width, generator))
            ratio = np.count_nonzero(hole) / hole.size
            if self.low < ratio <= self.high:
                return hole
            least, most = min(least, ratio), max(most, ratio)
        raise ValueError(
            f"{type(self.mask).__name__} met no hole ratio in ({self.low:g}, {self.high:g}] at {height} x {width} px: "
            f"{self.tries} tries gave {least:.4f} to {most:.4f}; widen the range or change the mask's parameters."
        )


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """A uniform integer, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator).item())


def _integers(low: int, high: int, uniform: Float[np.ndarray, " n"]) -> Integer[np.ndarray, " n"]:
    """Uniform integers, both ends included, from numbers that are uniform in [0, 1)."""
    return low + np.floor((high - low + 1) * uniform).astype(np.int64)


def _pixels(fraction: float, side: int) -> int:
    """A fraction of a side in whole pixels, at least 1.

    Halves round down, so that half an odd side is EdgeConnect's integer division.
    """
    return max(1, math.ceil(fraction * side - 0.5))


def _rectangle(height: int, width: int, top: int, left: int, rows: int, columns: int) -> Hole:
    """An image that is True inside one rectangle."""
    hole = np.zeros((height, width), bool)
    hole[top : top + rows, left : left + columns] = True
    return hole


def _rectangle_anywhere(height: int, width: int, rows: int, columns: int, generator: torch.Generator) -> Hole:
    """A rectangle of the given sides, at a uniform place inside the image."""
    top = _integer(0, height - rows, generator)
    left = _integer(0, width - columns, generator)
    return _rectangle(height, width, top, left, rows, columns)


def _hole(mask: Float[Tensor, "1 height width"]) -> Bool[np.ndarray, "height width"]:
    """A finished mask back as an array, for the generators that wrap others."""
    return mask[0].bool().numpy()


def _grey(image: Image.Image) -> Image.Image:
    """Any image as 8-bit grey; 16-bit files lose their lower byte, which Pillow would clip at 255 instead."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    return image.convert("L")


def _part(owner: str, name: str, value: Number) -> float:
    """A checked fraction that leaves something over."""
    if not 0 < value < 1:
        raise ValueError(f"{owner}: {name} must lie strictly between 0 and 1, a share of the image, but is {value}.")
    return float(value)


def _fractions(owner: str, name: str, pair: Sequence[Number]) -> tuple[float, float]:
    """A checked (low, high) range of fractions."""
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= 1:
        raise ValueError(
            f"{owner}: {name} must be two fractions of a side with 0 < low <= high <= 1 (96 of 256 px is 0.375), "
            f"but is {list(pair)}."
        )
    return float(pair[0]), float(pair[1])


def _counts(owner: str, name: str, pair: Sequence[int]) -> tuple[int, int]:
    """A checked (low, high) range of counts."""
    whole = all(isinstance(count, int) for count in pair)
    if len(pair) != 2 or not whole or not 1 <= pair[0] <= pair[1]:
        raise ValueError(f"{owner}: {name} must be two whole numbers with 1 <= low <= high, but is {list(pair)}.")
    return pair[0], pair[1]
