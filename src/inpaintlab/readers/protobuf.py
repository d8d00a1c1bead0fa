"""Protocol buffers without their schema, and the varints that they and LevelDB's tables are made of."""

from collections.abc import Iterator, Mapping
from typing import final

Fields = Mapping[int, list[int | bytes]]
"""The values of a message by their numbers: numbers, and bytes of what has a length."""


@final
class Bytes:
    """A position in some bytes that are read once, from front to back.

    Args:
        data: the bytes.
        part: what they are, for errors.
    """

    def __init__(self, data: bytes, part: str) -> None:
        self.data = data
        self.part = part
        self.at = 0

    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            ValueError: there are fewer.
        """
        if count > self.left():
            raise ValueError(f"{self.part} ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        """The next number, below 2^64.

        Raises:
            ValueError: it ends too early, or is larger.
        """
        number = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                break
        if byte >= 128 or number >= 2**64:
            raise ValueError(f"{self.part} has a number of more than 64 bits")
        return number


def fields(message: bytes, part: str) -> Fields:
    """The fields of a message.

    Args:
        message: its bytes.
        part: what it is, for errors.

    Raises:
        ValueError: it is none.
    """
    reader = Bytes(message, part)
    found: dict[int, list[int | bytes]] = {}
    while reader.left():
        tag = reader.varint()
        value: int | bytes
        match tag & 7:
            case 0:
                value = reader.varint()
            case 1:
                value = int.from_bytes(reader.take(8), "little")
            case 2:
                value = reader.take(reader.varint())
            case 5:
                value = int.from_bytes(reader.take(4), "little")
            case _:
                raise ValueError(f"{part} is no protocol buffer")
        found.setdefault(tag >> 3, []).append(value)
    return found


def number(of: Fields, key: int, part: str) -> int:
    """The last value of a field that is a number; 0, as protocol buffers have it, if it is absent.

    Raises:
        ValueError: it is no number.
    """
    value = of.get(key, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"{part} has no number as its field {key}")
    return value


def messages(of: Fields, key: int, part: str) -> Iterator[Fields]:
    """The messages of a repeated field.

    Raises:
        ValueError: one is none.
    """
    for value in of.get(key, []):
        if not isinstance(value, bytes):
            raise ValueError(f"{part} has no message as its field {key}")
        yield fields(value, part)
