"""Reads checkpoints of TensorFlow 1 (``tf.train.Saver``, format 2), without TensorFlow and without running anything.

A checkpoint is a file ``NAME.index`` and its shards ``NAME.data-00000-of-00001`` ...; a file ``checkpoint`` beside them
says which NAME is the newest. The index is a table in LevelDB's format, whose values are protocol buffers.

The key "" holds the header: 1 number of shards, 2 byte order (0 little-endian). Every other key is a variable's name:
1 kind of numbers, 2 shape (of repeated 2, each with 1 its size), 3 shard, 4 offset, 5 size, 6 checksum of its bytes,
7 slices.

Relied upon: TensorFlow's ``tensor_bundle.proto`` as remembered; files that TensorFlow 2.15 wrote are read in the tests.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from inpaintlab.machine import open_regular
from inpaintlab.readers.crc32c import crc32c
from inpaintlab.readers.leveldb import entries
from inpaintlab.readers.protobuf import Fields, fields, messages, number
from inpaintlab.readers.words import printable

LARGEST_INDEX = 16 * 2**20
"""Bytes that an index may have; a published one has about 20,000."""

MOST_SHARDS = 1_000
"""How many shards a checkpoint may have; a published one has one."""

MOST_DIMENSIONS = 8
"""How many dimensions a variable may have."""

_KINDS: dict[int, np.dtype] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    19: np.dtype("<f2"),
}
"""Kinds of numbers by TensorFlow's number for them."""


@final
@dataclass(frozen=True)
class Variable:
    """Where a variable lies.

    Args:
        kind: of its numbers.
        shape: of its array.
        shard: the number of the file.
        offset: of its bytes in that file.
        size: their number.
        checksum: of these bytes, masked.
    """

    kind: np.dtype
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read(paths: Sequence[Path], wanted: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name, in the order of their names.

    Args:
        paths: its folder; or its ``.index``, with or without the other files, which lie in the same folder.
        wanted: which of them are read; the places of all are checked.

    Raises:
        ValueError: a file is missing, damaged, compressed or of another kind, its sizes contradict each other, a
            checksum is wrong, or it is larger than the limits above; the message names the file.
    """
    index = _index_of(paths)
    variables, shards = _variables(index)
    names = _shards(index, shards)
    sizes = [_size(path) for path in names]
    ends = [0] * shards
    for name, variable in sorted(variables.items(), key=lambda item: (item[1].shard, item[1].offset)):
        shard, end = variable.shard, variable.offset + variable.size
        if end > sizes[shard]:
            raise _wrong(index, f"{printable(name)} should end at byte {end} of {names[shard].name}, of {sizes[shard]}")
        if variable.size and variable.offset < ends[shard]:
            raise _wrong(index, f"{printable(name)} lies on the bytes of another variable")
        ends[shard] = max(end, ends[shard])
    return {name: _array(name, variable, names) for name, variable in variables.items() if wanted(name)}


def files(paths: Sequence[Path]) -> list[Path]:
    """The index of a checkpoint and its shards; arguments and errors as in ``read``."""
    index = _index_of(paths)
    return [index, *_shards(index, _variables(index)[1])]


def _shards(index: Path, count: int) -> list[Path]:
    return [index.with_name(f"{index.stem}.data-{number:05d}-of-{count:05d}") for number in range(count)]


def _wrong(path: Path, what: str) -> ValueError:
    return ValueError(f"{path} is not a readable checkpoint of TensorFlow 1: {what}.")


# --- files -----------------------------------------------------------------------------------------------------------


def _index_of(paths: Sequence[Path]) -> Path:
    """The index of a checkpoint, of which ``paths`` are the folder or files."""
    if len(paths) == 1 and paths[0].is_dir():
        return _chosen(paths[0])
    if absent := [path for path in paths if not path.exists() and not path.is_symlink()]:
        raise ValueError(f"There is no file {absent[0]}; give the folder of a checkpoint, or its files.")
    indices = [path for path in paths if path.suffix == ".index"]
    if len(indices) != 1:
        raise ValueError(
            f"A checkpoint of TensorFlow 1 is a folder, or one file .index with what lies beside it; got "
            f"{', '.join(path.name for path in paths)}."
        )
    (index,) = indices
    beside = ("checkpoint", "checkpoint.txt", f"{index.stem}.meta")
    for path in paths:
        if path != index and path.name not in beside and not path.name.startswith(f"{index.stem}.data-"):
            raise ValueError(f"{path} does not belong to the checkpoint {index}.")
        if path.parent.resolve() != index.parent.resolve():
            raise ValueError(f"{path} and {index} belong together, but do not lie in one folder.")
    return index


def _chosen(folder: Path) -> Path:
    """The index that a folder's ``checkpoint`` names, which a download may call ``checkpoint.txt``; or its only one."""
    for path in (folder / "checkpoint", folder / "checkpoint.txt"):
        if path.exists() or path.is_symlink():
            name = _named(path)
            return folder / f"{name}.index"
    indices = sorted(folder.glob("*.index"))
    if len(indices) != 1:
        raise ValueError(
            f"{folder} holds {len(indices) or 'no'} files .index and no file checkpoint: give the .index file itself."
        )
    return indices[0]


def _named(path: Path) -> str:
    """The checkpoint that a file ``checkpoint`` names, in a line ``model_checkpoint_path: "snap-0"``."""
    with _opened(path) as file:
        lines = file.read(2**16).decode("utf-8", "replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model_checkpoint_path:")]
    name = names[0][1:-1] if names and len(names[0]) > 2 and names[0][0] == names[0][-1] == '"' else ""
    if not name or not name.isprintable() or set(name) & set('\\/:"') or name.startswith("."):
        said = f"names '{printable(name)}'" if name else "names none"
        raise ValueError(
            f"{path} should name a checkpoint in its own folder, and {said}: give the .index file itself instead."
        )
    return name


def _opened(path: Path) -> Any:
    """A regular file, which a link may not lead to from another folder."""
    try:
        if path.is_symlink() and path.resolve().parent != path.parent.resolve():
            raise ValueError(f"{path} is a link to another folder, which is not followed: put the file itself there.")
        return open_regular(path)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path}, which belongs to the checkpoint.") from None
    except (OSError, RuntimeError) as error:  # a link to itself is a RuntimeError in some versions of Python
        raise ValueError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from error


def _size(path: Path) -> int:
    with _opened(path) as file:
        return file.seek(0, 2)


def _array(name: str, variable: Variable, names: Sequence[Path]) -> np.ndarray:
    path = names[variable.shard]
    with _opened(path) as file:
        file.seek(variable.offset)
        content = file.read(variable.size)
    if len(content) != variable.size or crc32c(content) != variable.checksum:
        raise _wrong(path, f"the bytes of {printable(name)} do not fit their checksum; fetch it again")
    return np.frombuffer(content, variable.kind).reshape(variable.shape)


# --- the index -------------------------------------------------------------------------------------------------------


def _variables(path: Path) -> tuple[dict[str, Variable], int]:
    """The variables that an index lists, by name, and the number of shards."""
    with _opened(path) as file:
        data = file.read(LARGEST_INDEX + 1)
    if len(data) > LARGEST_INDEX:
        raise _wrong(path, f"it has more than {LARGEST_INDEX:,} bytes")
    try:
        table = entries(data)
        if b"" not in table:
            raise ValueError("it has no header")
        header = fields(table.pop(b""), "its header")
        shards = number(header, 1, "its header")
        if not 1 <= shards <= MOST_SHARDS:
            raise ValueError(f"it has {shards} shards; 1 to {MOST_SHARDS:,} are read")
        if number(header, 2, "its header"):
            raise ValueError("its numbers are not little-endian")
        found = {_text(key): _variable(_told(key), fields(value, _told(key)), shards) for key, value in table.items()}
        return found, shards
    except ValueError as error:
        raise _wrong(path, str(error)) from None


def _text(key: bytes) -> str:
    """A variable's name."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the name {_told(key)} is not UTF-8") from None


def _told(key: bytes) -> str:
    """A variable's name for an error."""
    return printable(key.decode("utf-8", "backslashreplace"))


def _variable(name: str, entry: Fields, shards: int) -> Variable:
    """What the entry of this name, as an error may have it, says; held against itself."""
    if 7 in entry:
        raise ValueError(f"{name} is stored in slices, which are not read")
    kind, shard, offset, size, checksum = (number(entry, key, name) for key in (1, 3, 4, 5, 6))
    if kind not in _KINDS:
        raise ValueError(f"{name} has numbers of kind {kind}; {', '.join(map(str, _KINDS))} are read")
    shape = _shape(entry, name)
    if size != math.prod(shape) * _KINDS[kind].itemsize:
        raise ValueError(f"{name} has {size} bytes, which do not fit its shape {shape}")
    if shard >= shards:
        raise ValueError(f"{name} lies in shard {shard} of {shards}, counted from 0")
    return Variable(_KINDS[kind], shape, shard, offset, size, checksum)


def _shape(entry: Fields, name: str) -> tuple[int, ...]:
    shape: list[int] = []
    for message in messages(entry, 2, name):
        for dimension in messages(message, 2, name):
            shape.append(number(dimension, 1, name))
            if len(shape) > MOST_DIMENSIONS or shape[-1] >= 2**48:
                raise ValueError(f"{name} has a dimension of {shape[-1]}, or more than {MOST_DIMENSIONS} of them")
    return tuple(shape)
