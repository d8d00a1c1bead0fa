"""Locks that the system frees when their holder ends, however that happens.

They are POSIX record locks. filelock's and ``flock``'s belong to the open file, which child processes inherit: a
loader's workers, which may outlive a killed training by seconds, would go on holding them.
"""

import errno
import os
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN)  # what POSIX lets a system say; anything else means that it cannot lock
_here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # a process's own threads, which records let in


@final
class Lock:
    """A lock on a file, between processes: one alone, or several that share it.

    Where a file system knows no locks, it is taken as if it did, with a warning: two processes at once are then the
    user's to prevent, but one alone is not kept from its work.

    A process must not open the file of a lock that it holds for anything else: closing it would free the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def take(self, *, shared: bool = False, seconds: float | None = 0.0) -> bool:
        """Take the lock, or change how it is held; whether that was granted.

        Args:
            shared: beside others that share it.
            seconds: how long to try; None waits for as long as it takes.

        Raises:
            OSError: the file cannot be made.
        """
        try:
            import fcntl  # not on Windows
        except ImportError:
            return True
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                fcntl.lockf(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                return True
            except OSError as error:
                if error.errno not in _HELD_BY_ANOTHER:
                    warnings.warn(
                        f"The file system of {self.path.parent} knows no locks ({error.strerror}): see to it yourself "
                        "that no two processes write there at once.",
                        stacklevel=2,
                    )
                    return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.05)

    def free(self) -> None:
        """Let go; nothing where it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.free()


def is_held_by_another(path: Path) -> bool:
    """Whether another process holds the lock on a file; False where there is none, or it is not ours to look at."""
    if not path.is_file():
        return False
    lock = Lock(path)
    try:
        return not lock.take()
    except OSError:
        return False
    finally:
        lock.free()


@contextmanager
def alone(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One thread of one process at a time, the others wait.

    Args:
        path: the lock's file; its folder is made.
        waiting: called once by who has to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    here, lock = _here[str(path.absolute())], Lock(path)
    if at_once := here.acquire(blocking=False):
        at_once = lock.take()
    else:
        here.acquire()
    try:
        if not at_once:
            waiting()
            lock.take(seconds=None)
        yield
    finally:
        lock.free()
        here.release()
