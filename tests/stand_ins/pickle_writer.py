"""A writer of torch's checkpoint files from single values, so that tests can write what torch would not."""

import io
import pickle
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)
class Raw:
    """Operations of a pickle as they are."""

    operations: bytes


@dataclass(frozen=True)
class Storage:
    """A storage; ``count`` is what the pickle says of it, ``held`` the bytes that the file has."""

    key: str
    count: Any
    held: bytes
    numbers: str = "Float"


@dataclass(frozen=True)
class Stored:
    """A tensor, as ``torch._utils._rebuild_tensor_v2`` makes one."""

    storage: Storage
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0


@dataclass
class Writer:
    """Writes one value in the words of the newer format (``zipped``) or the older, and keeps the storages in it."""

    zipped: bool = True
    storages: dict[str, Storage] = field(default_factory=dict)

    def dumped(self, value: Any) -> bytes:
        """A whole pickle of protocol 2."""
        return b"\x80\x02" + self.of(value) + b"."

    def of(self, value: Any) -> bytes:
        match value:
            case Raw():
                return value.operations
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if -(2**31) <= value < 2**31:
                return b"J" + struct.pack("<i", value)
            case int():
                encoded = pickle.encode_long(value)
                return b"\x8a" + bytes([len(encoded)]) + encoded
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
            case tuple():
                return b"(" + b"".join(map(self.of, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.of, value)) + b"e"
            case dict():
                return b"}(" + b"".join(self.of(key) + self.of(part) for key, part in value.items()) + b"u"
            case Storage():
                self.storages[value.key] = value
                kind = Raw(f"ctorch\n{value.numbers}Storage\n".encode())
                place = ("storage", kind, value.key, "cpu", value.count)
                return self.of(place if self.zipped else (*place, None)) + b"Q"
            case Stored():
                hooks = Raw(b"ccollections\nOrderedDict\n)R")
                arguments = (value.storage, value.offset, value.size, value.stride, False, hooks)
                return b"ctorch._utils\n_rebuild_tensor_v2\n" + self.of(arguments) + b"R"
        raise TypeError(value)


def zip_file(value: Any, compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """The newer format; ``members`` are put beside the pickle."""
    writer = Writer(zipped=True)
    pickled = writer.dumped(value)
    held = {f"data/{storage.key}": storage.held for storage in writer.storages.values()}
    return archive({"data.pkl": pickled, "version": b"3\n", "byteorder": b"little"} | held | members, compression)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of these members in the folder that torch expects."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, content in members.items():
            target.writestr(f"archive/{name}", content)
    return file.getvalue()


def stream(value: Any, keys: list[str] | None = None) -> bytes:
    """The older format; ``keys`` are the storages that it says it holds, all by default."""
    writer = Writer(zipped=False)
    pickled = writer.dumped(value)
    keys = list(writer.storages) if keys is None else keys
    before = [MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True}]
    parts = [Writer().dumped(part) for part in before] + [pickled, Writer().dumped(keys)]
    for key in keys:
        storage = writer.storages[key]
        count = storage.count if isinstance(storage.count, int) else 0
        parts.append(struct.pack("<q", count % 2**63) + storage.held)
    return b"".join(parts)
