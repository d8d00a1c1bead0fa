"""What a run is trained on: a digest for its checkpoint, and the list of files that tells what changed.

Files are told apart by name and size, which costs a look at each one's entry. The content counts as well for as many
files as 64 MiB hold: for all of a small set, for a fixed choice of a large one. Where the files lie does not count.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inpaintlab.machine import file_sha256, read_json, write_texts

_LIST = "trained_on.json"
_VALIDATION = "validation.json"

_LISTED = 200_000  # the most files that the list names; of more, only numbers are told

_LOOKED_INTO = 64 * 2**20  # bytes

_NAMED = 3  # the most files that a sentence names


class Entry(NamedTuple):
    """A file: its size in bytes, and a hash of its content; an empty one if nobody looked into it."""

    size: int
    content: str


Files = Mapping[str, Entry]
"""Files of one kind by their names."""


Kinds = Mapping[str, Files]
"""By kind: pictures, edge maps, masks, weights."""


def look_at(files: Iterable[tuple[str, Path | tuple[int, str]]], *, whole: bool = False) -> dict[str, Entry]:
    """Size and, within limits, content of files.

    Args:
        files: the name of each and where it is, or its bytes and its hash.
        whole: the content of all, however large they are: weights of one network have one size.

    Raises:
        ValueError: a file is missing or cannot be read.
    """
    found: dict[str, Entry] = {}
    places: dict[str, Path] = {}
    for name, place in files:
        try:
            found[name] = Entry(place.stat().st_size, "") if isinstance(place, Path) else Entry(*place)
        except OSError as error:
            raise ValueError(f"{place} is to be trained on, but cannot be read ({error.strerror}).") from error
        if isinstance(place, Path):
            places[name] = place
    left = _LOOKED_INTO
    for name in sorted(places, key=lambda name: (zlib.crc32(_bytes(name)), name)):  # the same choice everywhere
        left -= found[name].size
        if left < 0 and not whole:
            break
        found[name] = Entry(found[name].size, file_sha256(places[name])[:16])
    return found


def digest(kinds: Kinds) -> dict[str, dict[str, int | str]]:
    """Number, bytes and hash of the files of each kind, for a checkpoint; kinds without files are left out."""
    found: dict[str, dict[str, int | str]] = {}
    for kind, files in kinds.items():
        if files:
            hashed = hashlib.sha256()
            for name in sorted(files, key=_bytes):
                hashed.update(b"%s\0%d\0%s\0" % (_bytes(name), files[name].size, files[name].content.encode()))
            total = sum(entry.size for entry in files.values())
            found[kind] = {"files": len(files), "bytes": total, "sha256": hashed.hexdigest()}
    return found


def save_list(folder: Path, kinds: Kinds) -> None:
    """Write the list of files into a run's folder, whole or not at all; nothing if they are too many."""
    if sum(map(len, kinds.values())) <= _LISTED:
        write_texts(folder, {_LIST: json.dumps(kinds) + "\n"})


def changes(folder: Path, before: Mapping[str, Mapping[str, Any]], now: Kinds) -> list[str]:
    """What is trained on now and was not before, or the other way round: an entry for each kind that changed.

    Args:
        folder: the run's folder, whose list names the files of before, if it is the list of this checkpoint.
        before: the digest in the run's checkpoint.
        now: the files of now.
    """
    present = digest(now)
    differing = [kind for kind in dict.fromkeys((*before, *present)) if before.get(kind) != present.get(kind)]
    listed = _read_list(folder) if differing else {}
    told = []
    for kind in differing:
        files = now.get(kind, {})
        known = listed.get(kind, {})
        if digest({kind: known}).get(kind) == before.get(kind):
            told.append(f"{kind}: {', '.join(_apart(known, files))}")
        else:
            sides = (before.get(kind), present.get(kind))
            then, here = (f"{side['files']:,} files of {side['bytes']:,} bytes" if side else "none" for side in sides)
            told.append(f"{kind}: {then} before, {here} now")
    return told


def recorded_digest(folder: Path) -> dict[str, dict[str, int | str]]:
    """The digest of the files that a run's folder lists; empty if it lists none, as one that trained on too many.

    Raises:
        ValueError: the list is damaged.
        OSError: it cannot be opened.
    """
    if not os.path.lexists(folder / _LIST):
        return {}
    try:
        return digest(_parsed(folder))
    except (TypeError, AttributeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"{folder / _LIST} is damaged: it lists no files with sizes and hashes.") from error


def validation_set(folder: Path) -> str | None:
    """The hash of the images and holes that a run is validated on, wherever they lie; None before its first start.

    Raises:
        ValueError: its frozen validation set is damaged.
        OSError: it cannot be opened.
    """
    path = folder / _VALIDATION
    if not os.path.lexists(path):
        return None
    sha256 = read_json(path, "a run's validation set").get("sha256")
    if not isinstance(sha256, str) or not sha256:
        raise ValueError(f"{path} is damaged: it has no hash of its images and holes.")
    return sha256


def _apart(before: Files, now: Files) -> Iterator[str]:
    gone, new = [n for n in before if n not in now], [n for n in now if n not in before]
    by_entry = {now[name]: name for name in new if now[name].content}
    renamed = {name: by_entry.pop(before[name]) for name in gone if before[name] in by_entry}
    if renamed:
        yield f"{len(renamed):,} renamed ({_some(f'{old} to {name}' for old, name in renamed.items())})"
    if gone := [name for name in gone if name not in renamed]:
        yield f"{len(gone):,} gone ({_some(gone)})"
    if new := [name for name in new if name not in renamed.values()]:
        yield f"{len(new):,} new ({_some(new)})"
    if other := [name for name in before if name in now and not _same(before[name], now[name])]:
        yield f"{len(other):,} with other content ({_some(other)})"


def _same(one: Entry, other: Entry) -> bool:
    unknown = not one.content or not other.content
    return one.size == other.size and (unknown or one.content == other.content)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)


def _read_list(folder: Path) -> dict[str, dict[str, Entry]]:
    """The list of files in a run's folder; empty if it cannot be read, for it only serves to tell more."""
    try:
        return _parsed(folder)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _parsed(folder: Path) -> dict[str, dict[str, Entry]]:
    content = read_json(folder / _LIST, "the files of a run")
    return {
        str(kind): {str(name): Entry(int(size), str(held)) for name, (size, held) in files.items()}
        for kind, files in content.items()
    }


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
