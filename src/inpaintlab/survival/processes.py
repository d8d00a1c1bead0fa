"""The processes of one run: whether the settings can start them, and how they end together."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from inpaintlab.inpainting import device_type

_INTERACTIVE = ("bash", "interactive")  # jobs of these names Lightning itself takes for a shell, and looks no further


def require_starter(nodes: Any) -> None:
    """Check that torchrun or srun started this process, if it is to be one of several machines'.

    Args:
        nodes: the flag ``num_nodes`` of the trainer: 0 where it was to be found in the environment and is not there.

    Raises:
        ValueError: neither did.
    """
    several = isinstance(nodes, int) and nodes > 1
    if nodes == 0 or (several and not {"GROUP_WORLD_SIZE", "SLURM_NNODES"} & os.environ.keys()):
        raise ValueError(
            "trainer=ddp_nodes trains in processes that torchrun or srun started, and this one was started by neither; "
            "docs/many_gpus.md has both command lines, and trainer=ddp is for one machine."
        )


def require_processes(model: nn.Module, trainer: dict[str, Any]) -> None:
    """Check that several processes can train ``model`` with the trainer's settings.

    Args:
        model: the model that will be trained.
        trainer: the settings of the trainer.

    Raises:
        ValueError: they cannot; the message says which settings can.
    """
    normed = any(isinstance(module, _BatchNorm) for module in model.modules())
    if normed and trainer.get("sync_batchnorm") and device_type(trainer["accelerator"]) == "cpu":
        raise ValueError(
            "trainer.sync_batchnorm is true, but processes on the CPU cannot share the statistics of batch norm: give "
            "trainer.sync_batchnorm=false, and each normalises by its own part of the batch."
        )


def require_launcher() -> None:
    """Check that whoever started this process started the others too, if the environment speaks of several.

    torchrun, srun and Lightning say by variables which of several processes this one is. Some of these variables also
    stand in the shell of a SLURM job or are left from an earlier start; then this process would wait for ever for
    others, or take itself for another than the first, which alone writes files. A left over SLURM_NTASKS=1 is dropped.

    Raises:
        ValueError: the variables say too little, or SLURM reserved several tasks and did not start this one.
    """
    variables = os.environ
    numbers = {
        key: variables[key]
        for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
        if key in variables
    }
    if wrong := [f"{key}={value}" for key, value in numbers.items() if not re.fullmatch(r"\d+", value)]:
        raise ValueError(f"The environment has {' and '.join(wrong)}, which is not a number: unset it.")
    names = {"RANK", "LOCAL_RANK", "WORLD_SIZE"}
    found = names & variables.keys()
    by_torchrun = found == names
    by_lightning = found == names - {"RANK"} and "MASTER_PORT" in variables
    harmless = variables.get("RANK", "0") == "0" and variables.get("WORLD_SIZE", "1") == "1"
    if found and not (by_torchrun or by_lightning or (harmless and "LOCAL_RANK" not in found)):
        listed = ", ".join(f"{key}={variables[key]}" for key in sorted(found))
        raise ValueError(
            f"The environment has {listed} as if this process were one of several, but not what torchrun or srun would "
            f"set beside it: start it by one of them (docs/many_gpus.md), or unset {' '.join(sorted(found))}."
        )
    tasks = int(variables.get("SLURM_NTASKS", "1"))
    if "SLURM_NTASKS" not in variables or variables.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return
    if not {"SLURM_STEP_ID", "SLURM_STEPID"} & variables.keys() or "SLURM_PTY_PORT" in variables:
        if tasks > 1:
            raise ValueError(
                f"SLURM reserved {tasks} tasks (SLURM_NTASKS), but srun did not start this process as one of them: "
                "start it by srun, one task per GPU (docs/many_gpus.md), or unset SLURM_NTASKS for a single process."
            )
        del os.environ["SLURM_NTASKS"]  # or Lightning would look for what srun says about each task
    elif tasks > 1 and "SLURM_NTASKS_PER_NODE" not in variables:
        raise ValueError(
            f"srun starts {tasks} tasks by --ntasks, which Lightning does not take: give --ntasks-per-node, with as "
            "many tasks as GPUs (docs/many_gpus.md)."
        )


@contextmanager
def ending_together(world_size: int, last: Path, launcher: object = None, seconds: float = 20.0) -> Iterator[None]:
    """End the processes that this one started if it ends early, and explain a lost connection in one sentence.

    Args:
        world_size: number of processes of the run.
        last: the file ``last.ckpt``, which the message names.
        launcher: the trainer's; knows the processes that this one started.
        seconds: time that this process gets to notice that one of them has failed; then it ends wherever it waits.

    Raises:
        ConnectionError: another process has ended or did not answer in time.
    """
    started = launcher if isinstance(launcher, _SubprocessScriptLauncher) else None
    over = threading.Event()
    if started is not None:
        threading.Thread(target=_watch, args=(started, over, last, seconds), daemon=True).start()
    try:
        yield
    except BaseException as error:
        over.set()
        if started is not None:
            end(started.procs)
        if world_size == 1 or not isinstance(error, RuntimeError) or not _is_connection(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise ConnectionError(f"{_what_happened(last)} ({reason})") from error
    finally:
        over.set()


def _watch(launcher: _SubprocessScriptLauncher, over: threading.Event, last: Path, seconds: float) -> None:
    """End this process ``seconds`` after one that it started has failed, unless it is ``over`` by then.

    Lightning watches too, but kills this process at once, often before it could say or tidy anything: that is undone.
    On the CPU the broken connection ends this process sooner; on a GPU it could wait for an answer forever.
    """
    while not over.wait(0.2):
        for thread in threading.enumerate():
            if isinstance(thread, _ChildProcessObserver):
                thread._child_processes = []  # it ends when none is left to watch
        if any(process.poll() for process in launcher.procs):
            if not over.wait(seconds):
                print(f"inpaintlab train: {_what_happened(last)}", file=sys.stderr, flush=True)
                os._exit(1)
            return


def _what_happened(last: Path) -> str:
    sound = f"{last} holds the last sound state" if last.is_file() else "No state was saved yet"
    return (
        "Another process of this run has ended or no longer answers; what it said itself, if anything, stands above or "
        f"in its own log. {sound}; the same command goes on from there."
    )


def end(started: "Sequence[subprocess.Popen[bytes]]", seconds: float = 10.0) -> None:
    """Wait until processes have reported their lost connection and ended; kill those that run longer.

    Args:
        started: the processes.
        seconds: for all of them together.
    """
    deadline = time.monotonic() + seconds
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_connection(error: RuntimeError) -> bool:
    """Whether the communication between processes failed or timed out; gloo raises no error class of its own."""
    return isinstance(error, torch.distributed.DistError) or any(
        word in str(error) for word in ("gloo", "pair closure")
    )
