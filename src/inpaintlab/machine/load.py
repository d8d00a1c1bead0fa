"""How many cores there are, and how many of them other processes keep busy while this one measures a time."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.25  # busy cores of other processes above which a measured time counts as disturbed
SHORTEST = 0.25  # seconds that a measurement must last to give a load, because the system counts in ticks
_TICKS = 100  # a second, in the units that Linux shows to programs


def cores() -> int:
    """Cores that this process may use; a batch system may allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Work:
    """What a machine has done since it started: seconds, summed over its cores."""

    seconds: float
    cores: int


def work_of_machine() -> Work | None:
    """The work of all processes, of the kernel and, on a virtual machine, of its neighbours; None beyond Linux."""
    try:
        lines = STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    of_all, *of_each = [line.split() for line in lines if line.startswith("cpu")]
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = (int(field) for field in of_all[1:9])
    return Work((user + nice + system + interrupts + soft + stolen) / _TICKS, len(of_each))


@dataclass(frozen=True)
class Clocks:
    """What a measurement reads: the time, the processor time of this process, and the work of the machine."""

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.process_time
    machine: Callable[[], Work | None] = work_of_machine


@dataclass
class Load:
    """The load that others put on the machine while something was measured.

    Both are None where the system does not report it, or where the time was too short to measure it.
    """

    clocks: Clocks = field(default_factory=Clocks)
    others: float | None = None
    """Cores that others kept busy, on average."""
    cores: int | None = None
    """Cores that the machine has."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure the load while the context lasts: this process's work is its own, all other work is the others'."""
        before = self.clocks.machine()
        start, own = self.clocks.wall(), self.clocks.own()
        yield
        wall, own = self.clocks.wall() - start, self.clocks.own() - own
        after = self.clocks.machine()
        if before is None or after is None or wall < SHORTEST:
            return
        others = (after.seconds - before.seconds - own) / wall
        if others > -QUIET:  # ticks may come late; less than our own work means that a sandbox hides the true count
            self.others, self.cores = min(max(0.0, others), float(after.cores)), after.cores
