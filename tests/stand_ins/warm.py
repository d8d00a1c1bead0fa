"""Processes for command lines without paying for their imports each time: 8 seconds of CPU, of which a fork needs none.

A process is forked from a server that has imported what the commands import (``warm_server.py``), and is otherwise
what ``subprocess`` would start: variables, folder, arguments, output, exit code and signals. It differs in three
things: it is not a child of the tests, ``/proc/PID/environ`` and ``cmdline`` are the server's, and ``PYTHONHASHSEED``
and ``sitecustomize``, which are read when Python starts, cannot be its own.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Server:
    """The process that forks; it ends with the tests, or when they end it.

    Args:
        folder: its home, where it says why it failed, and which goes with it.
        environment: its variables, which decide what imports read: threads, caches.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._connection, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder, self._said = folder, folder / "server.txt"
        with other, self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("warm_server.py"), str(other.fileno())],
                **{"pass_fds": [other.fileno()], "env": environment, "cwd": folder},
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said},
            )

    def ask(self, request: dict[str, Any], files: Sequence[int] = ()) -> int:
        """Its answer, a number, to a request that may hand over files."""
        socket.send_fds(self._connection, [json.dumps(request).encode()], files)
        answer = self._connection.recv(100)
        if not answer:
            raise RuntimeError(f"the server ended: {self._said.read_text()}")
        return int(answer)

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._connection.close()
        self._process.wait()
        shutil.rmtree(self._folder)


class Process:
    """A command line in a process of its own, with what tests use of ``subprocess.Popen``.

    Args:
        server: who forks it.
        command: a Python script or ``-m`` and a module, after ``sys.executable`` or not, and its arguments.
        cwd: the folder it runs in.
        environment: all of its variables.
        stdout: the descriptor that becomes its standard output; stays open here.
        stderr: likewise.

    Attributes:
        pid: its number.
        returncode: its exit code, negative for the signal that ended it, once somebody has waited for it.
    """

    def __init__(
        self, server: Server, command: tuple[str, ...], cwd: Path, environment: dict[str, str], stdout: int, stderr: int
    ) -> None:
        if command[0] == sys.executable:
            command = command[1:]
        if command[0] != "-m" and not Path(command[0]).is_file():
            raise ValueError(f"what follows {command[0]} needs a Python of its own: run_anew, start_anew")
        self._server = server
        self.returncode: int | None = None
        self.pid = server.ask({"command": command, "cwd": str(cwd), "env": environment}, [stdout, stderr])
        self._watch = os.pidfd_open(self.pid)  # until somebody waits, the number cannot become another's

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, after its end."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("inpaintlab", timeout or 0.0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._watch], [], [], timeout)[0]:
            self.returncode = self._server.ask({"wait": self.pid})
            os.close(self._watch)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._watch, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def outputs(process: Process, pipes: Sequence[int], timeout: float) -> list[str]:
    """What comes out of pipes until everybody has closed them.

    Raises:
        subprocess.TimeoutExpired: it took too long; the process was killed.
    """
    texts = {pipe: bytearray() for pipe in pipes}
    reading, deadline = list(pipes), time.monotonic() + timeout
    while reading:
        ready, _, _ = select.select(reading, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            process.kill()
            process.wait()
            told = [bytes(text) for text in texts.values()]
            raise subprocess.TimeoutExpired("inpaintlab", timeout, told[0], told[-1])
        for pipe in ready:
            data = os.read(pipe, 1 << 16)
            texts[pipe] += data
            if not data:
                reading.remove(pipe)
    return [text.decode().replace("\r\n", "\n") for text in texts.values()]
