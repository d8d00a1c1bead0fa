"""A writer of TensorFlow 1's checkpoints for tests; it shares nothing with the reader but the format."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from struct import pack

import numpy as np

MAGIC = bytes.fromhex("57fb808b247547db")
KINDS = {"<f4": 1, "<f8": 2, "<i4": 3, "<i8": 9, "<f2": 19}

_TABLE = list(range(256))
for _ in range(8):
    _TABLE = [value >> 1 ^ 0x82F63B78 * (value & 1) for value in _TABLE]


def checksum(content: bytes) -> int:
    """CRC-32C, masked, a byte at a time."""
    state = 0xFFFFFFFF
    for byte in content:
        state = _TABLE[(state ^ byte) & 255] ^ state >> 8
    state ^= 0xFFFFFFFF
    return ((state >> 15 | state << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def field(number: int, value: int | bytes, fixed: bool = False) -> bytes:
    """A field of a protocol buffer: a varint, bytes with their length, or 32 bits."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3 | 5) + pack("<I", value) if fixed else varint(number << 3) + varint(value)


def header(shards: int = 1, big_endian: int = 0) -> bytes:
    return field(1, shards) + field(2, big_endian) + field(3, field(1, 1))


def entry(
    kind: int = 1, shape: Sequence[int] = (1,), shard: int = 0, offset: int = 0, size: int = 4, crc: int = 0
) -> bytes:
    """A variable's value in the index; what is 0 is left out, as protocol buffers have it."""
    dimensions = b"".join(field(2, field(1, side)) for side in shape)
    numbers = b"".join(field(key, value) for key, value in ((3, shard), (4, offset), (5, size)) if value)
    return field(1, kind) + field(2, dimensions) + numbers + field(6, crc, fixed=True)


def block(entries: Iterable[tuple[bytes, bytes]], every: int = 16) -> bytes:
    """A block whose keys begin anew at each ``every``-th entry."""
    content, restarts, last = b"", [], b""
    for place, (key, value) in enumerate(entries):
        shared = 0
        if place % every == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return content + b"".join(pack("<I", at) for at in restarts) + pack("<I", len(restarts))


def table(entries: Sequence[tuple[bytes, bytes]], largest: int = 500, compression: int = 0) -> bytes:
    """A whole table in blocks of about ``largest`` bytes."""
    groups: list[list[tuple[bytes, bytes]]] = [[]]
    for pair in entries:
        if sum(len(key) + len(value) for key, value in groups[-1]) > largest:
            groups.append([])
        groups[-1].append(pair)
    data, handles = b"", []

    def append(content: bytes) -> bytes:
        nonlocal data
        handle = varint(len(data)) + varint(len(content))
        content += bytes([compression])
        data += content + pack("<I", checksum(content))
        return handle

    for group in groups:
        handles.append((group[-1][0], append(block(group))))
    footer = append(block([])) + append(block(handles, every=1))
    return data + footer.ljust(40, b"\0") + MAGIC


def write(folder: Path, variables: Mapping[str, np.ndarray], shards: int = 1, name: str = "snap-0") -> list[Path]:
    """Write a checkpoint with its variables dealt out to shards; returns the index and the shards."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = [b""] * shards
    entries = [(b"", header(shards))]
    for place, key in enumerate(sorted(variables)):
        array = np.asarray(variables[key])
        content, shard = array.tobytes(), place % shards
        where = {"shard": shard, "offset": len(contents[shard]), "size": len(content), "crc": checksum(content)}
        entries.append((key.encode(), entry(KINDS[array.dtype.newbyteorder("<").str], array.shape, **where)))
        contents[shard] += content
    paths = [folder / f"{name}.index", *(folder / f"{name}.data-{i:05d}-of-{shards:05d}" for i in range(shards))]
    for path, content in zip(paths, [table(entries), *contents], strict=True):
        path.write_bytes(content)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')
    return paths
