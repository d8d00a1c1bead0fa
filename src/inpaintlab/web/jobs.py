"""One queue for all visitors: a thread works on one job after another, because there is one GPU or CPU."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal, final

from inpaintlab.web.visits import Made, RefusedError, Scene, Visit

MOST_WAITING = 64
"""Jobs in the queue, of all visitors."""

MOST_OF_A_VISIT = 3
"""Jobs of one visitor that are not done."""

_KEPT = 8
"""Jobs of one visitor that can be asked for; older ones are forgotten once they are done."""

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@final
class CancelledError(Exception):
    """A job's visitor does not want it any more, or the server ends."""


@final
class Job:
    """What a visitor waits for.

    Args:
        visit: whose it is.
        work: computes it; it calls `Job.tell` from time to time, which raises `CancelledError` to end it.
        scene: that it holds while it waits and runs; None holds nothing.
        room: bytes that its results may have.

    Attributes:
        state: how it stands.
        share: of it that is done, 0 to 1.
        method: the label of the one that runs.
        made: its pictures; once it is over, without their files.
        error: one sentence, of a job that failed.
    """

    def __init__(self, visit: Visit, work: "Callable[[Job], None]", scene: Scene | None = None, room: int = 0) -> None:
        self.name = secrets.token_urlsafe(12)
        self.visit, self.work, self.scene, self.room = visit, work, scene, room
        self.state: State = "waiting"
        self.share, self.method, self.error = 0.0, "", ""
        self.made: list[Made] = []
        self.began: float | None = None
        self.ended: float | None = None
        self.unwanted = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def seconds(self) -> float:
        """Since it began to run; 0 while it waits."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def tell(self, share: float) -> None:
        """Hear how much is done.

        Args:
            share: 0 to 1.

        Raises:
            CancelledError: nobody wants the rest.
        """
        if self.unwanted.is_set():
            raise CancelledError
        self.share = min(max(share, 0.0), 1.0)

    def end(self, state: State) -> None:
        """Let go of all pictures: the visit keeps what came of the job, under its names.

        Args:
            state: how it ended.
        """
        self.work, self.scene, self.room = _nothing, None, 0
        self.made = [replace(one, png=b"", small=None) for one in self.made]
        self.ended, self.state = time.monotonic(), state


@final
class Queue:
    """Jobs in the order in which they came, one at a time.

    Args:
        report: takes the line of an error that is none of a visitor's, for the server's terminal.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, dict[str, Job]] = {}
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closed = False
        # a daemon, because a convolution that has begun cannot be ended and must not hold the process
        self._thread = threading.Thread(target=self._work, name="completing", daemon=True)
        self._thread.start()

    def add(self, visit: Visit, work: Callable[[Job], None], scene: Scene | None = None, room: int = 0) -> Job:
        """Put a job at the end.

        Args:
            visit: see `Job`, as for the others.
            work: likewise.
            scene: likewise.
            room: likewise.

        Raises:
            RefusedError: there are as many jobs as there may be.
        """
        job = Job(visit, work, scene, room)
        with self._changed:
            own = self._jobs.setdefault(visit.name, {})
            if len([one for one in own.values() if not one.is_over]) >= MOST_OF_A_VISIT:
                raise RefusedError(429, f"{MOST_OF_A_VISIT} of your jobs are not done yet; wait, or cancel one.")
            if len(self._waiting) >= MOST_WAITING:
                raise RefusedError(503, f"{MOST_WAITING} jobs are waiting, as many as there may be; try again later.")
            for old in [name for name, one in own.items() if one.is_over][: max(0, len(own) - _KEPT + 1)]:
                del own[old]
            own[job.name] = job
            self._waiting.append(job)
            self._changed.notify()
        return job

    def report(self, line: str) -> None:
        """Tell the owner; a terminal that is gone is no reason to end."""
        with suppress(OSError, ValueError):  # a broken pipe, a closed file
            self._report(line)

    def find(self, visit: Visit, name: str) -> Job:
        """A visitor's job.

        Raises:
            RefusedError: the visitor has none of that name.
        """
        with self._changed:
            if (job := self._jobs.get(visit.name, {}).get(name)) is None:
                raise RefusedError(404, "There is no such job.")
            return job

    def place(self, job: Job) -> int:
        """How many jobs come before one that waits, with the one that runs; 0 of any other."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def held(self) -> tuple[dict[int, int], int]:
        """The files of jobs that wait or run, as `Scene.files` counts them, and the room for their results."""
        with self._changed:
            jobs = [*self._waiting, *([self._running] if self._running else [])]
        files: dict[int, int] = {}
        for scene in [job.scene for job in jobs]:
            files |= scene.files() if scene else {}
        return files, sum(job.room for job in jobs)

    def cancel(self, job: Job) -> None:
        """End a job: at once while it waits, at the next word of its progress while it runs."""
        with self._changed:
            job.unwanted.set()
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("cancelled")

    def forget(self, visit: str) -> None:
        """End and forget all jobs of a visitor who left."""
        with self._changed:
            jobs = list(self._jobs.pop(visit, {}).values())
        for job in jobs:
            self.cancel(job)

    def close(self, seconds: float) -> bool:
        """End all jobs, and wait for the one that runs.

        Args:
            seconds: to wait at most.

        Returns:
            Whether it has ended.
        """
        with self._changed:
            self._closed = True
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.unwanted.set()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while self._work_on_one():
            pass

    def _work_on_one(self) -> bool:
        """Wait for a job and do it; False once the queue is closed. Nothing of the job is held after it."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return False
            job = self._running = self._waiting.popleft()
            job.state, job.began = "running", time.monotonic()
        state: State = "failed"
        try:
            job.work(job)
            job.tell(1.0)
            state = "done"
        except CancelledError:
            state = "cancelled"
        except ValueError as error:  # of what the visitor sent: one sentence
            job.error = str(error)
        except MemoryError:
            job.error = "There is not enough memory for this photograph; send a smaller one."
        except Exception as error:  # the server goes on for the others
            job.error = "The method failed; the server's terminal tells how."
            self.report(f"{job.method}: {type(error).__name__}: {' '.join(str(error).split())[:500]}")
        finally:
            job.end(state)
        return True


def _nothing(job: Job) -> None:
    """A job that is over."""
