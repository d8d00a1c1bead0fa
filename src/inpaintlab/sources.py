"""Where pictures come from: the bundled photographs, a folder, generated scenes."""

import difflib
import functools
import hashlib
import os
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import final

import skimage
import torch
from PIL import Image, ImageDraw, ImageOps

from inpaintlab.masks import sample_generator
from inpaintlab.order import Order, Part, Positions
from inpaintlab.pictures import MAX_PIXELS, read_rgb

SPLITS = ("train", "val", "test")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are not part of the box, as in Pillow."""


class Source(ABC):
    """A set of pictures in the splits train, val and test, each item with a name that is unique in its split."""

    max_pixels: int = MAX_PIXELS

    @abstractmethod
    def names(self, split: str) -> list[str]:
        """The items of a split, sorted. Raises a ValueError when there are none, with what was looked for."""

    @abstractmethod
    def read(self, split: str, name: str) -> Image.Image:
        """One item as an 8-bit RGB picture. Raises a ValueError that names the file when it cannot be read."""

    @abstractmethod
    def sha256(self, split: str, name: str) -> str:
        """What the item is: a hash over the file's bytes, over the bytes and the box of a tile, or over pixels."""

    def edges(self, split: str, name: str) -> Image.Image | None:
        """The item's edge map from a file (mode L), or None where this source has no edge files."""
        return None

    def count(self, split: str) -> int:
        """How many items a split has."""
        return len(self.names(split))

    def at(self, split: str, index: int, shortest_edge: int | None = None) -> tuple[str, Image.Image]:
        """Name and picture at a place of a split; ``shortest_edge`` as of `read_rgb`, where it can be of use."""
        name = self.names(split)[index]
        return name, self.read(split, name)

    def edges_at(self, split: str, index: int) -> Image.Image | None:
        """The edge map at a place of a split, as `edges` gives it."""
        return self.edges(split, self.names(split)[index])

    def order(self, split: str, part: Part) -> Order:
        """The order in which training takes the items of a split."""
        return Positions(self.count(split), part)

    def some(self, split: str, most: int, seed: int) -> list[int]:
        """Places of up to ``most`` items that stand for all."""
        return torch.randperm(self.count(split), generator=sample_generator("mean pixel", seed))[:most].tolist()

    def files(self, split: str) -> list[Path]:
        """The files behind a split; empty when its pictures are generated."""
        return []


@final
class Photos(Source):
    """The colour photographs inside scikit-image, which need no download; split by photograph.

    Training items are whole photographs. Validation and test items are square tiles of photographs that training never
    sees, so that few pictures give enough items for a demonstration. Neighbouring tiles overlap: differences between
    methods on them show the machinery, they are no benchmark.
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
        """Whole photographs are called like their file, tiles like ``coffee_r0_c1`` (row and column from 0)."""
        _known(split)
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
        return _sha256(_bundled(file).read_bytes(), box)

    def files(self, split: str) -> list[Path]:
        """The photographs of a split, each once."""
        _known(split)
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


@final
class Folder(Source):
    """Pictures on disk: each split is a folder below ``root``, or a text file that lists pictures.

    A folder is searched with everything below it, without files and folders whose names start with a dot; an item's
    name is its path in that folder. A list has one path per line, relative to ``root`` or absolute; an item's name is
    that path. The endings in `ENDINGS` are found in upper and lower case.

    Args:
        root: the folder that holds the splits.
        train: folder or list file, relative to ``root``; likewise ``val`` and ``test``.
        val: see ``train``.
        test: see ``train``.
        edges: a folder laid out like ``root`` that holds an edge map for each picture, under the same path with the
            ending ``.png`` and in the same size. White is edge, grey is a soft edge.
        max_pixels: a picture with more pixels than this is refused before it is decoded.

    The disk is not touched before the first question. Then a missing folder, an empty one, or splits inside one another
    raise a ValueError that says what was looked for.
    """

    def __init__(
        self,
        root: str,
        train: str = "train",
        val: str = "val",
        test: str = "test",
        edges: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.root = Path(root).expanduser().absolute()
        self.places = {"train": train, "val": val, "test": test}
        self.edge_root = Path(edges).expanduser().absolute() if edges else None
        self.max_pixels = max_pixels
        self._names: dict[str, list[str]] = {}
        self._places: dict[str, Path] = {}

    def names(self, split: str) -> list[str]:
        """Paths in the split's folder with forward slashes, or the lines of its list; read from the disk once."""
        _known(split)
        if split not in self._names:
            place = self._place(split)
            self._names[split] = sorted(self._listed(place) if place.is_file() else self._found(place))
        return self._names[split]

    def read(self, split: str, name: str) -> Image.Image:
        """The picture, converted as `read_rgb` says."""
        return read_rgb(self._path(split, name), self.max_pixels)

    def at(self, split: str, index: int, shortest_edge: int | None = None) -> tuple[str, Image.Image]:
        """Name and picture at a place in the order of the names."""
        name = self.names(split)[index]
        return name, read_rgb(self._path(split, name), self.max_pixels, shortest_edge=shortest_edge)

    def sha256(self, split: str, name: str) -> str:
        """Hash over the file's bytes."""
        return _sha256(self._path(split, name).read_bytes())

    def files(self, split: str) -> list[Path]:
        """The files of a split, in the order of their names."""
        return [self._path(split, name) for name in self.names(split)]

    def edges(self, split: str, name: str) -> Image.Image | None:
        """The edge map under ``edges``. Raises a ValueError when there should be one and it is not there."""
        path = self.edges_path(split, name)
        return None if path is None else read_rgb(path, self.max_pixels).convert("L")

    def edges_path(self, split: str, name: str) -> Path | None:
        """The file of `edges`; None where this folder has no edge maps. Raises a ValueError as `edges` does."""
        if self.edge_root is None:
            return None
        path = self._path(split, name)
        if not path.is_relative_to(self.root):
            raise ValueError(
                f"{path} lies outside data.root={self.root}, so it has no edge map under {self.edge_root}; "
                "list pictures below the root, or leave data.source.edges out."
            )
        map_path = (self.edge_root / path.relative_to(self.root)).with_suffix(".png")
        if not map_path.is_file():
            raise ValueError(
                f"The edge map of {path} was looked for at {map_path}, which does not exist; make it, or leave "
                "data.source.edges out."
            )
        return map_path

    def _path(self, split: str, name: str) -> Path:
        place = self._place(split)
        return (self.root if place.is_file() else place) / name

    def _place(self, split: str) -> Path:
        if split not in self._places:
            self._places[split] = self._checked_place(split)
        return self._places[split]

    def _checked_place(self, split: str) -> Path:
        place = (self.root / self.places[split]).absolute()
        if not self.root.is_dir():
            raise ValueError(
                f"data.root={self.root} is not a folder{_near(self.root)}; set data.root to the folder "
                f"that holds {', '.join(self.places.values())}."
            )
        if not place.exists():
            here = sum(path.suffix.lower() in ENDINGS for path in self.root.iterdir())
            direct = f" {self.root} itself holds {here} images: move them there or set data.source.{split}=." * (
                here > 0
            )
            raise ValueError(
                f"The split '{split}' was looked for at {place}, which does not exist{_near(place)}; set "
                f"data.source.{split} to a folder below {self.root} or to a text file that lists images.{direct}"
            )
        self._refuse_overlap(split, place)
        return place

    def _refuse_overlap(self, split: str, place: Path) -> None:
        for other, name in self.places.items():
            elsewhere = (self.root / name).resolve()
            if other != split and place.is_dir() and elsewhere.exists() and elsewhere.is_relative_to(place.resolve()):
                raise ValueError(
                    f"The split '{other}' ({elsewhere}) is part of the split '{split}' ({place}), so '{split}' would "
                    f"contain its images; set data.source.{split} or data.source.{other} to a separate folder or list."
                )

    def _found(self, place: Path) -> list[str]:
        names, others = [], 0
        for folder, below, files in os.walk(place, followlinks=True):
            below[:] = [name for name in below if not name.startswith(".")]
            images = [file for file in files if file.lower().endswith(ENDINGS) and not file.startswith(".")]
            names += [(Path(folder) / file).relative_to(place).as_posix() for file in images]
            others += len(files) - len(images)
        if not names:
            raise ValueError(
                f"{place} holds no image ending in {', '.join(ENDINGS)} (and {others} other files); put images there "
                "or set data.source to where they are."
            )
        return names

    def _listed(self, file: Path) -> list[str]:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file} is not a text file in UTF-8; a split is a folder or a list with one path per line."
            ) from error
        names = [PurePosixPath(line).as_posix() for line in lines if line]
        if not names:
            raise ValueError(f"The list {file} is empty; write one image path per line, relative to {self.root}.")
        twice = next(
            (name for name, following in zip(sorted(names), sorted(names)[1:], strict=False) if name == following), None
        )
        if twice:
            raise ValueError(f"The list {file} names {twice} more than once; keep one line of each.")
        return names


def _near(path: Path) -> str:
    """A hint at entries beside a missing path that are called almost like it; empty where there are none."""
    present = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    alike = difflib.get_close_matches(path.name, present, n=3, cutoff=0.5)
    alike += [name for name in sorted(present) if name.lower().startswith(path.name.lower()) and name not in alike]
    return f" (did you mean {' or '.join(alike[:3])}?)" if alike else ""


def _known(split: str) -> None:
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
            raise ValueError(f"Toy(count={count}, size={size}) makes no pictures; give positive numbers.")
        self.scenes = count
        self.size = size

    def names(self, split: str) -> list[str]:
        """``train_0000`` and so on."""
        _known(split)
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
        return _sha256(self.read(split, name).tobytes())


def _sha256(content: bytes, box: Box | None = None) -> str:
    return hashlib.sha256(content + (str(box).encode() if box else b"")).hexdigest()
