"""The run: one case after the other, each in a process of its own, with the results on disk after every row."""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import apart, photographs, tables
from benchmarks.cases import Task
from benchmarks.settings import Settings

LONGEST = 1800.0
"""Seconds of a case where the run has no end: longer than any takes, so what takes longer hangs."""

SPARE = 0.03
"""The share of a bounded run that is left at its end for the tables, and for Python to end."""


class Clock:
    """The time that a run has, and what it gives to each case.

    No case gets more than a third of a bounded run, so that what hangs leaves time for the others. Tasks that are not
    sure, such as compiled steps, do not get the time that later ones which are sure need; at most two thirds of what is
    left are kept for those. A task is not started when all of its kind that came to an end took longer than is left.

    Args:
        minutes: of the whole run; None: as long as it takes.
        started: when it began, on ``now``'s clock.
        now: seconds since any moment.
    """

    def __init__(self, minutes: float | None, started: float, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.whole = None if minutes is None else 60 * minutes
        self.end = None if self.whole is None else started + (1 - SPARE) * self.whole
        self.taken: dict[str, list[float]] = defaultdict(list)

    def seconds_for(self, task: Task, later: Sequence[Task]) -> float:
        """The seconds that a task may take; 0 if it is not to be started.

        Args:
            task: the next one.
            later: those after it.
        """
        if self.whole is None or self.end is None:
            return LONGEST
        left = self.end - self.now()
        kept = 0.0 if task.sure else min(left * 2 / 3, sum(self._expected(other) for other in later if other.sure))
        free = left - kept
        if free <= 0 or free < min(self.taken[task.kind], default=0.0):
            return 0.0
        return min(free, self.whole / 3)

    def note(self, task: Task, seconds: float) -> None:
        """Learn from the time of a task that came to an end; one that hung says nothing of others."""
        self.taken[task.kind].append(seconds)

    def _expected(self, task: Task) -> float:
        assert self.whole is not None
        return statistics.fmean(self.taken[task.kind] or [self.whole / 40])


def measure(
    todo: Sequence[Task],
    settings: Settings,
    results: dict[str, Any],
    save: Callable[[], None],
    clock: Clock,
) -> None:
    """Measure the tasks, and add their rows to the results, which are saved after each.

    What gives no result is in ``results["left_out"]`` with the reason: no time was left, it was ended, it failed.

    Args:
        todo: in their order.
        settings: of the benchmark.
        results: the content of the JSON file.
        save: writes it.
        clock: of the run.
    """
    assert settings.threads is not None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # nothing that an earlier run has compiled shortens the first steps of this one
        variables = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
        root = Path(settings.images) if settings.images else photographs.write(folder / "photographs", settings.side)
        for place, task in enumerate(todo):
            seconds = clock.seconds_for(task, todo[place + 1 :])
            began = clock.now()
            if not seconds:
                _leave_out(task, "not measured: no time left", results)
                continue
            try:
                given = (root, folder, settings, *task.arguments)
                for row in apart.rows(task.rows, given, seconds, settings.threads, variables):
                    _add(task, row, results)
                    save()
            except apart.Unmeasured as reason:
                _leave_out(task, str(reason), results)
                save()
            else:
                clock.note(task, clock.now() - began)


def _add(task: Task, row: dict[str, Any], results: dict[str, Any]) -> None:
    if task.part == "ceilings":
        results["ceilings"] = row
    else:
        results[task.part].append(row)
    say(tables.line(task.name, task.part, row, results))


def _leave_out(task: Task, reason: str, results: dict[str, Any]) -> None:
    results["left_out"].append({"name": task.name, "reason": reason})
    say(f"{task.name}: {reason}")


def say(words: str) -> None:
    """Print a line of progress to stderr, which keeps stdout for the tables."""
    print(words, file=sys.stderr, flush=True)
