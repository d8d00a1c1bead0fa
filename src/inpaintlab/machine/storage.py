"""Files of a folder or of a URL; those of a URL are fetched whole, checked, and cached on this machine."""

import os
import re
import time
from pathlib import Path
from typing import Any, final

from inpaintlab.machine.files import file_sha256
from inpaintlab.machine.locks import alone

SCHEMES = ("http", "https", "s3", "gs", "abfs", "az", "hf")
"""The kinds of URL that are read. A foreign test set may name one, so those that run a command (``pipe:``) or evaluate
what they find (``reference:``) are not among them."""

PAUSES = (1.0, 3.0, 9.0)
"""Seconds to wait before each new try to fetch a file; one try more than there are pauses."""

TIMEOUT = 60.0
"""Seconds without a byte after which an HTTP connection counts as broken."""


def user_cache(instead: str) -> Path:
    """The folder of the user's caches: ``XDG_CACHE_HOME``, else ``~/.cache``, absolute.

    Args:
        instead: what else could name the wanted folder, for the error.

    Raises:
        ValueError: this user has no home, as in a container that runs under a number without a name.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute()
    except RuntimeError:
        raise ValueError(
            "This user has no home folder: HOME is not set, and the system has no entry for its number "
            f"({os.getuid()}). Set HOME or XDG_CACHE_HOME to a folder that can be written, or give {instead}."
        ) from None


def cache_folder() -> Path:
    """Where fetched files are cached: ``INPAINTLAB_SHARDS``, else ``inpaintlab/shards`` in the user's cache.

    No configuration can set it: files in it are deleted when room is needed, and a foreign test set must not choose the
    folder for that.
    """
    if chosen := os.environ.get("INPAINTLAB_SHARDS"):
        return Path(chosen).expanduser().absolute()
    return user_cache("INPAINTLAB_SHARDS=FOLDER") / "inpaintlab" / "shards"


def cache_limit() -> int:
    """Bytes that all cached files may take together: ``INPAINTLAB_SHARDS_GB`` (10^9 bytes), else 50 GB.

    Raises:
        ValueError: the variable is not a number.
    """
    chosen = os.environ.get("INPAINTLAB_SHARDS_GB", "50")
    try:
        return int(float(chosen) * 1e9)
    except ValueError:
        raise ValueError(f"INPAINTLAB_SHARDS_GB={chosen} is not a number; give a number of gigabytes.") from None


@final
class Storage:
    """The files below a folder or a URL.

    Args:
        root: the folder's path, or a URL of one of ``SCHEMES``.

    Raises:
        ValueError: a URL of another kind.
    """

    def __init__(self, root: str) -> None:
        self.scheme = root.partition("://")[0].lower() if "://" in root else ""
        if "::" in root or root.startswith("pipe:") or (self.scheme and self.scheme not in SCHEMES):
            raise ValueError(f"data.root={root} is neither a folder nor a URL of these kinds: {', '.join(SCHEMES)}.")
        self.root = root.rstrip("/") if self.scheme else str(Path(root).expanduser().absolute())

    @property
    def remote(self) -> bool:
        """Whether files have to be fetched."""
        return bool(self.scheme)

    def place(self, file: str) -> str:
        """The path or URL of a file, for people."""
        return f"{self.root}/{file}"

    def read(self, file: str) -> bytes:
        """All bytes of a small file, which is not cached.

        Raises:
            ValueError: it is not there or cannot be fetched.
        """
        if not self.remote:
            try:
                return Path(self.root, file).read_bytes()
            except FileNotFoundError as error:
                raise ValueError(f"{self.place(file)} does not exist; check data.root.") from error
        with alone(cache_folder() / ".listing.lock"):
            part = cache_folder() / "listing.partial"
            try:
                self._fetch(file, part)
                return part.read_bytes()
            finally:
                part.unlink(missing_ok=True)

    def path(self, file: str, sha256: str) -> Path:
        """Where a file lies on this machine. One behind a URL is fetched first, unless it is in the cache.

        A fetched file is checked against its hash; a file of a folder is not, because that would read all of it.

        Args:
            file: its path below the root.
            sha256: its hash, in hex.

        Raises:
            ValueError: it is not there, cannot be fetched, or is not the one of this hash.
        """
        if not self.remote:
            return Path(self.root, file)
        cached = cache_folder() / sha256
        if not _touched(cached):
            # one lock for many names: each lock is a file, and there may be millions of names
            with alone(cached.parent / f".{sha256[:2]}.lock"):
                if not _touched(cached):  # another process may have fetched it in the meantime
                    self._fetch_checked(file, sha256, cached)
        return cached

    def _fetch_checked(self, file: str, sha256: str, cached: Path) -> None:
        part = cached.with_name(f"{sha256}.partial")
        try:
            self._fetch(file, part)
            found = file_sha256(part)
            if found != sha256:
                raise ValueError(
                    f"What came from {self.place(file)} is not what its list promises (SHA-256 {found}, expected "
                    f"{sha256}); check it there with verify=true."
                )
            _make_room(cached.parent, part.stat().st_size)
            os.replace(part, cached)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, file: str, to: Path) -> None:
        """Receive a file, in several tries: over a run of weeks some server restarts."""
        for pause in (*PAUSES, None):
            try:
                self._receive(file, to)
                return
            except FileNotFoundError as error:
                raise ValueError(f"{self.place(file)} does not exist; check data.root.") from error
            except ImportError as error:
                raise ValueError(f"{self.scheme}:// needs another package: {error}.") from error
            except Exception as error:  # each kind of storage has its own kinds of error
                if pause is None:
                    raise ValueError(
                        f"{self.place(file)} cannot be fetched to {to.parent} ({type(error).__name__}: {error}); the "
                        "same command continues when it can."
                    ) from error
                time.sleep(pause)

    def _receive(self, file: str, to: Path) -> None:
        from fsspec.core import url_to_fs  # brings asyncio; runs on local files need neither

        system, path = url_to_fs(self.place(file), **self._options())
        system.get_file(path, str(to))

    def _options(self) -> dict[str, Any]:
        if self.scheme not in ("http", "https"):
            return {}
        from aiohttp import ClientTimeout

        # By default a transfer that is not over after five minutes fails, and proxies of the environment are ignored.
        return {"client_kwargs": {"trust_env": True, "timeout": ClientTimeout(total=None, sock_read=TIMEOUT)}}


def _touched(cached: Path) -> bool:
    """Whether a file is cached; if so it counts as just used."""
    try:
        os.utime(cached)
    except FileNotFoundError:
        return False
    return True


def _make_room(folder: Path, needed: int) -> None:
    """Delete the least recently used files until ``needed`` bytes fit; an open one stays readable until closed."""
    cached = []
    for path in folder.iterdir():
        if re.fullmatch(r"[0-9a-f]{64}", path.name):
            try:
                cached.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue  # another process made room as well
    total = sum(size for _, size, _ in cached) + needed
    for _, size, path in sorted(cached):
        if total <= cache_limit():
            break
        path.unlink(missing_ok=True)
        total -= size
