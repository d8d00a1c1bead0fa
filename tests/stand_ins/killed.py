"""Trainings that are killed for real, many times over, without paying for the start of Python each time.

``python killed.py FOLDER PLAN`` imports everything once. Each start of a training is then a fork, as far as a process
goes: it composes, builds, reads its checkpoint and trains as ``inpaintlab train`` does, and dies of a SIGKILL that its
whole process group gets. It tells in shared memory where it stands, which is how a kill finds its moment and how the
report knows what it hit.
"""

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

import torch

from inpaintlab.inpainting import Learner, load_checkpoint
from inpaintlab.survival import Journal
from inpaintlab.survival.saving import WholeCheckpointIO
from inpaintlab.training.validation import Validation
from inpaintlab.verbs.train import main as train

STAGES = ("start", "training", "checkpoint", "best checkpoint", "progress", "validation", "end")
_SHARED = mmap.mmap(-1, 16)  # the stage and the batch; children share it


def tell(stage: str, batch: int | None = None) -> None:
    """Note where this process stands."""
    _SHARED[:4] = struct.pack("i", STAGES.index(stage))
    if batch is not None:
        _SHARED[4:8] = struct.pack("i", batch)


def told() -> tuple[str, int]:
    """Where the process stands that was forked last."""
    stage, batch = struct.unpack("ii", _SHARED[:8])
    return STAGES[stage], batch


def watch() -> None:
    """Let the first process of a training tell where it stands."""

    def telling(kind: type, name: str, stage: str | None) -> None:
        untouched = getattr(kind, name)

        def wrapped(self: Any, *given: Any, **named: Any) -> Any:
            module = next((entry for entry in (self, *given) if isinstance(entry, Learner)), None)
            before, _ = told()
            first = os.environ.get("LOCAL_RANK", "0") == "0" and (module is None or module.global_rank == 0)
            if first:
                path = Path(given[1]) if kind is WholeCheckpointIO else None
                tell(stage or ("best checkpoint" if path and path.name == "best.ckpt" else "checkpoint"))
                if module is not None:
                    tell(told()[0], module.schedule.iteration)
            result = untouched(self, *given, **named)
            if first and stage != "validation":
                tell(before if before != "start" else "training")
            return result

        setattr(kind, name, wrapped)

    telling(Learner, "training_step", "training")
    telling(WholeCheckpointIO, "save_checkpoint", None)
    telling(Journal, "note", "progress")
    telling(Validation, "on_validation_epoch_start", "validation")


def start(folder: Path, settings: list[str]) -> int:
    """Fork a training; its process, which leads a group of its own."""
    tell("start", 0)
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        with (folder / "output.txt").open("a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.argv = ["inpaintlab train", *settings]
        train()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def kill(process: int, stage: str, batch: int, bound: int, draw: random.Random) -> dict[str, Any]:
    """Kill a training in a stage from a batch on, at the latest at batch ``bound``; where it was hit."""
    deadline = time.monotonic() + 120
    delay = draw.uniform(0, {"start": 2.0, "progress": 0.0}.get(stage, 0.004))
    while True:
        now = told()
        if now == ("start", 0) and stage == "start":
            break
        if (now[0] == stage and now[1] >= batch) or now[1] >= bound:
            break
        ended, status = os.waitpid(process, os.WNOHANG)
        assert not ended, f"the training ended by itself with status {status}"
        assert time.monotonic() < deadline, f"no {stage} from batch {batch} on: stands at {now}"
    until = time.monotonic() + delay
    while time.monotonic() < until and told()[1] < bound:  # a quick machine would be through with the training
        time.sleep(0.0005)
    hit = told()
    os.killpg(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), f"the training ended by itself with status {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL
    return {"aimed at": stage, "stage": hit[0], "batch": hit[1]}


def wait_for_group(process: int) -> None:
    """Wait until no process of a killed group is left."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("a killed group still has processes")


def look(run_dir: Path, before: int, accumulate: int) -> int:
    """See that what a kill left behind is whole; the batches that ``last.ckpt`` holds."""
    done = 0
    if (run_dir / "last.ckpt").is_file():
        done = int(load_checkpoint(run_dir / "last.ckpt")["inpaintlab"]["iterations"])
    assert done >= before, f"last.ckpt went back from {before} to {done} batches"
    assert done % accumulate == 0, f"last.ckpt stands in the middle of a step, after {done} batches"
    if (run_dir / "best.ckpt").is_file():
        assert 0 < int(load_checkpoint(run_dir / "best.ckpt")["inpaintlab"]["iterations"]) <= done
    for name in ("config.json", "validation.json", "progress.json"):
        if (run_dir / name).is_file():
            json.loads((run_dir / name).read_text())
    return done


def main() -> None:
    """Kill a training as often as the plan says, let it end, and train the same without a kill."""
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    watch()
    draw, total, kills = random.Random(plan["seed"]), plan["batches"], plan["kills"]
    broken, hits, done = folder / "runs/broken", [], 0
    for number in range(kills):
        stage = STAGES[:-1][number % (len(STAGES) - 1)]
        bound = max(done + 2, total * (number + 1) // (kills + 1))
        begin = time.monotonic()
        process = start(folder, [*plan["settings"], "name=broken"])
        hit = kill(process, stage, draw.randint(done, max(done, bound - 2)), min(bound, total - 2), draw)
        wait_for_group(process)
        done = look(broken, done, plan["accumulate"])
        hits.append(hit | {"saved": done, "seconds": round(time.monotonic() - begin, 2)})
    for name in ("broken", "unbroken"):
        _, status = os.waitpid(start(folder, [*plan["settings"], f"name={name}"]), 0)
        assert status == 0, f"{name} ended with status {status}"
    print(json.dumps(hits))


if __name__ == "__main__":
    main()
