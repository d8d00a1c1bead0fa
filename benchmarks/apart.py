"""Work in a process of its own, which is killed with all that it started when it takes too long."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from benchmarks.process import quieten

PRELOADED = "benchmarks.cases"
"""What the server of the processes imports, which takes seconds, before the first of them."""


class Unmeasured(Exception):  # noqa: N818  # no error: the run goes on
    """A case that gave no result, or not all of it; its text says why."""


def rows(
    work: Callable[..., Iterable[Any]],
    arguments: tuple[Any, ...],
    seconds: float,
    threads: int,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """What ``work(*arguments)`` gives, one by one as it comes, from a process of its own.

    The process comes from a server that has imported everything and has not touched a GPU. It leads a process group,
    which is killed at the end whatever happened (SIGKILL: Lightning catches SIGTERM, and a compiler has processes of
    its own).

    Args:
        work: a function of a module, whose rows can be pickled.
        arguments: can be pickled.
        seconds: that it may take in all.
        threads: of torch.
        variables: of its environment, beside those of this process.

    Raises:
        Unmeasured: it took too long, refused, ran out of memory, failed, or died.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(send, work, arguments, threads, variables or {}))
    end = time.monotonic() + seconds
    process.start()
    send.close()
    try:
        while True:
            if not receive.poll(max(0.0, end - time.monotonic())):
                raise Unmeasured(f"ended after {seconds:.0f} s")
            try:
                kind, content = receive.recv()
            except EOFError:
                process.join()
                raise Unmeasured(f"its process died (exit code {process.exitcode})") from None
            if kind == "done":
                return
            if kind == "failed":
                raise Unmeasured(content)
            yield content
    finally:
        _kill(process)
        receive.close()


def _kill(process: Any) -> None:
    """Kill a process and its group, which it may not have founded yet."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _work(
    send: Connection,
    work: Callable[..., Iterable[Any]],
    arguments: tuple[Any, ...],
    threads: int,
    variables: Mapping[str, str],
) -> None:
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(variables)
    quieten()
    torch.set_num_threads(threads)
    try:
        for row in work(*arguments):
            send.send(("row", row))
    except torch.OutOfMemoryError:
        send.send(("failed", "the GPU's memory is too small"))
    except ValueError as error:
        send.send(("failed", str(error)))
    except Exception as error:  # told with the case; the others are measured all the same
        traceback.print_exc()
        send.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
    else:
        send.send(("done", None))


def _end_with_parent() -> None:
    """Kill this process group once the benchmark itself is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)
