"""The signals that ask a process to end: from a scheduler, a user, or the process that started it."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

REQUEUE = 75
"""The exit code of a training that saved and ended on request (EX_TEMPFAIL of sysexits.h).

The same command resumes it.
"""

INTERRUPTED = 130
"""The exit code of a training that saved and ended on Ctrl-C, as shells use it."""

# Before the time limit SLURM sends the signal that --signal names and submitit sends USR2; at the limit comes TERM. HUP
# comes when the terminal is closed or its connection lost; Windows has none of the last three.
_REQUESTS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP") if hasattr(signal, name)
)
_SECONDS_OF_ONE_REQUEST = 5.0  # a scheduler signals every process, and each passes it on to its children


def was_asked(code: int) -> bool:
    """Whether a process ended on request.

    Args:
        code: its exit code; negative for the signal that killed it.
    """
    return code in (REQUEUE, INTERRUPTED) or -code in _REQUESTS


@final
class Request:
    """The request to end that this process has received, if any.

    Before ``begin`` a signal ends the process at once, since nothing is lost. After it, the first signal is remembered
    and the training ends at its next opportunity. A second Ctrl-C ends the process at once, and so does a SIGTERM that
    comes more than five seconds after the first.

    Attributes:
        code: the exit code to end with, ``REQUEUE`` or ``INTERRUPTED``; 0 while no signal came.
        children: processes that are killed when this one ends at once.
    """

    def __init__(self) -> None:
        self.code = 0
        self.children: list[subprocess.Popen[bytes]] = []
        self._begun = False
        self._ending: int | None = None
        self._since = 0.0

    def begin(self) -> None:
        """Remember requests from now on, instead of ending at once."""
        self._begun = True

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal; ``receiving_requests`` registers this for each of them.

        Args:
            number: of the signal.
            frame: not used; Python passes it to every handler.

        Raises:
            SystemExit: ``begin`` was not called yet.
        """
        if number in (signal.SIGTERM, signal.SIGINT):
            late = time.monotonic() - self._since > _SECONDS_OF_ONE_REQUEST
            if self._ending is not None and (late or number == self._ending == signal.SIGINT):
                self._end_at_once(number)
            if self._ending is None:
                self._ending, self._since = number, time.monotonic()
        if _name(number) == "SIGHUP":
            _leave_lost_terminal()
        self.code = self.code or (INTERRUPTED if number == signal.SIGINT else REQUEUE)
        if not self._begun:
            if os.environ.get("LOCAL_RANK", "0") == "0":
                print(f"ended by {_name(number)} before the first batch: the same command starts again", flush=True)
            sys.exit(self.code)

    def _end_at_once(self, number: int) -> None:
        for child in self.children:
            child.kill()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def receiving_requests() -> Iterator[Request]:
    """Receive the signals that ask this process to end, while the context lasts.

    A process that ignores SIGHUP, because ``nohup`` started it, goes on ignoring it. Outside the main thread nothing is
    received: Python lets only the main one register handlers.

    Yields:
        The request, which a signal changes.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in _REQUESTS if not _by_nohup(number)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_tidily() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, by an exception, while the context lasts.

    So what is unfinished is tidied up on the way. A second signal ends the process at once. Outside the main thread
    nothing changes: Python lets only the main one register handlers.

    Raises:
        SystemExit: a signal came; its code is 128 and the signal's number, as shells have it.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if _name(number) == "SIGHUP":
            _leave_lost_terminal()
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = [number for number in _REQUESTS if _name(number) in ("SIGTERM", "SIGHUP") and not _by_nohup(number)]
    before = {number: signal.signal(number, leave) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_requests(worker: int = 0) -> None:
    """Let a data loader's worker go on after a request to end, so that its parent can finish a batch.

    A scheduler signals both of them. Only the parent's SIGTERM ends the worker; once the parent is gone, it ends by
    itself.

    Args:
        worker: its number, which the loader passes; not used.
    """
    if sys.platform == "darwin":  # which does not say who sent a signal
        return
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)

    def wait() -> None:
        while True:
            received = signal.sigwaitinfo(_REQUESTS)
            if received.si_signo == signal.SIGTERM and received.si_pid == parent:
                os._exit(0)  # the loader takes any other code for a failure

    threading.Thread(target=wait, daemon=True).start()


def _by_nohup(number: int) -> bool:
    return _name(number) == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN


def _leave_lost_terminal() -> None:
    """Write to nowhere in place of a terminal that is gone: a line to it raises an error, also before a checkpoint."""
    for stream in (1, 2):  # file descriptors of standard output and standard error
        try:
            device = stat.S_ISCHR(os.fstat(stream).st_mode)
        except OSError:  # closed by whoever started the process
            continue
        if device and not os.isatty(stream):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)


def _name(number: int) -> str:
    return signal.Signals(number).name
