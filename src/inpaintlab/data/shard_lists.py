"""The lists that belong to shards: ``shards.json`` lists all shards, a shard's index lists its pictures.

They may come from any URL, so everything in them is checked before it is used.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from inpaintlab.machine import Count, Sha256, conform, parse_json, require_format

FORMAT = 1


LIST = "shards.json"
"""The file that lists all shards; it is written last, so a folder that has it is complete."""


class Shard(NamedTuple):
    """One tar file, as ``shards.json`` lists it: its name, its pictures, and the hashes of tar and index."""

    file: str
    pictures: Count
    bytes: Count
    sha256: Sha256
    index_sha256: Sha256

    @property
    def index_file(self) -> str:
        """The name of its index."""
        return self.file.removesuffix(".tar") + ".json"


class Packed(NamedTuple):
    """One picture in a shard: its name in the data set that was packed, and the place of its bytes in the tar file.

    Without an edge map the last three fields are 0 and empty.
    """

    name: str
    offset: Count
    bytes: Count
    sha256: Sha256
    edges_offset: Count = 0
    edges_bytes: Count = 0
    edges_sha256: str = ""

    @property
    def edges(self) -> "Packed | None":
        """Its edge map, under the picture's name; None without one."""
        if not self.edges_bytes:
            return None
        return Packed(self.name, self.edges_offset, self.edges_bytes, self.edges_sha256)

    def fields(self) -> dict[str, Any]:
        """Its entry in the index, without the fields of a missing edge map."""
        return {field: value for field, value in self._asdict().items() if self.edges_bytes or "edges" not in field}


class Skipped(NamedTuple):
    """A picture that was left out of a shard because it cannot be read."""

    name: str
    reason: str


@dataclass(frozen=True)
class Index:
    """The content of a shard's index: its tar file, a hash over what it was written from, and its pictures."""

    file: str
    bytes: Count
    sha256: Sha256
    origin: Sha256
    skipped: tuple[Skipped, ...]
    items: tuple[Packed, ...]


@dataclass(frozen=True)
class _List:
    """The content of ``shards.json``."""

    splits: dict[Literal["train", "val", "test"], list[Shard]]


_MEND = "write the shards again"


def parse_list(content: bytes, place: str) -> dict[str, list[Shard]]:
    """Parse ``shards.json``.

    Args:
        content: the file's bytes.
        place: the file's path or URL, for errors.

    Returns:
        The shards of each split.

    Raises:
        ValueError: it is not a list of shards in the present format.
    """
    splits = conform(_List, _json(content, place, "a list of shards"), place, _MEND).splits
    for shard in (shard for of_split in splits.values() for shard in of_split):
        # These become paths, and the list may come from any URL.
        if not re.fullmatch(r"[\w-]+\.tar", shard.file) or not all(map(_is_sha256, (shard.sha256, shard.index_sha256))):
            raise ValueError(f"{place} is not a list of shards: {shard.file!r} has no proper name or hash; {_MEND}.")
    return {str(split): entries for split, entries in splits.items()}


def parse_index(content: bytes, place: str) -> Index:
    """Parse the index of one shard.

    Args:
        content: the file's bytes.
        place: the file's path or URL, for errors.

    Raises:
        ValueError: it is not an index in the present format.
    """
    return conform(Index, _json(content, place, "the index of a shard"), place, _MEND)


def _json(content: bytes, place: str, what: str) -> dict[str, Any]:
    found = parse_json(content, place, what, _MEND)
    require_format(place, found.pop("format", None), FORMAT, _MEND)
    return found


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
