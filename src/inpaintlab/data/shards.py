"""Pictures packed into tar files (webdataset's shards), on disk or behind a URL.

A folder of shards holds ``shards.json``, which lists the shards of each split. Each shard ``<name>.tar`` has an index
``<name>.json`` that says where each picture lies in it, so one picture can be read without the others. A shard behind a
URL is downloaded whole and then read like one on disk: order, batches and resumed runs are the same for both.
"""

import functools
import hashlib
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, final

from PIL import Image

from inpaintlab.data.order import Order, Part, ShardPositions
from inpaintlab.data.pictures import read_rgb
from inpaintlab.data.shard_lists import LIST, Packed, Shard, parse_index, parse_list
from inpaintlab.data.sources import Known, Source, require_split
from inpaintlab.imaging import MAX_PIXELS
from inpaintlab.machine import Storage

MOST = 64
"""The most shards that training can mix at a time: each process keeps one index per shard in memory."""


@functools.lru_cache(maxsize=MOST)  # a shard's index takes some hundred kilobytes
def _index(path: Path, sha256: str) -> tuple[Packed, ...]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} is not the index that {LIST} promises; write the shards again.")
    return parse_index(content, str(path)).items


def _part(file: BinaryIO, packed: Packed, place: str) -> bytes:
    if packed.offset + packed.bytes > os.fstat(file.fileno()).st_size:  # an index may ask for any number of bytes
        raise ValueError(f"{place} ends before its picture {packed.name}; write the shards again.")
    file.seek(packed.offset)
    return file.read(packed.bytes)


@final
class Shards(Source):
    """Pictures in shards, as ``inpaintlab shard`` writes them.

    Training reads pictures by their index (`at`), so that no process holds millions of names. A manifest reads them by
    name: the name that a picture had in the folder that was packed. The constructor reads nothing.

    Args:
        root: the folder with ``shards.json``, or its URL.
        window: shards that training mixes at a time (see `inpaintlab.data.ShardPositions`). Behind a URL, this machine
            needs room for about twice as many shards for each process.
        max_pixels: a picture with more pixels than this is refused before it is decoded.

    Raises:
        ValueError: ``window`` is not between 1 and 64.
    """

    def __init__(self, root: str, window: int = 16, max_pixels: int = MAX_PIXELS) -> None:
        if not 1 <= window <= MOST:
            raise ValueError(f"data.source.window={window} shards cannot be mixed; give a number from 1 to {MOST}.")
        self.storage = Storage(root)
        self.window = window
        self.max_pixels = max_pixels
        self._shards: dict[str, list[Shard]] | None = None
        self._places: dict[str, dict[str, int]] = {}
        self._ends: dict[str, list[int]] = {}

    def shards(self, split: str) -> list[Shard]:
        """The shards of a split.

        Raises:
            ValueError: no such split, no pictures in it, or ``shards.json`` is missing or damaged.
        """
        require_split(split)
        if self._shards is None:
            self._shards = parse_list(self.storage.read(LIST), self.storage.place(LIST))
        if not sum(shard.pictures for shard in self._shards.get(split, [])):
            raise ValueError(f"{self.storage.place(LIST)} lists no pictures in the split '{split}'; pack them first.")
        return self._shards[split]

    def count(self, split: str) -> int:
        """How many pictures a split has, from the list of shards alone."""
        return self._ends_of(split)[-1]

    def at(self, split: str, index: int, shortest_edge: int | None = None) -> tuple[str, Image.Image]:
        """Name and picture at ``index``, which counts through the shards in their order."""
        shard, packed = self._locate(split, index)
        return packed.name, self._decode(shard, packed, shortest_edge)

    def edges_at(self, split: str, index: int) -> Image.Image | None:
        """The edge map of the picture at ``index`` (mode L); None if it was packed without one."""
        return self._edges(*self._locate(split, index))

    def order(self, split: str, part: Part) -> Order:
        """An order that reads ``window`` shards at a time, and fetches the next ones in the background."""
        return ShardPositions([shard.pictures for shard in self.shards(split)], self.window, part, self.prefetch)

    def some(self, split: str, most: int, seed: int) -> list[int]:
        """The first pictures: packing has shuffled them, and a random choice would need many more shards."""
        return list(range(min(most, self.count(split))))

    def content(self, split: str, index: int) -> bytes:
        """The bytes of the picture at ``index``, as stored in the shard."""
        return self._bytes(*self._locate(split, index))

    def inventory(self, split: str) -> dict[str, list[tuple[str, Path | Known]]]:
        """The shards of a split, with the hashes that ``shards.json`` has of them."""
        return {"pictures": [(shard.file, (shard.bytes, shard.sha256)) for shard in self.shards(split)]}

    def names(self, split: str) -> list[str]:
        """The names of all pictures in the order of the shards; reads every index."""
        return list(self._places_of(split))

    def read(self, split: str, name: str) -> Image.Image:
        """The picture as 8-bit RGB (see `read_rgb`)."""
        return self._decode(*self._locate(split, self._place(split, name)))

    def edges(self, split: str, name: str) -> Image.Image | None:
        """The picture's edge map (mode L); None if it was packed without one."""
        return self._edges(*self._locate(split, self._place(split, name)))

    def edges_sha256(self, split: str, name: str) -> str | None:
        """Hash over the bytes of the edge map as stored in the shard; None if it was packed without one."""
        shard, packed = self._locate(split, self._place(split, name))
        return None if packed.edges is None else hashlib.sha256(self._bytes(shard, packed.edges)).hexdigest()

    def sha256(self, split: str, name: str) -> str:
        """Hash over the bytes of the picture as stored in the shard."""
        return hashlib.sha256(self._bytes(*self._locate(split, self._place(split, name)))).hexdigest()

    def prefetch(self, shards: Sequence[int]) -> None:
        """Start to download shards of the training split in the background, if they are behind a URL.

        A failure raises nothing here: the error appears when a picture of the shard is read.
        """
        if self.storage.remote:
            threading.Thread(target=self._download, args=(list(shards),), daemon=True).start()

    def _download(self, shards: list[int]) -> None:
        for number in shards:
            shard = self.shards("train")[number]
            try:
                self.storage.path(shard.file, shard.sha256)
            except ValueError:
                return

    def _ends_of(self, split: str) -> list[int]:
        if split not in self._ends:
            self._ends[split] = list(accumulate(shard.pictures for shard in self.shards(split)))
        return self._ends[split]

    def _locate(self, split: str, index: int) -> tuple[Shard, Packed]:
        ends = self._ends_of(split)
        if not 0 <= index < ends[-1]:
            raise IndexError(f"the split '{split}' has {ends[-1]} pictures, no {index}")
        number = bisect_right(ends, index)
        shard = self.shards(split)[number]
        items = self._items(shard)
        if len(items) != shard.pictures:
            raise ValueError(
                f"{self.storage.place(shard.index_file)} has {len(items)} pictures, {LIST} {shard.pictures}."
            )
        return shard, items[index - (ends[number - 1] if number else 0)]

    def _items(self, shard: Shard) -> tuple[Packed, ...]:
        try:
            return _index(self.storage.path(shard.index_file, shard.index_sha256), shard.index_sha256)
        except FileNotFoundError as error:
            raise ValueError(
                f"{self.storage.place(shard.index_file)} does not exist; write the shards again."
            ) from error

    def _place(self, split: str, name: str) -> int:
        try:
            return self._places_of(split)[name]
        except KeyError:
            raise ValueError(f"{self.storage.root} has no picture '{name}' in the split '{split}'.") from None

    def _places_of(self, split: str) -> dict[str, int]:
        if split not in self._places:
            names = [packed.name for shard in self.shards(split) for packed in self._items(shard)]
            self._places[split] = {name: place for place, name in enumerate(names)}
        return self._places[split]

    def _decode(self, shard: Shard, packed: Packed, shortest_edge: int | None = None) -> Image.Image:
        place = f"{self.storage.place(shard.file)}:{packed.name}"
        return read_rgb(place, self.max_pixels, self._bytes(shard, packed), shortest_edge)

    def _edges(self, shard: Shard, packed: Packed) -> Image.Image | None:
        return None if packed.edges is None else self._decode(shard, packed.edges).convert("L")

    def _bytes(self, shard: Shard, packed: Packed) -> bytes:
        for last in (False, True):
            try:
                with self.storage.path(shard.file, shard.sha256).open("rb") as file:
                    return _part(file, packed, self.storage.place(shard.file))
            except FileNotFoundError as error:
                if (
                    last or not self.storage.remote
                ):  # another process may delete a downloaded shard just before it is opened
                    place = self.storage.place(shard.file)
                    raise ValueError(f"{place} does not exist; write the shards again.") from error
        raise AssertionError("unreachable")
