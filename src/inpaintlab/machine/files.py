"""Files that are whole or not there, what a full disk says, and hashes."""

import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import time
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
_PARTIAL = re.compile(r"\..*\.([0-9a-f]{8})-[0-9a-f]{12}\.partial", re.DOTALL)
_SECONDS_UNTOUCHED = 3600.0  # after which an unfinished file of another machine, which nobody locks, is given up
_tidied: set[str] = set()
"""Folders from which this process has removed what killed ones left."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: what is written to the yielded path gets its name at the end.

    Until then it lies beside ``path`` as ``.NAME.TOKEN.partial``; it is synced to the disk before it is renamed. If
    writing ends early, the old file at ``path`` stays and the unfinished one is removed. What a killed process was
    writing into the same folder is removed by the next one that writes there.

    Args:
        path: the file; its folder exists.

    Yields:
        The path to write to, of a file that is still empty.

    Raises:
        ValueError: nothing was written.
    """
    with _partial(path) as partial:
        yield partial
        _sync(partial, path)
        os.replace(partial, path)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, locked while this process lives, and removed at the end unless it was renamed.

    The lock is one of ``flock``: unlike a record lock, it stays when the file is opened and closed once more.
    """
    if (folder := str(path.parent.absolute())) not in _tidied:
        _tidied.add(folder)
        remove_partials(path.parent)
    while True:
        partial = path.with_name(f".{path.name[:_SHOWN]}.{_machine()}-{secrets.token_hex(6)}.partial")
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _lock(file) is not False and partial.exists():
            break
        os.close(file)  # one who tidies up saw the file before it was locked
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)
        os.close(file)


def _sync(partial: Path, path: Path) -> None:
    with partial.open("rb+") as file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError(f"Nothing was written to {path}.")
        os.fsync(file.fileno())


def _lock(file: int) -> bool | None:
    """Lock an open file. False if another process has; None on a file system without locks."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _machine() -> str:
    """Eight digits that stand for this machine since its start; containers of one machine share them, and its locks."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        import platform

        name = platform.node().encode()
    return hashlib.sha256(name).hexdigest()[:8]


def remove_partials(folder: Path, *, below: bool = False) -> None:
    """Remove the unfinished files of processes that have ended; those of processes that live stay.

    A file of ours that nobody locks has no living writer. Some network file systems do not pass locks on, so a file of
    another machine must also have been left untouched for an hour. Without locks, nobody can tell, and all stay.

    Args:
        folder: where to look.
        below: look into all folders below it too.
    """
    for path in folder.rglob(".*.partial") if below else folder.glob(".*.partial"):
        if found := _PARTIAL.fullmatch(path.name):
            _remove_dead(path, mine=found[1] == _machine())


def _remove_dead(path: Path, *, mine: bool) -> None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or (not mine and time.time() - status.st_mtime < _SECONDS_UNTOUCHED):
            return
        file = os.open(path, os.O_RDWR)
    except OSError:  # gone meanwhile, or of another user
        return
    try:
        if _lock(file):
            path.unlink(missing_ok=True)
    finally:
        os.close(file)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` as indented JSON, whole or not at all.

    Raises:
        ValueError: a value has no place in JSON (NaN, infinity, an object).
    """
    write_texts(path.parent, {path.name: as_json(path, data)})


def as_json(path: Path, data: Mapping[str, Any]) -> str:
    """The text that ``write_json`` writes.

    Raises:
        ValueError: as there.
    """
    try:
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}.") from error


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write several files (name to text, UTF-8) into a folder; none of them appears before all are on the disk."""
    write_files(folder, {name: text.encode() for name, text in texts.items()})


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files (name to bytes) into a folder; none of them appears before all are on the disk."""
    with ExitStack() as unfinished:
        partials = {name: unfinished.enter_context(_partial(folder / name)) for name in contents}
        for name, partial in partials.items():
            partial.write_bytes(contents[name])
        for name, partial in partials.items():
            _sync(partial, folder / name)
        for name, partial in partials.items():
            os.replace(partial, folder / name)


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
