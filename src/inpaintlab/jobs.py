"""A job of a sweep: the folder of its run, what can be told from it, and the process that trains it.

A job is the command ``inpaintlab train`` in a process of its own. So it may start a process a device without repeating
the sweep, its memory and its W&B run end with it, and nothing that happens to it takes other jobs along. What it did
is read from files in its run's folder, on whatever machine it ran:

    progress.json  batches done and planned, the monitored metric at each validation, seconds
    output.log     everything that it printed
    failed.txt     why it failed, in a sentence; deleted when it starts again; not there when it was asked to end
    stopped.txt    why a search gave it up; such a job is not started again
    .lock          held while a process trains there
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from inpaintlab.signals import was_asked

PARENT = "INPAINTLAB_PARENT"
"""The variable that makes a training end when the process that started it is gone: that process's id."""
SWEEP = "INPAINTLAB_SWEEP"
"""The variable that holds the id of the process in which a sweep runs."""

_OUTPUT, _FAILED, _STOPPED, _PROGRESS, _LOCK = "output.log", "failed.txt", "stopped.txt", "progress.json", ".lock"
_SECONDS_TO_END = 30.0  # for a training that is asked to end, before it is killed


@final
@dataclass(frozen=True)
class Progress:
    """How far a training is, as it was last written.

    Args:
        iterations: batches done, as in ``last.ckpt``.
        total: batches planned.
        monitor: the validation metric that decides which checkpoint is best.
        higher_is_better: the direction of ``monitor``.
        validations: pairs of iteration and score, None where it was not a number.
        seconds: spent in training, over all starts.
    """

    iterations: int
    total: int
    monitor: str
    higher_is_better: bool
    validations: list[tuple[int, float | None]]
    seconds: float

    @property
    def best(self) -> float | None:
        """The best score so far; None where no validation gave a number."""
        scores = [score for _, score in self.validations if score is not None]
        return (max(scores) if self.higher_is_better else min(scores)) if scores else None

    @classmethod
    def load(cls, folder: Path) -> "Progress | None":
        """What stands in a run's folder; None where no training has written yet.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / _PROGRESS
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            validations = [(int(at), None if score is None else float(score)) for at, score in content["validations"]]
            return cls(**(content | {"validations": validations}))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete it, the training writes it again.") from error

    def save(self, folder: Path) -> None:
        """Write ``progress.json``, whole or not at all."""
        _write(folder / _PROGRESS, json.dumps(self.__dict__, indent=1, allow_nan=False) + "\n")


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 100:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def state_of(folder: Path, total: int | None = None) -> str:
    """'done', 'running', 'failed', 'stopped', 'unfinished' or 'waiting'.

    Args:
        folder: of the run.
        total: batches that are planned now, if known; a run that was planned shorter is unfinished.
    """
    if is_held(folder):
        return "running"
    progress = Progress.load(folder)
    if progress is not None and progress.iterations >= (progress.total if total is None else total):
        return "done"
    if (folder / _STOPPED).is_file():
        return "stopped"
    if (folder / _FAILED).is_file():
        return "failed"
    return "unfinished" if progress is not None or (folder / _OUTPUT).is_file() else "waiting"


def reason_of(folder: Path) -> str:
    """Why a job failed or was stopped, in a sentence; nothing for any other."""
    for name in (_STOPPED, _FAILED):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    return ""


def stop(folder: Path, reason: str) -> None:
    """Give a job up: it is ended if it runs, and never started again."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / _STOPPED, reason + "\n")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that no second process trains there; its end, whatever it is, lets go.

    Raises:
        ValueError: another process holds it.
    """
    with (folder / _LOCK).open("a+") as file:
        deadline = time.monotonic() + 2  # someone who only looks holds it for an instant
        while not _locked(file):
            if time.monotonic() > deadline:
                raise ValueError(f"{folder} is being trained by another process; wait for it to end, or end it.")
            time.sleep(0.05)
        yield


def is_held(folder: Path) -> bool:
    """Whether a process trains in a folder."""
    try:
        with (folder / _LOCK).open("r+") as file:
            return not _locked(file)
    except OSError:  # never held, or not ours to write
        return False


def _locked(file: Any) -> bool:
    """Take the lock of an open file unless another process has it.

    A POSIX record lock: child processes, such as the loader's workers, which may outlive a killed parent for seconds,
    do not inherit it.
    """
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def end_with_parent() -> None:
    """Ask this process to end (SIGTERM) once the one that started it is gone, even by a SIGKILL."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run(cfg: DictConfig) -> None:
    """Train one job in a process of its own: what a launcher runs, wherever it runs it.

    A job that fails leaves ``failed.txt`` and raises nothing, so that the sweep goes on. One that was asked to end, by
    a scheduler or a user, saved and stays unfinished.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    if os.environ.get(SWEEP) == str(os.getppid()):  # a worker that the sweep started on this machine
        end_with_parent()
    if state_of(folder, planned(cfg)) in ("done", "running", "stopped"):
        return
    (folder / _FAILED).unlink(missing_ok=True)
    command = [sys.executable, "-m", "inpaintlab.train", *_flags(hydra), *hydra.overrides.task]
    variables = os.environ | {PARENT: str(os.getpid())}
    variables.setdefault("WANDB_RUN_GROUP", folder.parent.name)
    variables.pop("SLURM_NTASKS", None)  # or Lightning would wait for SLURM to start a process a device
    with (folder / _OUTPUT).open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=variables
        )
        code = _wait(process, folder)
    if code and not was_asked(code) and state_of(folder) not in ("running", "stopped"):
        with (folder / _OUTPUT).open("rb") as output:
            output.seek(begin)
            _write(folder / _FAILED, _sentence(code, output.read().decode(errors="replace")) + "\n")


def planned(cfg: DictConfig) -> int | None:
    """The batches of all phases; None for a method that does not learn, which training itself refuses."""
    if "schedule" not in cfg.model:
        return None
    return sum(int(phase.batches) for phase in cfg.model.schedule.phases.values())


def _flags(hydra: Any) -> list[str]:
    """Hydra's flags that named other configuration than ours."""
    folders = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    return [part for folder in folders for part in ("--config-dir", folder)]


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """Wait for a job's end, which a search may bring about; whatever ends the waiting ends the job."""
    try:
        while (code := process.poll()) is None:
            time.sleep(0.1)
            if (folder / _STOPPED).is_file():
                _end(process)
    finally:
        if process.poll() is None:
            _end(process)
    return code


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _sentence(code: int, printed: str) -> str:
    """Why a process failed: what the command said of it, else the last line that it printed."""
    if code < 0:
        return f"Its process was ended by signal {-code} ({signal.Signals(-code).name})."
    lines = [line.strip() for line in printed.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    ours = [line.removeprefix("inpaintlab train: ") for line in lines if line.startswith("inpaintlab train: ")]
    # Of several processes the first to speak is the one that failed; the others tell that they lost it.
    return (ours[:1] or lines[-1:] or [f"Exit code {code}."])[0]


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
