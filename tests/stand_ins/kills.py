"""A training that is killed where a test wants it."""

import signal
import time
from pathlib import Path

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
