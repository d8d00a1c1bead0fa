"""A training, or a piece of work on files, that is killed where a test wants it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from inpaintlab.machine import files
from stand_ins.commands import checkpoint
from stand_ins.warm import Process


def kill_in_phase(process: Process, run_dir: Path, begin: int, end: int) -> int:
    """SIGKILL as soon as the checkpoint lies inside the phase; the batches that it holds.

    The process is halted for each look, or a busy machine would let it run past the phase meanwhile.
    """
    last, deadline = run_dir / "last.ckpt", time.monotonic() + 120
    seen, stands = 0, 0
    while stands <= begin:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not get to the phase in time"
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        if last.is_file() and (written := last.stat().st_mtime_ns) != seen:  # reading it takes longer than a batch
            seen, stands = written, int(checkpoint(run_dir)["inpaintlab"]["iterations"])
    process.kill()
    assert process.wait() == -9
    done = int(checkpoint(run_dir)["inpaintlab"]["iterations"])
    assert begin < done < end, f"killed after {done} batches, outside of {begin} to {end}: make the phases longer"
    return done


def ended_at(call: int, work: Callable[[], object]) -> bool:
    """Run ``work`` in a process that dies, with no chance to tidy up, at its n-th call that changes a folder.

    Returns:
        Whether it died; False if it ended before that call.
    """
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    left = call

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"):
            left -= 1
            if left < 0:
                os._exit(9)

    try:
        files._tidied.clear()  # as a process that was not forked begins
        sys.addaudithook(count)
        work()
    finally:
        os._exit(0)


def at_once(works: list[Callable[[], int]], seconds: float = 60.0) -> list[int]:
    """Do each work in a process of its own, all of them from the same instant on.

    Returns:
        What each of them returned; 9 for one that raised an error, -14 for one that did not end in time.
    """
    ready, go = os.pipe()
    processes = []
    for work in works:
        process = os.fork()
        if not process:
            code = 9
            try:
                files._tidied.clear()
                os.close(go)
                signal.alarm(round(seconds))
                os.read(ready, 1)  # ends for all of them, when the other end is closed
                code = work()
            finally:
                os._exit(code)
        processes.append(process)
    os.close(ready)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
