"""Locks that the system frees when their holder ends, even by a SIGKILL.

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
# Record locks do not keep the threads of one process apart; these do.
_of_threads: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


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
        """Free the lock, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.free()


def is_held_by_another(path: Path) -> bool:
    """Whether another process holds the lock on a file; False if the file is missing or may not be opened."""
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
    """Run the context in one thread of one process at a time; the others wait.

    Args:
        path: the lock's file; its folder is made.
        waiting: called once if this thread has to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    of_threads, lock = _of_threads[str(path.absolute())], Lock(path)
    if at_once := of_threads.acquire(blocking=False):
        at_once = lock.take()
    else:
        of_threads.acquire()
    try:
        if not at_once:
            waiting()
            lock.take(seconds=None)
        yield
    finally:
        lock.free()
        of_threads.release()
