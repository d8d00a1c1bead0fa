"""Processes that do not outlive the one that started them, even where that one was killed."""

import os
import signal
import sys
import threading
import time

PARENT = "INPAINTLAB_PARENT"
"""The environment variable that makes a training end with the process that started it; it holds that process's id."""


def end_with_parent() -> None:
    """Ask this process to end (SIGTERM) once the one that started it is gone, even by a SIGKILL."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def end_with_first(seconds: float = 10.0) -> None:
    """End this process ``seconds`` after the one that started it is gone, wherever it waits.

    For the processes beside the first one, which Lightning starts and does not watch. On the CPU the broken connection
    ends such a process sooner; on a GPU it could wait for an answer forever.

    Args:
        seconds: time that the process gets to end by itself.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        time.sleep(seconds)
        print("inpaintlab train: the first process is gone; this one ends as well.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="end-with-first").start()
