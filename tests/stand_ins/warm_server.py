"""The program behind ``stand_ins.warm``: it imports what the commands import, and forks for each command line.

``python warm_server.py SOCKET`` gets its requests over the inherited socket. A fork goes out of the loop to the end of
this file, so that it ends as Python ends any program: exit code, trace, threads, atexit.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

# Without polars, which starts threads when it is imported, and so without the wings that use it.
IMPORTED = ("inpaintlab.importers", "inpaintlab.training", "inpaintlab.sweeps", "hydra.core.plugins")


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
        threads = os.listdir("/proc/self/task")
        assert len(threads) == 1, f"a fork would lack {len(threads) - 1} threads that an import started"
        process = os.fork()
        if not process:
            connection.close()
            for target, file in enumerate(files, start=1):
                os.dup2(file, target)
        for file in files:
            os.close(file)
        if not process:
            return request
        connection.send(json.dumps(process).encode())


def become(request: dict[str, Any]) -> None:
    """Take folder, variables, path and arguments, as a process that was started with them would have them."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["command"]
    sys.orig_argv = [sys.executable, *sys.argv]
    first = request["cwd"] if sys.argv[0] == "-m" else str(Path(sys.argv[0]).parent)
    sys.path[:0] = [first, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    numpy.random.seed()  # the one generator that a fork would share; Python's own sees to itself


for name in IMPORTED:
    importlib.import_module(name)
import numpy  # noqa: E402

del sys.path[0]  # the folder of this file, where the commands would look for modules
gc.freeze()  # what is imported stays, and memory that no collection touches stays shared
become(forked(socket.socket(fileno=int(sys.argv[1]))))
if sys.argv[0] == "-m":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
