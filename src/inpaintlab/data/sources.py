"""Where pictures come from: the interface of all sources, the bundled photographs, and generated scenes."""

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import skimage
import torch
from PIL import Image, ImageDraw, ImageOps

from inpaintlab.data.order import Order, Part, Positions
from inpaintlab.data.pictures import read_rgb
from inpaintlab.imaging import MAX_PIXELS, picture_bytes
from inpaintlab.randomness import sample_generator

SPLITS = ("train", "val", "test")


Known = tuple[int, str]
"""Bytes and hash of a file."""


Watch = Callable[[int, int], None]
"""A progress callback, called with the number of parts done and the number of all parts."""


def unwatched(done: int, total: int) -> None:
    """A progress callback that ignores the progress."""


Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; as in Pillow, right and bottom lie just outside the box."""


def require_chosen(settings: Mapping[str, Any], what: str) -> None:
    """Check that the settings say which pictures are meant; a default would be taken for the user's own.

    Args:
        settings: of a command, with the group ``data``.
        what: the pictures are for, such as "examined".

    Raises:
        ValueError: they do not.
    """
    if not settings.get("data"):
        raise ValueError(
            f"Say which pictures are to be {what}: data=folder data.root=PHOTOS, data=shards data.root=DIR, or "
            "data=photos for those inside scikit-image."
        )


class Source(ABC):
    """A set of pictures in the splits train, val and test; each item's name is unique in its split."""

    max_pixels: int = MAX_PIXELS

    @abstractmethod
    def names(self, split: str) -> list[str]:
        """The names of a split's items, in a fixed order.

        Raises:
            ValueError: there are none; the message says what was looked for.
        """

    @abstractmethod
    def read(self, split: str, name: str) -> Image.Image:
        """One item as an 8-bit RGB picture.

        Raises:
            ValueError: it cannot be read; the message names the file.
        """

    @abstractmethod
    def sha256(self, split: str, name: str) -> str:
        """A hash that identifies the item: over the file's bytes, over bytes and box of a tile, or over pixels."""

    def edges(self, split: str, name: str) -> Image.Image | None:
        """The item's edge map from a file (mode L); None if this source has no edge files."""
        return None

    def edges_sha256(self, split: str, name: str) -> str | None:
        """A hash over the item's edge map, by default over its pixels; None if this source has no edge files.

        Raises:
            ValueError: it has, but none for this item.
        """
        edges = self.edges(split, name)
        return None if edges is None else hashlib.sha256(f"{edges.size}".encode() + edges.tobytes()).hexdigest()

    def count(self, split: str) -> int:
        """How many items a split has."""
        return len(self.names(split))

    def at(self, split: str, index: int, shortest_edge: int | None = None) -> tuple[str, Image.Image]:
        """Name and picture of an item.

        Args:
            split: train, val or test.
            index: from 0, in the order of the split.
            shortest_edge: see `read_rgb`; sources may ignore it.
        """
        name = self.names(split)[index]
        return name, self.read(split, name)

    def edges_at(self, split: str, index: int) -> Image.Image | None:
        """The edge map of the item at ``index``, as `edges` returns it."""
        return self.edges(split, self.names(split)[index])

    def order(self, split: str, part: Part) -> Order:
        """The order in which training reads the items of a split."""
        return Positions(self.count(split), part)

    def some(self, split: str, most: int, seed: int) -> list[int]:
        """Indices of up to ``most`` items that represent the split; ``seed`` decides a random choice."""
        return torch.randperm(self.count(split), generator=sample_generator("mean pixel", seed))[:most].tolist()

    def files(self, split: str) -> list[Path]:
        """The files of a split's pictures; empty if the pictures are generated."""
        return []

    def inventory(self, split: str) -> dict[str, list[tuple[str, Path | Known]]]:
        """The files of a split by their names, of ``pictures`` and, if there are any, of ``edge maps``.

        Names do not depend on where the files lie. Bytes and hash stand for a file that has them written down. Empty if
        the settings of the source say all.
        """
        return {}

    def readable(self, split: str) -> list[str]:
        """The names, also where a part of the split cannot be read, which `faults` tells and `names` refuses."""
        return self.names(split)

    def faults(self, split: str) -> tuple[str, ...]:
        """A sentence for each part of a split that cannot be read; `names` raises where there are any."""
        return ()

    def left_out(self, split: str) -> str | None:
        """A sentence about files beside the split's pictures that are no pictures; None if there are none."""
        return None


@final
class Photos(Source):
    """The colour photographs inside scikit-image, which need no download; split by photograph.

    Training items are whole photographs. Validation and test items are square tiles of photographs that training never
    sees, so that few photographs give enough items for a demonstration. Neighbouring tiles overlap, so scores on them
    are no benchmark.
    """

    side = 200
    """Side of a tile in pixels."""

    train = (
        "astronaut.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",  # left and right are one scene from two cameras: they stay in one split
        "motorcycle_right.png",
        "retina.jpg",
    )
    grids = {  # noqa: RUF012  # rows and columns of tiles, spread evenly from edge to edge
        "val": {"rocket.jpg": (3, 4)},
        "test": {"chelsea.png": (2, 4), "coffee.png": (3, 5)},
    }

    def names(self, split: str) -> list[str]:
        """Photographs have the names of their files, tiles names such as ``coffee_r0_c1`` (row and column from 0)."""
        require_split(split)
        if split == "train":
            return [Path(file).stem for file in self.train]
        return [
            f"{Path(file).stem}_r{row}_c{column}"
            for file, (rows, columns) in self.grids[split].items()
            for row in range(rows)
            for column in range(columns)
        ]

    def read(self, split: str, name: str) -> Image.Image:
        """A whole photograph (train) or a tile of ``side`` x ``side`` pixels (val, test)."""
        file, box = self._item(split, name)
        return _photo(file).crop(box) if box else _photo(file).copy()

    def sha256(self, split: str, name: str) -> str:
        """Hash over the photograph's file and the box of the tile."""
        file, box = self._item(split, name)
        return picture_sha256(picture_bytes(_bundled(file)), box)

    def files(self, split: str) -> list[Path]:
        """The photographs of a split, each once."""
        require_split(split)
        return [_bundled(file) for file in (self.train if split == "train" else self.grids[split])]

    def _item(self, split: str, name: str) -> tuple[str, Box | None]:
        if name not in self.names(split):
            raise ValueError(f"The bundled photographs have no '{name}' in the split '{split}'.")
        if split == "train":
            return next(file for file in self.train if Path(file).stem == name), None
        stem, row, column = name.rsplit("_", 2)
        file, (rows, columns) = next(item for item in self.grids[split].items() if Path(item[0]).stem == stem)
        width, height = _photo(file).size
        left = round(int(column[1:]) * (width - self.side) / (columns - 1))
        top = round(int(row[1:]) * (height - self.side) / (rows - 1))
        return file, (left, top, left + self.side, top + self.side)


@functools.cache
def _photo(file: str) -> Image.Image:
    return read_rgb(_bundled(file))


def _bundled(file: str) -> Path:
    path = Path(skimage.__file__).parent / "data" / file
    if not path.is_file():
        raise ValueError(f"The installed scikit-image does not carry {path}; install scikit-image 0.25 or newer.")
    return path


def require_split(split: str) -> None:
    """Check the name of a split.

    Raises:
        ValueError: it is not one of `SPLITS`.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split '{split}'; it is one of {', '.join(SPLITS)}.")


@final
class Toy(Source):
    """Generated scenes for tests: a gradient, stripes and polygons, the same for a name on every machine.

    Args:
        count: items in each split.
        size: side of the square pictures in pixels.
    """

    def __init__(self, count: int, size: int) -> None:
        if count < 1 or size < 1:
            raise ValueError(f"Toy makes no pictures: its count is {count} and its size {size}; give positive numbers.")
        self.scenes = count
        self.size = size

    def names(self, split: str) -> list[str]:
        """``train_0000`` and so on."""
        require_split(split)
        return [f"{split}_{item:04d}" for item in range(self.scenes)]

    def read(self, split: str, name: str) -> Image.Image:
        """Draw the scene; everything in it follows from the name and the size."""
        if name not in self.names(split):
            raise ValueError(f"The toy pictures have no '{name}' in the split '{split}'.")
        numbers = torch.rand(40, generator=sample_generator("toy", name)).tolist()
        colour = [tuple(int(255 * value) for value in numbers[start : start + 3]) for start in range(0, 15, 3)]
        corners = [value * self.size for value in numbers[15:33]]
        ramp = Image.linear_gradient("L").resize((self.size, self.size)).rotate(90 * int(numbers[33] * 4))
        scene = ImageOps.colorize(ramp, black=colour[0], white=colour[1])
        draw = ImageDraw.Draw(scene)
        period = max(2, round(self.size * (0.05 + 0.1 * numbers[34])))
        for left in range(0, self.size // 2, 2 * period):
            draw.rectangle((left, self.size // 2, left + period - 1, self.size), fill=colour[2])
        draw.polygon(corners[:6], fill=colour[3])
        draw.polygon(corners[6:14], fill=colour[4])
        return scene

    def sha256(self, split: str, name: str) -> str:
        """Hash over the pixels."""
        return picture_sha256(self.read(split, name).tobytes())


def picture_sha256(content: bytes, box: Box | None = None) -> str:
    """Hash over a picture's bytes and, for a tile, its box."""
    return hashlib.sha256(content + (str(box).encode() if box else b"")).hexdigest()
