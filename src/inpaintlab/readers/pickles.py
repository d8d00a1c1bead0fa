"""Reads checkpoints that torch pickled, without running code in them."""

import io
import math
import pickletools
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.readers.words import printable

MOST_MEMBERS = 100_000
"""How many members a zip file may have; a published network has a few hundred."""

MOST_OPERATIONS = 1_000_000
"""How many operations a pickle may take; that of a published network takes a few thousand."""

MOST_IN_TUPLE = 1_000
"""How many values one tuple may hold, those of tuples in it included; a tensor's has about twenty."""

GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {numbers}Storage"
    for numbers in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
"""What a pickle may import: enough for every state dict. torch allows more, such as bytearrays of any size."""

_PICKLES_OF_STREAM = 5  # of torch's older format: a magic number, a version, the machine, the value, names of storages


class _ForbiddenImportError(Exception):
    """A pickle imports a name that is not in ``GLOBALS``."""


def read(path: Path) -> Any:
    """What ``torch.save`` wrote: tensors on the CPU, strings, numbers, and containers of these.

    Both of torch's formats are read: the zip file (mapped, not copied) and the older stream, which the files of 2019
    have. A pickle that imports anything else is refused.

    Raises:
        ValueError: a file that is missing, damaged, of another kind, or that asks to run code.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}; give the path of a published checkpoint.")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"PK\x03\x04" and magic[:1] != b"\x80":
        raise ValueError(
            f"{path} is no checkpoint of torch: it begins with {magic!r}, neither a zip file nor a pickle."
        )
    try:
        with warnings.catch_warnings():  # torch warns about a damaged file before it raises
            warnings.simplefilter("ignore")
            return _zip_file(path) if magic[:2] == b"PK" else _stream(path)
    except _ForbiddenImportError as error:
        raise ValueError(
            f"{path} asks for '{error}' to be run while it is read; only tensors and plain values are taken from a "
            "foreign file. If you trust it, open it once with torch.load(..., weights_only=False) and save its "
            "state_dict alone."
        ) from None
    except Exception as error:  # torch and zipfile raise many kinds for damaged files; to the user all mean the same
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])
        raise ValueError(f"{path} cannot be read as a checkpoint of torch ({reason}); fetch it again.") from error


def table(value: Any) -> dict[Any, Any] | None:
    """A table of a file as a plain dict, or None if ``value`` is something else."""
    # dict's own method, because a pickle may have replaced those of its object
    return dict(dict.items(value)) if isinstance(value, dict) else None


def tensors(value: Any, path: Path, part: str) -> dict[str, Tensor]:
    """The tensors of a state dict by their names, without the prefix 'module.' of several GPUs.

    Args:
        value: what ``read`` returned, or a part of it.
        path: the file, for the error.
        part: the name of that part, for the error.

    Raises:
        ValueError: it is not a state dict.
    """
    entries = table(value)
    if not entries:
        raise ValueError(f"{path}: {part} is no state dict, a table of names and tensors.")
    found: dict[str, Tensor] = {}
    for key, tensor in entries.items():
        if not isinstance(key, str):
            raise ValueError(f"{path}: {part} holds something else than names and tensors: a {type(key).__name__}.")
        # whole numbers may only count batches
        if type(tensor) is not Tensor or not (tensor.is_floating_point() or tensor.ndim == 0):
            raise ValueError(f"{path}: {part} holds something else than a tensor of real numbers as {printable(key)}.")
        # not numel(), which overflows
        if math.prod(tensor.shape) * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"{path}: {printable(key)} claims more numbers than the file holds.")
        found[key.removeprefix("module.")] = tensor
    if len(found) < len(entries):
        raise ValueError(f"{path}: {part} has a name twice, with 'module.' in front and without.")
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in found.values()}
    if sum(storages.values()) > path.stat().st_size:
        raise ValueError(f"{path}: {part} claims more numbers than the file holds.")
    return found


def _zip_file(path: Path) -> Any:
    """The value of a zip file. Compressed members are refused: torch writes none, and they could unpack to any size."""
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its members are compressed or too many")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members are larger than the file")
        for member in members:
            if member.filename.lower().endswith("data.pkl"):  # torch's reader ignores the case
                _check(io.BytesIO(archive.read(member)))
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _check_directory(path: Path) -> None:
    """Refuse a zip file in which torch and Python's zipfile might find different lists of members."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 98))
        tail = file.read().rjust(98)
    signature, *_, length, start, comment = struct.unpack("<4s4H2IH", tail[76:])
    end = size - 22
    if tail[56:60] == b"PK\x06\x07":  # the form for large files, which torch always writes
        end = size - 98
        if struct.unpack("<Q", tail[64:72])[0] != end:
            raise ValueError("its list of members is not where it should be")
        length, start = struct.unpack("<2Q", tail[40:56])
    if signature != b"PK\x05\x06" or comment or start + length != end:
        raise ValueError("it does not end in its list of members")


def _stream(path: Path) -> Any:
    """The value of torch's older format, read from memory so that torch does not mistake it for a tar archive."""
    content = io.BytesIO(path.read_bytes())
    for _ in range(_PICKLES_OF_STREAM):
        _check(content)
    content.seek(0)
    return torch.load(content, map_location="cpu", weights_only=True)


def _check(pickle: io.BytesIO) -> None:
    """Refuse a pickle that imports more than ``GLOBALS``, is very long, or nests tuples too far.

    A few bytes can describe a tuple of two tuples of two tuples and so on. As a key of a dict it is hashed, which takes
    forever, or ends the process if it is very deep.
    """
    stack: list[int | None] = []  # for each value on the pickle's stack, how many values it holds; None for a mark
    memo: dict[int, int | None] = {}
    argument: Any
    for count, (operation, argument, _) in enumerate(pickletools.genops(pickle)):
        name = operation.name
        if count == MOST_OPERATIONS:
            raise ValueError(f"it takes more than {MOST_OPERATIONS} operations to read")
        if name == "GLOBAL" and argument not in GLOBALS:
            raise _ForbiddenImportError(printable(argument.replace(" ", ".")))
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            popped = _popped(stack, operation)
            size = 1 + sum(popped) if name.startswith("TUPLE") else 1
            if size > MOST_IN_TUPLE:
                raise ValueError(f"a tuple has more than {MOST_IN_TUPLE} values")
            stack += [None if name == "MARK" else size for _ in operation.stack_after]


def _popped(stack: list[int | None], operation: pickletools.OpcodeInfo) -> list[int]:
    """Pop what an operation takes from the stack."""
    popped: list[int] = []
    count = len(operation.stack_before)
    if pickletools.markobject in operation.stack_before:
        count = operation.stack_before.index(pickletools.markobject)
        while (top := stack.pop()) is not None:
            popped.append(top)
    for _ in range(count):
        if (top := stack.pop()) is None:
            raise ValueError("an operation of its pickle takes more than there is")
        popped.append(top)
    return popped
