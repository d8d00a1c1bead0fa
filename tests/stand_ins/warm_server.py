"""The program behind ``stand_ins.warm``: it imports what the commands import, and forks for each command line.

``python warm_server.py SOCKET`` gets its requests over the inherited socket. A fork goes out of the loop to the end of
this file, so that it ends as Python ends any program: exit code, trace, threads, atexit.

What a fork starts in its turn (a process a device, a job of a sweep, an evaluation of a study) is forked as well:
beside each fork stands another one, untouched, and what that one forks becomes a child of the first.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Without polars, which starts threads when it is imported, and so without the wings that use it.
IMPORTED = ("inpaintlab.importers", "inpaintlab.training", "inpaintlab.sweeps", "hydra.core.plugins")


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
prctl = ctypes.CDLL(None).prctl
READ_AT_THE_START = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "PYTHONHASHSEED")}
"""What a process with other values of these needs a Python of its own for."""


def forked(connection: socket.socket) -> dict[str, Any]:
    """Answer requests until none can come; what a fork, which alone returns, is to run."""
    while True:
        message, files, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            connection.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            continue
        process = fork()
        if not process:
            connection.close()
            take(files)
            return request
        for file in files:
            os.close(file)
        connection.send(json.dumps(process).encode())


def fork() -> int:
    """``os.fork`` where it gives a whole process."""
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"a fork would lack {len(threads) - 1} threads that an import started"
    return os.fork()


def take(files: list[int]) -> None:
    """Let files be the standard output, error and, where there is a third one, input."""
    for target, file in zip((1, 2, 0), files, strict=False):
        os.dup2(file, target)
    for file in files:
        os.close(file)


def beside() -> str | dict[str, Any]:
    """Fork a process that stands ready to fork what this one will start.

    Returns:
        The address where it is asked; in what it forks, which returns too, what that is to run.
    """
    listening, parent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), os.getpid()
    listening.bind("")  # the system chooses an address, of no file
    listening.listen()
    if fork():
        with listening:
            return listening.getsockname().decode("latin-1")
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    os.setpgid(0, 0)  # signals to its parent's group are not for it
    take([os.open(os.devnull, os.O_RDWR) for _ in range(3)])
    while True:
        connection, _ = listening.accept()
        message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            os._exit(0)
        here, there = os.pipe()
        between = fork()
        if not between:  # it ends at once, and leaves its child to its grandparent
            between = os.getpid()
            if child := os.fork():
                os.write(there, str(child).encode())
                os._exit(0)
            while os.getppid() == between:
                time.sleep(0.001)
            for file in (here, there):
                os.close(file)
            listening.close()
            connection.close()
            take(files)
            request = json.loads(message)
            os.setpgid(0, request["group"])
            return request
        os.waitpid(between, 0)
        connection.send(os.read(here, 100))
        for file in (here, there, *files):
            os.close(file)
        connection.close()


def fork_what_is_started(address: str) -> None:
    """Let ``subprocess`` have its Python programs forked by the process that stands ready at an address."""
    start, lock = subprocess.Popen._execute_child, threading.Lock()

    def execute(self: Any, args: Any, *given: Any) -> None:
        executable, prepare, close, passed, folder, variables, _, _, shell, *rest = given
        pipes, (_, group_id, groups, user, mask, session, group) = rest[:6], rest[6:]
        asked = (executable, prepare, close, passed, shell, group_id, groups, user, mask, session, group)
        usual = asked == (None, None, True, (), False, None, None, None, -1, False, -1)
        words = [os.fsdecode(word) for word in args] if isinstance(args, (list, tuple)) else []
        program = words[2:] if words[1:2] == ["-u"] else words[1:]
        environment = dict(os.environ if variables is None else variables)
        python = words[:1] == [sys.executable] and program and (program[0] == "-m" or not program[0].startswith("-"))
        if not (usual and python) or any(environment.get(name) != value for name, value in READ_AT_THE_START.items()):
            start(self, args, *given)
            return
        request = {"command": program, "cwd": os.path.abspath(os.fsdecode(folder or "")), "env": environment}
        request |= {"group": os.getpgrp(), "unbuffered": program != words[1:]}
        request["ignored"] = [int(one) for one in signal.valid_signals() if signal.getsignal(one) is signal.SIG_IGN]
        ends = [own if end == -1 else end for own, end in ((1, pipes[3]), (2, pipes[5]), (0, pipes[0]))]
        with lock, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(address.encode("latin-1"))
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            socket.send_fds(asking, [json.dumps(request).encode()], ends)
            self.pid = int(asking.recv(100))
            prctl(PR_SET_CHILD_SUBREAPER, 0)
        self._child_created = True
        self._close_pipe_fds(*pipes)

    subprocess.Popen._execute_child = execute  # type: ignore[attr-defined]


def become(request: dict[str, Any]) -> None:
    """Take folder, variables, path and arguments, as a process that was started with them would have them."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["command"]
    sys.orig_argv = [sys.executable, *sys.argv]
    first = request["cwd"] if sys.argv[0] == "-m" else str(Path(sys.argv[0]).absolute().parent)
    safe = os.environ.get("PYTHONSAFEPATH")
    sys.path[:0] = [*([] if safe else [first]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    for number in request.get("ignored", ()):
        signal.signal(number, signal.SIG_IGN)
    if request.get("unbuffered") or os.environ.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)
    numpy.random.seed()  # the one generator that a fork would share; Python's own sees to itself


for name in IMPORTED:
    importlib.import_module(name)
import numpy  # noqa: E402

del sys.path[0]  # the folder of this file, where the commands would look for modules
gc.freeze()  # what is imported stays, and memory that no collection touches stays shared
request = forked(socket.socket(fileno=int(sys.argv[1])))
while isinstance(found := beside(), dict):
    request = found
fork_what_is_started(found)
become(request)
if sys.argv[0] == "-m":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
