"""Processes that do not outlive the one that started them, even where that one was killed."""

import os
import signal
import sys
import threading
import time

PARENT = "INPAINTLAB_PARENT"
"""The variable that makes a training end when the process that started it is gone: that process's id."""


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

    For the processes beside the first one, which Lightning starts and nobody else watches. On the CPU the connection
    breaks at once and the process ends by itself before; a wait for a GPU's answer it would not leave.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        time.sleep(seconds)
        print("inpaintlab train: the first process is gone; this one ends as well.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="end-with-first").start()
