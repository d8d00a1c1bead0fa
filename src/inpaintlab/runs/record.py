"""The state of a run, from the files in its folder:

    progress.json  batches done and planned, the monitored metric at each validation, seconds
    output.log     everything that it printed (see ``output``)
    failed.txt     why it failed, in a sentence; deleted when it starts again; not written when a signal ended it
    stopped.txt    why a search gave it up; such a job is not started again
    .lock          locked while a process trains there

Every training writes ``progress.json`` and ``output.log``; sweeps write ``failed.txt`` and ``stopped.txt`` for their
jobs.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, final

from inpaintlab.machine import (
    Between,
    Count,
    Infinite,
    Lock,
    conform,
    is_held_by_another,
    read_json,
    storable,
    write_texts,
)

OUTPUT, FAILED, STOPPED, _PROGRESS, _LOCK = "output.log", "failed.txt", "stopped.txt", "progress.json", ".lock"


@final
@dataclass(frozen=True)
class Progress:
    """The progress of a training when it was last written.

    Args:
        iterations: batches done, as in ``last.ckpt``.
        total: batches planned.
        monitor: the validation metric that decides which checkpoint is best.
        higher_is_better: the direction of ``monitor``.
        validations: pairs of iteration and score, in order; a score that was no number (NaN) is None.
        seconds: of training, over all starts of the run.
        exact: of validations with images that were completed exactly, for which the metric is infinite: batches (as
            text, for JSON) to the number of these images. The score is the mean of the others.
        paces: images a second that the networks of one process last learnt from in each phase, while they did not wait
            for data.
    """

    iterations: Count
    total: Count
    monitor: str
    higher_is_better: bool
    validations: list[tuple[Count, Infinite | None]]
    seconds: Annotated[float, Between(0, 1e12)]
    exact: dict[str, Count] = field(default_factory=dict)
    paces: dict[str, Annotated[float, Between(0, 1e12)]] = field(default_factory=dict)

    @property
    def top(self) -> tuple[int, float, int] | None:
        """The validation that ``best.ckpt`` is of: batches, score, and number of exact images; None if there is none.

        The number of exact images decides first, then the score; of equal ones the earliest counts.
        """
        scored = [(at, score, self.exact.get(str(at), 0)) for at, score in self.validations if score is not None]
        return max(scored, key=lambda entry: self._rank(*entry[1:]), default=None)

    @property
    def best(self) -> float | None:
        """The score of that validation, which may be infinite."""
        return self.top[1] if self.top else None

    @property
    def rank(self) -> tuple[int, float]:
        """What compares the best validation with that of another run: the larger, the better."""
        return (-1, 0.0) if self.top is None else self._rank(*self.top[1:])

    def _rank(self, score: float, exact: int) -> tuple[int, float]:
        return exact, score if self.higher_is_better else -score

    @classmethod
    def load(cls, folder: Path) -> "Progress | None":
        """Read ``progress.json`` of a run's folder; None if there is none yet.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / _PROGRESS
        if not path.is_file():
            return None
        mend = "delete it, the training writes it again"
        return conform(cls, read_json(path, "the progress of a run", mend), path, mend)

    def save(self, folder: Path) -> None:
        """Write ``progress.json``, whole or not at all; an infinite score becomes a text, for JSON has no infinity."""
        validations = [(at, storable(score)) for at, score in self.validations]
        content = self.__dict__ | {"validations": validations}
        write_texts(folder, {_PROGRESS: json.dumps(content, indent=1, allow_nan=False) + "\n"})


def lines_of_choice(given: str | None, taken: Mapping[str, Any] | None) -> list[str]:
    """The line that says which checkpoint of a run's folder is taken; none where a file was named.

    Args:
        given: the folder or file that was named.
        taken: the origin of the weights: 'path' of the file, and 'iterations', the batches that it has seen.
    """
    if given is None or taken is None or not Path(given).expanduser().is_dir():
        return []
    progress = None
    with suppress(ValueError):  # only this line needs it; who resumes the run is told that it is damaged
        progress = Progress.load(Path(given).expanduser())
    best, done = Path(taken["path"]).name == "best.ckpt", taken["iterations"]
    of, score = "", None
    if progress is not None:
        of = f" of {progress.total:,}"
        score = dict(progress.validations).get(done)
    scored = f", {progress.monitor} {score:.4g}" if progress is not None and score is not None else ""
    why = "the best of its run; which=last takes the newest" if best else "the newest of its run"
    return [f"{taken['path']}: after {done or 0:,}{of} batches{scored}, {why}"]


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 100:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def state_of(folder: Path, total: int | None = None) -> str:
    """The state of a run: 'done', 'running', 'failed', 'stopped', 'unfinished' or 'waiting'.

    Args:
        folder: the run's folder.
        total: batches that are planned now, if known; a run that did fewer is not done.

    Raises:
        ValueError: ``progress.json`` is damaged.
    """
    if is_locked(folder):
        return "running"
    progress = Progress.load(folder)
    if progress is not None and progress.iterations >= (progress.total if total is None else total):
        # a finished job that was given other files says so later than it was finished
        return "failed" if _written(folder / FAILED) > _written(folder / _PROGRESS) else "done"
    if (folder / STOPPED).is_file():
        return "stopped"
    if (folder / FAILED).is_file():
        return "failed"
    return "unfinished" if progress is not None or (folder / OUTPUT).is_file() else "waiting"


def state_in_a_word(folder: Path) -> tuple[str, str]:
    """The state of a run for a list: that of `state_of`, or 'unreadable' with the sentence that says why."""
    try:
        return state_of(folder), ""
    except (ValueError, OSError) as error:
        return "unreadable", str(error)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def reason_of(folder: Path) -> str:
    """Why a job failed or was stopped, in a sentence; empty for any other job."""
    for name in (STOPPED, FAILED):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    return ""


def give_up(folder: Path, reason: str) -> None:
    """Give a job up: it is ended if it runs, and never started again.

    Args:
        folder: the job's folder; it is made if it is missing.
        reason: a sentence, written to ``stopped.txt``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder, {STOPPED: reason + "\n"})


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder, so that no second process trains there; the lock ends with this process at the latest.

    Raises:
        ValueError: another process has locked it.
    """
    lock = Lock(folder / _LOCK)
    if not lock.take():
        raise ValueError(f"{folder} is being trained by another process; wait for it to end, or end it.")
    try:
        yield
    finally:
        lock.free()


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a folder."""
    return is_held_by_another(folder / _LOCK)
