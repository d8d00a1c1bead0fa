"""What became of a process that loads images, in one sentence: torch tells it by a trace of its own code."""

import re
import shutil
import signal
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar, final

_SHARED_MEMORY = "/dev/shm"
_LOADS = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ?]+)\) (?:is killed by signal: (.*?)\.|exited unexpectedly)"
)
_SHARES = re.compile(r"shared memory|</?torch_|unable to (?:write to|resize|mmap|allocate|open)[^\n]*file <")


_Result = TypeVar("_Result")
_KINDS = (RuntimeError, OSError, EOFError, MemoryError)


class LoaderError(OSError):
    """A process that loads images has ended, or finds no room for what it loads; the message says what to do."""


def loading_explained(work: Callable[[], _Result], workers: str, batch_size: str) -> _Result:
    """Do some work, and explain in one sentence if images are no longer loaded for it.

    This is no context manager, because torch may raise its error a second time, and would hit the lines of Python that
    leave one.

    Args:
        work: what needs the images.
        workers: the setting that says how many processes load images.
        batch_size: the setting that says how many images are in a batch.

    Raises:
        LoaderError: a process that loads images was killed, or the machine has no room for what it loads.
    """
    try:
        try:
            return work()
        except _KINDS:
            hear_no_more_of_loaders()
            raise
    except _KINDS as error:
        if reason := _reason(_words(error), workers, batch_size):
            raise LoaderError(f"{reason} The same command goes on from what is saved.") from error
        raise


def hear_no_more_of_loaders() -> None:
    """Let torch raise no further error for a loading process that has ended; it would hit what tidies up."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@final
class EndsBetweenSteps:
    """Lets a training hear of the end of a loading process between two steps.

    torch raises its error from a handler of SIGCHLD, in whatever line this process is: in the middle of a step nothing
    could be saved any more.
    """

    def __init__(self) -> None:
        self.in_step = False
        self._of_torch: Callable[[int, FrameType | None], Any] | None = None
        self._waiting = False

    def begin(self) -> None:
        """A step begins; torch has set its handler by then."""
        self.in_step = True
        handler = signal.getsignal(signal.SIGCHLD)
        fresh = self._of_torch is None and callable(handler)
        if fresh and threading.current_thread() is threading.main_thread():
            self._of_torch = handler  # type: ignore[assignment]
            signal.signal(signal.SIGCHLD, self._receive)

    def end(self) -> None:
        """A step has ended.

        Raises:
            RuntimeError: a loading process has ended meanwhile.
        """
        self.in_step = False
        if self._waiting and self._of_torch is not None:
            self._waiting = False
            self._of_torch(signal.SIGCHLD, None)

    def leave(self) -> None:
        """Give the signal back to torch."""
        if self._of_torch is not None and signal.getsignal(signal.SIGCHLD) == self._receive:
            signal.signal(signal.SIGCHLD, self._of_torch)
        self._of_torch = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.in_step:
            self._waiting = True
        elif self._of_torch is not None:
            self._of_torch(number, frame)


def is_loader_failure(error: BaseException) -> bool:
    """Whether an error tells that a process that loads images has ended or found no room."""
    return isinstance(error, _KINDS) and bool(_reason(_words(error), "", ""))


def _words(error: BaseException) -> str:
    """An error's message and that of its cause, which may know the signal that ended a process.

    Where a process ends while its batch is handed over, the broken connection is noticed first.
    """
    if isinstance(error, (ConnectionError, EOFError, FileNotFoundError)):
        called = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
        return "DataLoader worker (pid(s) ?) exited unexpectedly" if "_try_get_data" in called else ""
    return f"{error}\n{error.__cause__ or ''}"


def _reason(message: str, workers: str, batch_size: str) -> str:
    """Why images are no longer loaded, and what to do; empty if the message is about something else."""
    fewer = f"give fewer of these processes ({workers}=..., 0 for none)"
    ended = max(_LOADS.finditer(message), key=lambda found: bool(found[2]), default=None)
    if (ended and "Bus error" in message) or (_SHARES.search(message) and "No space left" in message):
        return (
            f"There is no room left in shared memory ({_room()}), through which images come from the processes that "
            f"load them: {fewer}, a smaller {batch_size}, or more shared memory (docker run --shm-size=8g)."
        )
    if _SHARES.search(message) and "File too large" in message:
        return (
            "The limit on the size of files (ulimit -f) is smaller than a batch in shared memory, through which images "
            f"come from the processes that load them: raise it (ulimit -f unlimited), or give {workers}=0."
        )
    if "Too many open files" in message and ("workers" in message or _SHARES.search(message)):
        return f"The limit on open files (ulimit -n) is too low: raise it (ulimit -n 65536), or {fewer}."
    if "received 0 items of ancdata" in message:
        return f"The limit on open files (ulimit -n) is too low: raise it (ulimit -n 65536), or {fewer}."
    if "MemoryError in DataLoader worker" in message or (_SHARES.search(message) and "allocate memory" in message):
        return f"There is no memory left for the processes that load images: {fewer} or a smaller {batch_size}."
    if ended is None:
        return ""
    which = "" if ended[1] == "?" else f" ({ended[1]})"
    if "Killed" in message or ended[2] is None:
        how = "was killed" if ended[2] else "has ended"
        return (
            f"A process that loads images{which} {how}, most likely because the machine has no memory left "
            f"(dmesg tells): {fewer} or a smaller {batch_size}."
        )
    return (
        f"A process that loads images{which} was ended by a signal ({ended[2]}), as by a damaged picture that a "
        f"library of pictures trips over, or a faulty one: {workers}=0 loads without it, and `inpaintlab doctor` reads "
        "every picture."
    )


def _room() -> str:
    try:
        return f"{_SHARED_MEMORY} has {shutil.disk_usage(_SHARED_MEMORY).total / 1e6:,.0f} MB"
    except OSError:
        return _SHARED_MEMORY
