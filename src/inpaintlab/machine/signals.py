"""How a process is asked to end: by a signal of a scheduler, of a user, or of the process that started it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

REQUEUE = 75
"""The exit code of a training that was asked to end and saved: the same command goes on (EX_TEMPFAIL of sysexits.h)."""


INTERRUPTED = 130
"""The exit code of a training that Ctrl-C ended after it saved, as shells have it."""


# SLURM sends what --signal names, submitit USR2; both before the time is up, and TERM when it is
_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


_SECONDS_OF_ONE_REQUEST = 5.0  # a scheduler signals every process, and each passes it on to its children


def was_asked(code: int) -> bool:
    """Whether a process with this exit code (negative: the signal that ended it) ended because it was asked to."""
    return code in (REQUEUE, INTERRUPTED) or -code in _ASKING


@final
class Request:
    """What was asked of this process so far.

    Before ``begin`` a signal ends the process where it stands, since nothing would be lost. From then on the first one
    is kept, for the training to end at its next opportunity. A second Ctrl-C ends the process at once, and so does a
    SIGTERM that comes more than five seconds after the first.

    Attributes:
        code: the exit code that was asked for, ``REQUEUE`` or ``INTERRUPTED``; 0 while nothing was.
        children: processes that a sudden end takes along.
    """

    def __init__(self) -> None:
        self.code = 0
        self.children: list[subprocess.Popen[bytes]] = []
        self._begun = False
        self._ending: int | None = None
        self._since = 0.0

    def begin(self) -> None:
        """Keep requests from now on."""
        self._begun = True

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal: what is registered for those that ask.

        Raises:
            SystemExit: nothing has begun.
        """
        if number in (signal.SIGTERM, signal.SIGINT):
            late = time.monotonic() - self._since > _SECONDS_OF_ONE_REQUEST
            if self._ending is not None and (late or number == self._ending == signal.SIGINT):
                self._end_at_once(number)
            if self._ending is None:
                self._ending, self._since = number, time.monotonic()
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
    """Hear what asks this process to end, for a while; nothing outside of the main thread, which alone can."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in _ASKING}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_requests(worker: int = 0) -> None:
    """Let a process that prepares batches go on while its parent, which was asked to end as well, finishes a batch.

    Only its parent's SIGTERM ends it then; and it ends by itself once the parent is gone.

    Args:
        worker: its number, which the loader gives and which makes no difference.
    """
    if sys.platform == "darwin":  # which cannot tell who sent a signal
        return
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)

    def wait() -> None:
        while True:
            asked = signal.sigwaitinfo(_ASKING)
            if asked.si_signo == signal.SIGTERM and asked.si_pid == parent:
                os._exit(0)  # the loader takes any other code for a failure

    threading.Thread(target=wait, daemon=True).start()


def _name(number: int) -> str:
    return signal.Signals(number).name
