"""Pictures on disk: a folder or a list for each split."""

import difflib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import final

from PIL import Image

from inpaintlab.data.pictures import read_rgb
from inpaintlab.data.sources import Known, Source, require_split
from inpaintlab.imaging import ENDINGS, MAX_PIXELS, Pictures, find_pictures, on_disk
from inpaintlab.machine import file_sha256


@final
class Folder(Source):
    """Pictures on disk: each split is a folder below ``root``, or a text file that lists pictures.

    A folder is searched as `inpaintlab.imaging.find_pictures` says; an item's name is its path in that folder. A list
    has one path per line, relative to ``root`` or absolute; an item's name is that path. A name is also found where the
    disk has it in another Unicode form.

    The constructor does not touch the disk. The methods raise a ValueError for a missing folder, an empty one, one that
    can be read in part only, or splits inside one another; it says what was looked for.

    Args:
        root: the folder that holds the splits.
        train: folder or list file, relative to ``root``; likewise ``val`` and ``test``.
        val: see ``train``.
        test: see ``train``.
        edges: a folder with the same structure as ``root`` that holds an edge map for each picture: the same path with
            the ending ``.png``, the same size. White is edge, grey is a soft edge.
        max_pixels: a picture with more pixels than this is refused before it is decoded.
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
        self._found: dict[str, Pictures] = {}
        self._names: dict[str, list[str]] = {}
        self._places: dict[str, Path] = {}

    def names(self, split: str) -> list[str]:
        """Paths in the split's folder with forward slashes, or the lines of its list; read from the disk once."""
        names = self.readable(split)
        if split in self._found:
            self._found[split].require_sound()
        return names

    def readable(self, split: str) -> list[str]:
        """The names, also of a folder that can be read in part only; see `faults`."""
        require_split(split)
        if split not in self._names:
            place = self._place(split)
            self._names[split] = self._listed(place) if place.is_file() else self._searched(split, place)
        return self._names[split]

    def faults(self, split: str) -> tuple[str, ...]:
        """A sentence for each folder and each name of the split that cannot be read."""
        self.readable(split)
        return self._found[split].faults if split in self._found else ()

    def left_out(self, split: str) -> str | None:
        """A sentence about the files of the split's folder that have no picture's ending."""
        self.readable(split)
        return self._found[split].left_out() if split in self._found else None

    def read(self, split: str, name: str) -> Image.Image:
        """The picture as 8-bit RGB (see `read_rgb`)."""
        return read_rgb(self._path(split, name), self.max_pixels)

    def at(self, split: str, index: int, shortest_edge: int | None = None) -> tuple[str, Image.Image]:
        """Name and picture of the item at ``index`` in the order of the names."""
        name = self.names(split)[index]
        return name, read_rgb(self._path(split, name), self.max_pixels, shortest_edge=shortest_edge)

    def sha256(self, split: str, name: str) -> str:
        """Hash over the file's bytes."""
        return file_sha256(self._path(split, name))

    def files(self, split: str) -> list[Path]:
        """The files of a split, in the order of their names."""
        return [self._path(split, name) for name in self.readable(split)]

    def inventory(self, split: str) -> dict[str, list[tuple[str, Path | Known]]]:
        """The pictures of a split by their names, and their edge maps; a name below the root is relative to it."""
        files: list[tuple[str, Path]] = []
        for name in self.names(split):
            path = self._path(split, name)
            below = Path(name).is_absolute() and path.is_relative_to(self.root)
            files.append((path.relative_to(self.root).as_posix() if below else name, path))
        found: dict[str, list[tuple[str, Path | Known]]] = {"pictures": [*files]}
        if self.edge_root is not None:
            maps = (self.edges_path(split, name) for name in self.names(split))
            found["edge maps"] = [(name, path) for (name, _), path in zip(files, maps, strict=True) if path is not None]
        return found

    def edges(self, split: str, name: str) -> Image.Image | None:
        """The edge map of an item (mode L); None if this folder has no edge maps.

        Raises:
            ValueError: the folder has edge maps, but none for this item, or it cannot be read.
        """
        path = self.edges_path(split, name)
        return None if path is None else read_rgb(path, self.max_pixels).convert("L")

    def edges_sha256(self, split: str, name: str) -> str | None:
        """Hash over the file's bytes; None if this folder has no edge maps."""
        path = self.edges_path(split, name)
        return None if path is None else file_sha256(path)

    def edges_path(self, split: str, name: str) -> Path | None:
        """The file that holds an item's edge map; None if this folder has no edge maps.

        Raises:
            ValueError: the folder has edge maps, but none for this item.
        """
        if self.edge_root is None:
            return None
        path = self._path(split, name)
        if not path.is_relative_to(self.root):
            raise ValueError(
                f"{path} lies outside data.root={self.root}, so it has no edge map under {self.edge_root}; "
                "list pictures below the root, or leave data.source.edges out."
            )
        map_path = on_disk(self.edge_root, path.relative_to(self.root).with_suffix(".png").as_posix())
        if not map_path.exists():
            raise ValueError(
                f"The edge map of {path} was looked for at {map_path}, which does not exist; make it, or leave "
                "data.source.edges out."
            )
        return map_path

    def _path(self, split: str, name: str) -> Path:
        place = self._place(split)
        return on_disk(self.root if place.is_file() else place, name)

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
        if place.is_dir():
            self._refuse_overlap(split, place, lambda other: other.is_relative_to(place.resolve()))
        return place

    def _refuse_overlap(self, split: str, place: Path, is_part: Callable[[Path], bool]) -> None:
        for other, name in self.places.items():
            elsewhere = (self.root / name).resolve()
            if other != split and elsewhere.exists() and is_part(elsewhere):
                raise ValueError(
                    f"The split '{other}' ({elsewhere}) is part of the split '{split}' ({place}), so '{split}' would "
                    f"contain its images; set data.source.{split} or data.source.{other} to a separate folder or list."
                )

    def _searched(self, split: str, place: Path) -> list[str]:
        found = self._found[split] = find_pictures(place)
        if not found.names and not found.faults:
            raise ValueError(
                f"{place} holds no image ending in {', '.join(ENDINGS)} (and {found.others.total()} other files); put "
                "images there or set data.source to where they are."
            )
        self._refuse_overlap(split, place, lambda other: str(other) in found.folders)  # behind a link
        return list(found.names)

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
        return sorted(names)


def _near(path: Path) -> str:
    """A hint that names entries beside a missing path with similar names; empty if there are none."""
    present = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    alike = difflib.get_close_matches(path.name, present, n=3, cutoff=0.5)
    alike += [name for name in sorted(present) if name.lower().startswith(path.name.lower()) and name not in alike]
    return f" (did you mean {' or '.join(alike[:3])}?)" if alike else ""
