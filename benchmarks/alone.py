"""One side of a step alone in a process: its peak memory, and its time if it is not compared with the other."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from benchmarks import photographs
from benchmarks.settings import Settings
from benchmarks.sides import Batch, Case, build_ours, build_plain, fit, torch_defaults
from benchmarks.timing import seconds, synchronise
from inpaintlab.machine import keep_freed_memory, peak, reset_peak


def measure(case: Case, variant: str | None, steps: int, root: Path, settings: Settings) -> dict[str, Any]:
    """Run steps of one side in a fork of this process, which has computed nothing and does not touch a GPU.

    Args:
        case: model, phase and shape.
        variant: of our side; None for the plain side.
        steps: how many.
        root: the folder of photographs.
        settings: of the benchmark.

    Returns:
        ``seconds`` of each step, and ``peak_bytes``: the peak memory beyond what the process used before the networks
        were built, so weights, gradients, optimizers and everything else that a step needs. On a GPU it is that of
        torch's allocator, on a CPU the resident memory of the process; None if the system does not report it.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("fork")) as process:
        return process.submit(run, case, variant, steps, root, settings).result()


class _Clock(Callback):
    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        synchronise(self.device)
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        synchronise(self.device)
        self.seconds.append(time.perf_counter() - self.started)


def run(case: Case, variant: str | None, steps: int, root: Path, settings: Settings) -> dict[str, Any]:
    """The same in this process."""
    device = settings.torch_device
    batch = photographs.to(device, photographs.batch(root, case.size, case.batch))
    before = reset_peak(device)
    if variant is None:
        plain = build_plain(case, settings.width).to(device)
        plain.prepare()
        with torch_defaults():
            times = [seconds(lambda: plain.step(case.phase, batch), device) for _ in range(steps)]
    else:
        if settings.keep_freed and device.type == "cpu":
            keep_freed_memory()
        clock = _Clock(device)
        ours, build_trainer = build_ours(case, settings, variant, steps)
        fit(ours, build_trainer, batch, case.size, clock)
        times = clock.seconds
    return {"seconds": times, "peak_bytes": None if before is None else peak(device) - before}
