"""The lists that belong to shards: ``shards.json`` lists all shards, a shard's index lists its pictures.

They may come from any URL, so everything in them is checked before it is used.
"""

import json
import re
from typing import Any, NamedTuple, TypeVar

from inpaintlab.data.sources import SPLITS

FORMAT = 1


LIST = "shards.json"
"""The file that lists all shards; it is written last, so a folder that has it is complete."""


class Shard(NamedTuple):
    """One tar file, as ``shards.json`` lists it: its name, its pictures, and the hashes of tar and index."""

    file: str
    pictures: int
    bytes: int
    sha256: str
    index_sha256: str

    @property
    def index_file(self) -> str:
        """The name of its index."""
        return self.file.removesuffix(".tar") + ".json"


class Packed(NamedTuple):
    """One picture in a shard: its name in the data set that was packed, and the place of its bytes in the tar file.

    Without an edge map the last three fields are 0 and empty.
    """

    name: str
    offset: int
    bytes: int
    sha256: str
    edges_offset: int = 0
    edges_bytes: int = 0
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


_Entry = TypeVar("_Entry", Shard, Packed)


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
    splits = _json(content, place).get("splits")
    if not isinstance(splits, dict) or not set(splits) <= set(SPLITS) or {*map(type, splits.values())} - {list}:
        raise ValueError(f"{place} is not a list of shards: it has no splits of {', '.join(SPLITS)}.")
    shards = {split: [_fields(Shard, entry, place) for entry in entries] for split, entries in splits.items()}
    for shard in (shard for of_split in shards.values() for shard in of_split):
        # These become paths, and the list may come from any URL.
        if not re.fullmatch(r"[\w-]+\.tar", shard.file) or not all(map(_is_sha256, (shard.sha256, shard.index_sha256))):
            raise ValueError(f"{place} is not a list of shards: '{shard.file}' has no proper name or hash.")
    return shards


def parse_index(content: bytes, place: str) -> tuple[Packed, ...]:
    """Parse the index of one shard.

    Args:
        content: the file's bytes.
        place: the file's path or URL, for errors.

    Returns:
        The pictures of the shard, in their order.

    Raises:
        ValueError: it is not an index in the present format.
    """
    items = _json(content, place).get("items")
    if not isinstance(items, list):
        raise ValueError(f"{place} is not the index of a shard: it has no items.")
    return tuple(_fields(Packed, item, place) for item in items)


def _json(content: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON ({error}); write the shards again.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{place} is not of the format {FORMAT} that this version reads; update inpaintlab.")
    return found


def _fields(kind: type[_Entry], entry: Any, place: str) -> _Entry:
    try:
        made = kind(**entry)
    except TypeError as error:
        raise ValueError(f"{place} is damaged: {error}; write the shards again.") from error
    for field, type_ in kind.__annotations__.items():
        value = getattr(made, field)
        if type(value) is not type_ or (type_ is int and value < 0):
            raise ValueError(f"{place} is damaged: {field}={value!r}; write the shards again.")
    return made


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
