"""How the tests run a command: in this process, or in one of its own (forked, or anew) with a clean environment."""

import contextlib
import functools
import importlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from stand_ins.models import PHASES, SMALL, settings_of
from stand_ins.warm import Process, Server, outputs

SCRIPT = str(Path(sys.executable).with_name("inpaintlab"))

TINY = (
    "data=toy",
    "data.size=32",
    "data.batch_size=2",
    f"model.width={SMALL['width']}",
    "trainer=cpu",
    "logger=none",
    "panel_images=2",
    "validation_images=2",
    "every.validation=2",
    "every.checkpoint=1",
    "every.panel=2",
    "every.log=1",
)


def tiny(model: str, batches: int = 2) -> list[str]:
    """Settings of a training run that takes a second: ``batches`` batches of 32 px pictures in each phase."""
    lengths = [f"model.schedule.phases.{phase}.batches={batches}" for phase in PHASES[model]]
    small = [f"model.{key}={value}" for key, value in SMALL.items() if key in settings_of(model) and key != "width"]
    return [f"model={model}", *TINY, *small, *lengths]


def run_here(verb: str, *settings: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in this process and folder ``cwd``; starting a process would take seconds.

    What the command leaves behind in the process (seeds, thread count, variables) is put back.
    """
    main = importlib.import_module(f"inpaintlab.verbs.{verb}").main
    out, err, code = io.StringIO(), io.StringIO(), 0
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WANDB_MODE": "disabled", "PL_GLOBAL_SEED": "0", "PL_SEED_WORKERS": "0"}.items():
            patch.setenv(name, value)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", [f"inpaintlab {verb}", *settings])
        patch.chdir(cwd)
        patch.setattr("inpaintlab.training.fit.keep_freed_memory", lambda: True)  # of all that runs here later
        # three rounds are enough of a time that no test looks at
        patch.setattr("inpaintlab.evaluation.cost.SECONDS", 0.0)
        if verb == "compare":  # plots take most of its time; tests/report draws them, as does what is a process
            patch.setattr("inpaintlab.report.page.plot", lambda table, metric: "<svg></svg>")
        # Hydra composes all of it once only to look for a hydra.mode, which our YAML does not set, and then again
        patch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)
        torch.set_num_threads(1)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)
    return subprocess.CompletedProcess([verb, *settings], code, out.getvalue(), err.getvalue())


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Variables of a process that knows nothing of this user: no login, no caches, no proxies, one thread.

    ``variables`` go on top; an empty one is taken away.
    """
    home.mkdir(parents=True, exist_ok=True)
    clean = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
        **{f"WANDB_{kind}_DIR": str(home / f"wandb-{kind.lower()}") for kind in ("DATA", "CACHE", "CONFIG")},
        "COLUMNS": "120",
    }
    return {name: value for name, value in (clean | variables).items() if value}


@functools.cache
def server() -> Server:
    """What forks the processes of ``run`` and ``start``, from the first of them on; conftest.py ends it."""
    home = Path(tempfile.mkdtemp(prefix="inpaintlab-tests-"))
    return Server(home, environment(home))


def run(*command: str, cwd: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of ours to its end in a process of its own, which is forked (see `warm`)."""
    pipes = [os.pipe(), os.pipe()]
    process = Process(server(), command, cwd, environment(home, **variables), *(write for _, write in pipes))
    for _, write in pipes:
        os.close(write)
    try:
        out, err = outputs(process, [read for read, _ in pipes], timeout=600)
        return subprocess.CompletedProcess(command, process.wait(), out, err)
    finally:
        process.kill()
        for read, _ in pipes:
            os.close(read)


def start(*command: str, cwd: Path, home: Path, output: Path, **variables: str) -> Process:
    """Start a command line of ours as ``run`` does; the caller ends it, its output goes to a file."""
    with output.open("ab") as file:
        return Process(server(), command, cwd, environment(home, **variables), file.fileno(), file.fileno())


def run_anew(*command: str, cwd: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run any command line to its end in a process that starts as a user's does, imports included."""
    return subprocess.run(
        command, cwd=cwd, env=environment(home, **variables), capture_output=True, text=True, timeout=600
    )


def start_anew(*command: str, cwd: Path, home: Path, output: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start any command line as ``run_anew`` does; the caller ends it, its output goes to a file."""
    with output.open("ab") as file:
        env = environment(home, **variables)
        return subprocess.Popen(command, cwd=cwd, env=env, stdout=file, stderr=subprocess.STDOUT)


def checkpoint(run_dir: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """A checkpoint of a run, read without running code."""
    return torch.load(run_dir / name, weights_only=True)


def same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two checkpoints hold the same networks and schedule, bit for bit."""
    first, second = one["state_dict"], other["state_dict"]
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )
