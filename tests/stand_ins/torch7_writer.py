"""A writer of Torch7's binary files for tests; it shares nothing with the reader but the format."""

from dataclasses import dataclass
from struct import pack
from typing import Any

import numpy as np

_NAMES = {"f4": "Float", "f8": "Double", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char", "u1": "Byte"}


@dataclass(eq=False)
class Object:
    """An instance of a Lua class; ``version`` as torch.save writes it, None as before there were versions."""

    kind: str
    fields: dict[Any, Any]
    version: str | None = "V 1"


def dumps(value: Any) -> bytes:
    """The file that holds ``value``: None, numbers, str (Latin-1), bool, dict, list, arrays, ``Object``.

    A list is a table from 1 to n. An array is a tensor of its type; a view keeps its strides and its base is the
    storage, so that views of one array share it. An object that occurs twice is written once.
    """
    return _Writer().dumped(value)


class _Writer:
    def __init__(self) -> None:
        self.indices: dict[tuple[str, int], int] = {}
        self.kept: list[Any] = []  # an id names an object only while it lives

    def dumped(self, value: Any) -> bytes:
        match value:
            case None:
                return pack("<i", 0)
            case bool():
                return pack("<ii", 5, value)
            case int() | float():
                return pack("<id", 1, value)
            case str():
                return pack("<i", 2) + _text(value)
            case dict():
                return self.once("table", 3, value, lambda: self.entries(value))
            case list():
                return self.once("table", 3, value, lambda: self.entries(dict(enumerate(value, start=1))))
            case np.ndarray():
                return self.once("tensor", 4, value, lambda: self.tensor(value))
            case Object():
                version = b"" if value.version is None else _text(value.version)
                return self.once("object", 4, value, lambda: version + _text(value.kind) + self.dumped(value.fields))
        raise TypeError(f"Torch7 has no {type(value).__name__}")

    def once(self, sort: str, tag: int, value: Any, content: Any) -> bytes:
        """Tag and index, and the content where the index is new; it is taken before the content is written."""
        key = (sort, id(value))
        if key in self.indices:
            return pack("<ii", tag, self.indices[key])
        self.kept.append(value)
        self.indices[key] = len(self.indices) + 1
        return pack("<ii", tag, self.indices[key]) + content()

    def entries(self, table: dict[Any, Any]) -> bytes:
        pairs = [self.dumped(key) + self.dumped(value) for key, value in table.items()]
        return pack("<i", len(pairs)) + b"".join(pairs)

    def tensor(self, array: np.ndarray) -> bytes:
        name = _NAMES[array.dtype.newbyteorder("=").str[1:]]
        header = _text("V 1") + _text(f"torch.{name}Tensor")
        if array.ndim == 0:
            raise TypeError("Torch7 has no tensor of one number without a dimension")
        if array.size == 0:  # Torch7 has no sizes of 0: an empty tensor has no dimensions
            return header + pack("<i", 0) + pack("<q", 1) + self.dumped(None)
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        sizes, strides = array.shape, [step // array.itemsize for step in array.strides]
        offset = (array.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // array.itemsize
        numbers = pack("<i", array.ndim) + b"".join(pack("<q", number) for number in (*sizes, *strides, offset + 1))
        return header + numbers + self.once("storage", 4, root, lambda: _storage(name, root))


def _storage(name: str, root: np.ndarray) -> bytes:
    little_endian = root.ravel(order="K").astype(root.dtype.newbyteorder("<"))
    return _text("V 1") + _text(f"torch.{name}Storage") + pack("<q", root.size) + little_endian.tobytes()


def _text(text: str) -> bytes:
    return pack("<i", len(text)) + text.encode("latin-1")
