"""Reads Torch7's binary files (``.t7``), as GLCIC's authors published their networks, without running code in them.

The layout, as ``torch.save`` writes it on a 64-bit machine, little-endian: an object is an int32 tag and what follows.

0 (nil): nothing. 1 (number): float64. 2 (string): int32 length, bytes. 5 (boolean): int32, 0 or 1. 3 (table): int32
index, and where that index comes first, int32 count and as many pairs of a key and a value. 4 (torch object): int32
index, and where that comes first, the string "V <number>" (not in the oldest files), the class's name, and what the
class writes. 6, 7, 8 (function): Lua byte code, refused.

A tensor writes an int32 number of dimensions, int64 sizes, int64 strides, an int64 offset that counts from 1, and its
storage, an object that several tensors may share, or nil. A storage writes an int64 count and its numbers. Any other
class writes one table, its fields; other classes named ``torch.*`` have layouts of their own and are refused.

Relied upon: torch7's ``File.lua``, ``generic/Tensor.c`` and ``generic/Storage.c`` as remembered, and the independent
reader ``torchfile`` 0.1.0, which agrees. Files of machines with 32-bit longs end in an error.
"""

import math
import mmap
import os
import re
import reprlib
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

DEEPEST = 64
"""How many tables and torch objects may stand inside each other; a published network needs about ten."""

MOST_VALUES = 100_000
"""How many values a file may hold, keys included; a published network has a few thousand."""

MOST_DIMENSIONS = 16
"""How many dimensions a tensor may have."""

_SMALLEST_ENTRY = 8
"""Bytes that an entry of a table takes at least: the tags of its key and of its value."""

_NUMBERS: dict[str, np.dtype] = {
    "Float": np.dtype("<f4"),
    "Double": np.dtype("<f8"),
    "Long": np.dtype("<i8"),
    "Int": np.dtype("<i4"),
    "Short": np.dtype("<i2"),
    "Char": np.dtype("<i1"),
    "Byte": np.dtype("<u1"),
    "Cuda": np.dtype("<f4"),
}

_TENSORS = {f"torch.{name}Tensor": numbers for name, numbers in _NUMBERS.items()}
_STORAGES = {f"torch.{name}Storage": numbers for name, numbers in _NUMBERS.items()}

# Other kinds of files that users may pass, by their first bytes; none of them begins with a tag.
_MISTAKEN = (
    (rb"PK\x03\x04", "a ZIP archive begins, as PyTorch writes its .pth files; give the .t7 file itself"),
    (rb"\x80[\x02-\x05]", "a pickle begins, as older PyTorch writes its .pth files; give the .t7 file itself"),
    (rb"[0-8]\r?\n", "Torch7's ASCII format begins; load it in Torch7 and save it again in its binary format"),
    (rb"\s*<", "a web page begins; the download gave a page instead of the file"),
)


class _Tag(IntEnum):
    NIL = 0
    NUMBER = 1
    STRING = 2
    TABLE = 3
    TORCH = 4
    BOOLEAN = 5
    FUNCTION = 6
    OLD_RECURSIVE_FUNCTION = 7
    RECURSIVE_FUNCTION = 8


@final
@dataclass(frozen=True, eq=False)
class Torch7Object:
    """An instance of a Lua class, such as a layer.

    Args:
        kind: the name of its class, as ``nn.SpatialConvolution``.
        fields: its values by name.
    """

    kind: str
    fields: dict[int | str | bool, Any] = field(repr=False)


def read(path: Path) -> Any:
    """The one value that a ``.t7`` file holds.

    nil, number and boolean are None, float and bool; a string is a str, each byte the character of its number
    (Latin-1); a table is a dict, with a str, a bool, or an int for a whole number as its keys; a tensor or storage is
    a read-only array that looks into the file, of shape (0,) if it has no dimensions; another torch object is a
    ``Torch7Object``.

    An object that the file holds in several places is one object in the value too. No object holds itself, but a
    hostile file may hold one table in very many places: look up the keys you expect, and do not walk through all. The
    arrays keep the file open, need not be aligned, and become invalid if the file changes; copy those that you keep.

    Raises:
        ValueError: there is no such file, or it is not one whole, well-formed value within the limits above; the
            message names the byte. Also refused: Lua code, tables that hold themselves, other kinds of keys, 1 and true
            in one table (Python takes them for one key), tensors with more numbers than their storage.
    """
    try:
        if not path.is_file():
            raise ValueError(f"There is no file {path}; give the path of a Torch7 file (.t7).")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ValueError(f"{path} is not a readable Torch7 file: at byte 0 it ends, it is empty.")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ValueError(f"{path} cannot be opened ({error.strerror}); give a Torch7 file (.t7).") from error
    return _Reader(path, data).root()


class _Typed(NamedTuple):
    """A value with Lua's name for its type, or Torch7's for its class."""

    kind: str
    value: Any


@final
class _Reader:
    """A position in a file that is read once, from front to back.

    Args:
        path: the file's name, for errors.
        data: its bytes, at least one.
    """

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.at = 0
        self.values = 0
        self.depth = 0
        self.known: dict[int, tuple[int, _Typed | None]] = {}
        """Tag and value of tables and torch objects by their index; no value while it is being read."""

    def root(self) -> Any:
        """The value that the whole file is."""
        for beginning, mistake in _MISTAKEN:
            if re.match(beginning, self.data[:64]):
                raise self.wrong(0, mistake)
        value = self.typed().value
        if self.left():
            raise self.wrong(self.at, f"the value ends, but {self.left()} more bytes follow")
        return value

    def typed(self) -> _Typed:
        """The object that begins here."""
        at = self.at
        self.values += 1
        if self.values > MOST_VALUES:
            raise self.wrong(at, f"there is more than the {MOST_VALUES} values that are read")
        match tag := self.int32():
            case _Tag.NIL:
                return _Typed("nil", None)
            case _Tag.NUMBER:
                return _Typed("number", struct.unpack_from("<d", self.data, self.take(8, "a number"))[0])
            case _Tag.STRING:
                return _Typed("string", self.string())
            case _Tag.BOOLEAN:
                return _Typed("boolean", self.boolean())
            case _Tag.TABLE | _Tag.TORCH:
                return self.indexed(tag)
            case _Tag.FUNCTION | _Tag.OLD_RECURSIVE_FUNCTION | _Tag.RECURSIVE_FUNCTION:
                raise self.wrong(at, "it holds Lua code, which is never taken from a file; save it without functions")
        raise self.wrong(at, f"there is a tag {tag}, which no type of Torch7 has")

    def indexed(self, tag: int) -> _Typed:
        """A table or torch object: the earlier one of this index, or the one that begins here."""
        at = self.at
        index = self.int32()
        if index in self.known:
            known_tag, known = self.known[index]
            if known_tag != tag:
                raise self.wrong(at, f"object {index} is a table in one place and a torch object in another")
            if known is None:
                raise self.wrong(at, f"object {index} holds itself, which is not read")
            return known
        if self.depth == DEEPEST:
            raise self.wrong(at, f"objects stand inside each other more than {DEEPEST} deep")
        self.known[index] = (tag, None)
        self.depth += 1
        found = _Typed("table", self.table()) if tag == _Tag.TABLE else self.torch_object()
        self.depth -= 1
        self.known[index] = (tag, found)
        return found

    def table(self) -> dict[int | str | bool, Any]:
        """The entries of a table."""
        at = self.at
        count = self.int32()
        if not 0 <= count <= self.left() // _SMALLEST_ENTRY:
            raise self.wrong(at, f"a table of {count} entries should follow, but {self.left()} bytes are left")
        table: dict[int | str | bool, Any] = {}
        for _ in range(count):
            at = self.at
            key = self.key()
            if key in table:
                raise self.wrong(at, f"a table has the key {reprlib.repr(key)} a second time")
            table[key] = self.typed().value
        return table

    def key(self) -> int | str | bool:
        """The key of an entry."""
        at = self.at
        kind, key = self.typed()
        if kind == "number":
            if not key.is_integer():
                raise self.wrong(at, f"a table has the key {key}, and of numbers only whole ones are taken as keys")
            return int(key)
        if not isinstance(key, str | bool):
            raise self.wrong(at, f"a table has a key of type {reprlib.repr(kind)}, which is not taken as a key")
        return key

    def torch_object(self) -> _Typed:
        """The rest of a torch object, after its index."""
        at = self.at
        kind = self.string()
        if kind.startswith("V "):
            kind = self.string()
        if kind in _TENSORS:
            return _Typed(kind, self.tensor(kind, _TENSORS[kind]))
        if kind in _STORAGES:
            return _Typed(kind, self.storage(_STORAGES[kind]))
        if kind.startswith("torch."):
            raise self.wrong(at, f"there is a {reprlib.repr(kind)}, a class whose layout is not known here")
        fields_at = self.at
        fields = self.typed()
        if fields.kind != "table":
            raise self.wrong(fields_at, f"the fields of a {reprlib.repr(kind)} are no table")
        return _Typed(kind, Torch7Object(kind, fields.value))

    def storage(self, numbers: np.dtype) -> np.ndarray:
        """The numbers of a storage, shape (count,)."""
        count = self.int64()
        start = self.take(count * numbers.itemsize, "a storage")
        return np.ndarray((count,), numbers, buffer=self.data, offset=start)

    def tensor(self, kind: str, numbers: np.dtype) -> np.ndarray:
        """A view of a storage's numbers in the tensor's shape."""
        at = self.at
        dimensions = self.int32()
        if not 0 <= dimensions <= MOST_DIMENSIONS:
            raise self.wrong(at, f"a tensor has {dimensions} dimensions; 0 to {MOST_DIMENSIONS} are read")
        sizes = [self.int64() for _ in range(dimensions)]
        strides = [self.int64() for _ in range(dimensions)]
        offset = self.int64() - 1
        storage_at = self.at
        storage = self.typed()
        if storage.kind not in ("nil", kind.replace("Tensor", "Storage")):
            raise self.wrong(storage_at, f"a {kind} has a {reprlib.repr(storage.kind)} in place of its storage")
        if not dimensions:  # how Torch7 writes an empty tensor, with a storage or without
            return np.ndarray((0,), numbers, buffer=self.data)
        length = 0 if storage.value is None else len(storage.value)
        if min(sizes) < 1 or min(strides) < 0 or offset < 0:
            raise self.wrong(at, "a tensor has a size or an offset below 1, or a stride below 0")
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if last >= length or math.prod(sizes) > length:
            raise self.wrong(at, f"a tensor needs more than the {length} numbers of its storage")
        # the stride of a single element means nothing, and may be too large for numpy
        steps = [stride * numbers.itemsize if size > 1 else 0 for size, stride in zip(sizes, strides, strict=True)]
        return np.ndarray(sizes, numbers, buffer=storage.value, offset=offset * numbers.itemsize, strides=steps)

    def string(self) -> str:
        """A length and its bytes."""
        size = self.int32()
        start = self.take(size, "a string")
        return self.data[start : self.at].decode("latin-1")

    def boolean(self) -> bool:
        """0 or 1."""
        at = self.at
        value = self.int32()
        if value not in (0, 1):
            raise self.wrong(at, f"a boolean is {value}, neither 0 nor 1")
        return value == 1

    def int32(self) -> int:
        """A tag, an index, a length or a count."""
        return struct.unpack_from("<i", self.data, self.take(4, "a number"))[0]

    def int64(self) -> int:
        """What Torch7 writes as a long."""
        return struct.unpack_from("<q", self.data, self.take(8, "a number"))[0]

    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def take(self, size: int, what: str) -> int:
        """Skip bytes and return where they begin.

        Args:
            size: how many.
            what: names them in the error.

        Raises:
            ValueError: fewer are left.
        """
        start = self.at
        if not 0 <= size <= self.left():
            raise self.wrong(start, f"{what} of {size} bytes should follow, but {self.left()} are left")
        self.at += size
        return start

    def wrong(self, at: int, what: str) -> ValueError:
        """The error to raise about the byte ``at``."""
        return ValueError(f"{self.path} is not a readable Torch7 file: at byte {at} {what}.")
