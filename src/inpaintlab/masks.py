"""Mask generators: one small class per family of holes.

Every generator is called as ``mask(height, width, generator)`` and answers a float32 tensor of shape (1, height, width)
with values exactly 0 and 1, where 1 is the hole. All randomness comes from the ``torch.Generator`` that is handed in,
so the same generator state gives the same hole on every machine. Sizes are fractions of the image's sides, so that one
configuration serves every resolution. Generators are plain picklable objects, ready for loader workers.
"""

import hashlib
import json
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from inpaintlab.catmull_rom import catmull_rom
from inpaintlab.mask_settings import Number, checked_counts, checked_fractions, checked_ratios, checked_share

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
        self.height = checked_fractions("Rectangle", "height", height)
        self.width = checked_fractions("Rectangle", "width", width)

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
        self.fraction = checked_share("Block", "fraction", fraction)

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
        self.fraction = checked_share("Center", "fraction", fraction)

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
        self.strokes = checked_counts("Strokes", "strokes", strokes)
        self.vertices = checked_counts("Strokes", "vertices", vertices)
        self.angle = math.radians(angle)
        self.angle_spread = math.radians(angle_spread)
        self.length = checked_share("Strokes", "length", length)
        self.length_spread = float(length_spread)
        self.width = checked_fractions("Strokes", "width", width)
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
class RandomRegion(Mask):
    """Blobs all over the image: the random region of Context Encoder (Pathak et al. 2016, as its release draws it).

    A pattern of noise, one uniform number in [0, 1] a cell, is interpolated by the cubic of Catmull and Rom; the hole
    is where it lies below ``level``. Windows of the pattern are redrawn until one is covered as asked. The free-form
    model that the authors of GLCIC released in 2020 was trained on holes from part of that code.

    - ``cell``: a cell's side as a fraction of the image's shorter side; it is at least one pixel.
    - ``level``: between 0 and 1; higher levels cover more.
    - ``coverage``: the hole's share of the image, in (low, high].

    The release cuts all windows from one pattern of 10,000 x 10,000 px, 400 MB in float32. The cells of a pattern are
    independent, so a window that draws only its own cells and where in the first it begins has the same distribution.
    """

    # So many windows are drawn at once, as a call into torch costs more than a window's numbers.
    windows = 12
    # How far the coverage that a sparse look sees may lie outside the range: four times its largest standard error.
    margin = 0.01

    def __init__(self, cell: Number, level: Number, coverage: Sequence[Number]) -> None:
        self.cell = checked_share("RandomRegion", "cell", cell)
        if not 0 < level < 1:
            raise ValueError(f"RandomRegion: level must lie strictly between 0 and 1, as the noise, but is {level}.")
        self.level = float(level)
        self.coverage = checked_ratios("RandomRegion", coverage)

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first window that is covered as asked; raises ``ValueError`` when a thousand are not."""
        holes = islice(self._candidates(height, width, generator), WithHoleRatio.tries)
        return _first_within("RandomRegion", holes, self.coverage)

    def _candidates(self, height: int, width: int, generator: torch.Generator) -> Iterator[Hole]:
        """Windows whose coverage a sparse look puts into the range or near it; without any, the nearest of a batch.

        With the settings of the paper one window in 14 is covered as asked, and most can be told by a few pixels.
        """
        shorter = min(height, width)
        cell = max(1.0, self.cell * shorter)
        step = max(1, int(min(cell / 3, shorter / 48)))
        # A pixel is made of the cell that it lies behind, one before it and two after; the offset may add another cell.
        cells = [int((side - 1) / cell) + 5 for side in (height, width)]
        low, high = self.coverage
        while True:
            offset = torch.rand(self.windows, 2, generator=generator, dtype=torch.float64).numpy()
            noise = torch.rand(self.windows, *cells, generator=generator).double()
            look = self._below(noise, offset, height, width, cell, step).numpy().mean((1, 2))
            excess = np.abs(look - look.clip(low - self.margin, high + self.margin))
            for index in np.flatnonzero(excess == excess.min()):
                window = slice(index, index + 1)
                yield self._below(noise[window], offset[window], height, width, cell, 1)[0].numpy()

    def _below(
        self,
        noise: Float[Tensor, "windows rows columns"],
        offset: Float[np.ndarray, "windows 2"],
        height: int,
        width: int,
        cell: float,
        step: int,
    ) -> Bool[Tensor, "windows down right"]:
        """Where the interpolated noise is below the level, at every ``step``-th pixel of each window."""
        down = catmull_rom(offset[:, 0], height, cell, step, noise.shape[1])
        right = catmull_rom(offset[:, 1], width, cell, step, noise.shape[2])
        return down @ noise @ right.mT < self.level


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
        self.mask = mask
        self.low, self.high = checked_ratios("WithHoleRatio", (low, high))

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The first hole of the other generator whose ratio lies in the range."""
        holes = (_hole(self.mask(height, width, generator)) for _ in range(self.tries))
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
