"""Files that are whole or not there, what a full disk says, and hashes."""

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a write that finds no room: the disk is full, the user's quota is, or the file is too large."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_SHOWN = 40  # characters of a file's name in that of its unfinished form, which must not get too long for the system


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: what is written to the yielded path gets its name at the end.

    Until then it lies beside ``path`` as ``.NAME.PID.partial``; it is synced to the disk before it is renamed. If
    writing ends early, the old file at ``path`` stays and the unfinished one is removed.

    Args:
        path: the file; its folder exists.

    Yields:
        The path to write to.
    """
    partial = path.with_name(f".{path.name[:_SHOWN]}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove the unfinished files of killed processes below a folder; only for the one process that may write there."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` as indented JSON, whole or not at all.

    Raises:
        ValueError: a value has no place in JSON (NaN, infinity, an object).
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}.") from error
    write_texts(path.parent, {path.name: text + "\n"})


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write several files (name to text, UTF-8) into a folder; none of them appears before all are written."""
    with ExitStack() as files:
        for name, text in texts.items():
            files.enter_context(whole(folder / name)).write_text(text, encoding="utf-8", newline="\n")


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file to read its bytes.

    Anything else is refused at once: opening a FIFO waits until somebody writes to it, and a device may never end.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file.
    """

    def require_regular(mode: int) -> None:
        if not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "no file")
            raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))

    require_regular(path.stat().st_mode)  # before opening, which wakes some devices
    # and after it: the name may have come to mean another file in between, for which opening must not wait either
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        require_regular(os.fstat(number).st_mode)
    except OSError:
        os.close(number)
        raise
    return os.fdopen(number, "rb")


def shown(path: Path | str) -> str:
    r"""A path or name as it can be printed and written anywhere.

    Bytes that are not UTF-8 and characters that a terminal would obey stand as escapes: ``caf\xe9.jpg``.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Add the folder to an error about a full disk: a write into an open file raises one without a path.

    Raises:
        OSError: one of ``FULL_DISK``, with ``folder`` as its file name; every other error comes through as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK and error.filename is None:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
