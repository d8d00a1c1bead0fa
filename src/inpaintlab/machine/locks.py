"""Locks that the system frees when their holder ends, even by a SIGKILL.

They are POSIX record locks. filelock's and ``flock``'s belong to the open file, which child processes inherit: a
loader's workers, which may outlive a killed training by seconds, would go on holding them.
"""

import errno
import os
import struct
import sys
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN)  # what POSIX lets a system say; anything else means that it cannot lock
# Record locks do not keep the threads of one process apart; these do.
_of_threads: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_warned: set[Path] = set()
"""Folders whose file system was said to know no locks; once a process is enough."""


@final
class Lock:
    """A lock on a file, between processes: exclusive, or shared by several.

    On a file system without locks, ``take`` warns and grants the lock. The user then has to keep two processes apart,
    but a single one can work.

    A process must not open the file of a lock that it holds for anything else: closing it would free the lock.

    Args:
        path: the lock's file, which ``take`` creates in a folder that exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._held = False

    def take(self, *, shared: bool = False, seconds: float | None = 0.0) -> bool:
        """Take the lock, or turn one that is held from exclusive to shared or back.

        Args:
            shared: whether others may share it.
            seconds: how long to try; None waits for as long as it takes.

        Returns:
            Whether the lock was granted.

        Raises:
            OSError: the file cannot be made.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            if self._file is None:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            if self._ask(shared):
                self._held = self._is_in_place()
                if self._held:
                    return True
                self.free()  # its last holder removed the file meanwhile, so others would lock another one
            elif deadline is not None and time.monotonic() >= deadline:
                return False
            else:
                time.sleep(0.05)

    def _ask(self, shared: bool) -> bool:
        try:
            import fcntl  # not on Windows
        except ImportError:
            return True
        assert self._file is not None
        try:
            fcntl.lockf(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            _warn(self.path.parent, error)
        return True

    def _is_in_place(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            return False

    def free(self) -> None:
        """Free the lock, if it is held."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._held = None, False

    def remove(self) -> None:
        """Free the lock, and remove its file if it was held; those who wait for it make another."""
        if self._held:
            self.path.unlink(missing_ok=True)
        self.free()

    def __del__(self) -> None:
        self.free()


def _warn(folder: Path, error: OSError) -> None:
    if folder.absolute() not in _warned:
        _warned.add(folder.absolute())
        warnings.warn(
            f"The file system of {folder} knows no locks ({error.strerror}): see to it yourself that no two processes "
            "write there at once.",
            stacklevel=4,
        )


def is_held_by_another(path: Path) -> bool:
    """Whether another process holds the lock on a file; False if the file is missing or may not be opened.

    It only looks. Taking the lock, even for an instant, would refuse it to whoever wants it at that moment, and two who
    look at the same time would take each other for the holder.
    """
    try:
        import fcntl
    except ImportError:
        return False
    # struct flock: kind, whence, start, length and holder; Apple's has another order
    order, kind = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi", 0)
    wanted = [0, 0, 0, 0, 0]
    wanted[kind] = fcntl.F_WRLCK
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(order, *wanted))
    except OSError:  # no locks here, so nobody holds one
        return False
    finally:
        os.close(file)
    return struct.unpack(order, answer)[kind] != fcntl.F_UNLCK


@contextmanager
def alone(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Run the context in one thread of one process at a time; the others wait.

    Args:
        path: the lock's file; its folder is made, and the file is removed at the end.
        waiting: called once if this thread has to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    of_threads, lock = _of_threads[str(path.absolute())], Lock(path)
    at_once = of_threads.acquire(blocking=False) or not of_threads.acquire()
    try:
        if not (at_once and lock.take()):
            waiting()
            lock.take(seconds=None)
        yield
    finally:
        lock.remove()
        of_threads.release()
