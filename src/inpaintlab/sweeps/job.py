"""A job of a sweep: the command ``inpaintlab train`` in a process of its own.

So a job may start one process per device without repeating the sweep, its memory and its W&B run end with it, and its
failure does not end other jobs.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from omegaconf import DictConfig

from inpaintlab.machine import PARENT, was_asked, write_texts
from inpaintlab.runs import FAILED, OUTPUT, STOPPED, state_of

_SECONDS_TO_END = 30.0  # a training has this long to save and end before it is killed


@final
@dataclass(frozen=True)
class Training:
    """What a launcher needs to start a job, here or on another machine.

    Args:
        folder: the run's, absolute.
        arguments: of ``inpaintlab train``.
        batches: that are planned (see `planned_batches`).
    """

    folder: Path
    arguments: tuple[str, ...]
    batches: int | None


def run_job(
    training: Training, ending: threading.Event | None = None, variables: Mapping[str, str] | None = None
) -> None:
    """Train one job in a process of its own, and wait for it. Launchers call this, on this machine or another one.

    A job that fails leaves ``failed.txt`` and raises nothing, so that the sweep goes on. A job that a signal of a
    scheduler or a user ended has saved its checkpoint and stays unfinished. One that trains already, or that a search
    has given up, is left alone.

    Args:
        training: what to train.
        ending: asks the job to end once it is set.
        variables: of the environment, on top of this process's.

    Raises:
        OSError: the process could not be started, or its log not written.
        ValueError: the job's ``progress.json`` is damaged.
    """
    folder = training.folder
    if state_of(folder, training.batches) in ("running", "stopped"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILED).unlink(missing_ok=True)
    command = [sys.executable, "-m", "inpaintlab.verbs.train", *training.arguments]
    environment = {**os.environ, **(variables or {}), PARENT: str(os.getpid())}
    environment.setdefault("WANDB_RUN_GROUP", folder.parent.name)
    environment.pop("SLURM_NTASKS", None)  # or Lightning would wait for SLURM to start a process a device
    with (folder / OUTPUT).open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        code = _wait(process, folder, ending or threading.Event())
    if code and not was_asked(code) and state_of(folder) not in ("running", "stopped"):
        with (folder / OUTPUT).open("rb") as output:
            output.seek(begin)
            write_texts(folder, {FAILED: _sentence(code, output.read().decode(errors="replace")) + "\n"})


def planned_batches(cfg: DictConfig) -> int | None:
    """The batches of all phases together; None for a method that does not learn, which training refuses."""
    if "schedule" not in cfg.model:
        return None
    return sum(int(phase.batches) for phase in cfg.model.schedule.phases.values())


def _wait(process: "subprocess.Popen[bytes]", folder: Path, ending: threading.Event) -> int:
    """Wait until a job ends, and end it when it is to; an exception here ends the job too."""
    try:
        while (code := process.poll()) is None:
            if ending.wait(0.1) or (folder / STOPPED).is_file():
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
    """Why a process failed: the error message of the command, or else the last line that it printed."""
    if code < 0:
        return f"Its process was ended by signal {-code} ({signal.Signals(-code).name})."
    lines = [line.strip() for line in printed.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    ours = [line.removeprefix("inpaintlab train: ") for line in lines if line.startswith("inpaintlab train: ")]
    # Of several processes the one that failed prints first; the others report that they lost the connection to it.
    return (ours[:1] or lines[-1:] or [f"Exit code {code}."])[0]
