"""Tables in LevelDB's format, such as the index of a checkpoint of TensorFlow's.

The last 48 bytes are two handles (varint offset, varint size), of a block that nothing uses and of the index block,
zeros up to byte 40, and 8 bytes of magic. A block is entries, the uint32 offsets of some of them and the uint32 number
of these; behind a block stand a byte, 0 if it is not compressed, and the uint32 checksum of both. An entry is varints
of how many bytes its key shares with the key before it, of how many more it has, and of its value's size, then these
bytes and the value. Keys ascend. The values of the index block are handles of the blocks of the table.

Relied upon: LevelDB's ``table_format.md`` as remembered.
"""

import struct
from collections.abc import Iterator

from inpaintlab.readers.crc32c import crc32c
from inpaintlab.readers.protobuf import Bytes

MOST_ENTRIES = 10_000
"""How many entries a table may have; that of a published checkpoint has about 200."""

LONGEST_KEY = 1_000
"""Bytes of a key."""

_FOOTER, _MAGIC = 48, bytes.fromhex("57fb808b247547db")
_TRAILER = 5  # of a block: compression and checksum


def entries(data: bytes) -> dict[bytes, bytes]:
    """The entries of a table, keys ascending.

    Args:
        data: the whole file.

    Raises:
        ValueError: it is no whole, uncompressed table within the limits, or a checksum is wrong.
    """
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise ValueError("it does not end in the magic number of a table")
    footer = Bytes(data[-_FOOTER : -len(_MAGIC)], "its footer")
    _, _, offset, size = (footer.varint() for _ in range(4))
    if any(footer.take(footer.left())):
        raise ValueError("its footer holds more than two handles")
    found: dict[bytes, bytes] = {}
    last, end = None, 0
    for _, value in _block(data, offset, size):
        handle = Bytes(value, "the handle of a block")
        offset, size = handle.varint(), handle.varint()
        if handle.left() or offset < end:
            raise ValueError("its blocks are not one behind the other")
        end = offset + size + _TRAILER
        for key, entry in _block(data, offset, size):
            if last is not None and key <= last:
                raise ValueError(f"its keys do not ascend in the block at byte {offset}")
            found[key] = entry
            last = key
            if len(found) > MOST_ENTRIES:
                raise ValueError(f"it has more than {MOST_ENTRIES:,} entries")
    return found


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block."""
    part = f"the block at byte {offset}"
    if size < 4 or offset + size + _TRAILER > len(data) - _FOOTER:
        raise ValueError(f"{part} lies outside of the file or is too short")
    compression, checksum = struct.unpack_from("<BI", data, offset + size)
    if crc32c(data[offset : offset + size + 1]) != checksum:
        raise ValueError(f"{part} does not fit its checksum; fetch it again")
    if compression:
        how = "by Snappy" if compression == 1 else f"in a way of number {compression}"
        raise ValueError(f"{part} is compressed {how}, which is not read; TensorFlow's Saver compresses none")
    restarts = struct.unpack_from("<I", data, offset + size - 4)[0]
    if 4 * (restarts + 1) > size:
        raise ValueError(f"{part} is too short")
    reader = Bytes(data[offset : offset + size - 4 * (restarts + 1)], part)
    key = b""
    while reader.left():
        shared, more, length = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key) or shared + more > LONGEST_KEY:
            raise ValueError(f"{part} has a key that shares {shared} bytes of {len(key)} and has {more} more")
        key = key[:shared] + reader.take(more)
        yield key, reader.take(length)
