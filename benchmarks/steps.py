"""Training steps: ours and the plain one, timed alternately in one process."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from lightning import Callback, Trainer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.settings import Settings
from benchmarks.sides import Batch, Case, build_ours, build_plain, copy_weights, fit, torch_defaults
from benchmarks.timing import Pairs, seconds, summary, synchronise
from inpaintlab.machine import Load

WARM_UP = {"cpu": 1, "cuda": 5}  # steps that are not measured: the first creates the optimizers' state


class Turns(Callback):
    """Times our step between Lightning's hooks, and a plain step alternately before or after it.

    Our time includes all of Lightning's training step: seeding, learning rates, autocast, `learn` with its optimizers,
    counting. Neither time includes the loader, Canny's edges, the log, or the transfer of the batch to the device.
    """

    def __init__(self, plain: Callable[[], object], device: torch.device, warm_up: int, counting: bool) -> None:
        self.plain = plain
        self.device = device
        self.warm_up = warm_up
        self.counting = counting
        self.times = Pairs([], [])
        self.first_step = 0.0
        self.operations = {"ours": 0, "plain": 0}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Time the plain step in every other round, then start our clock."""
        if batch_idx == 0 and self.counting:
            with FlopCounterMode(display=False) as operations, torch_defaults():
                self.plain()
            self.operations["plain"] = operations.get_total_flops()
            self.counter = FlopCounterMode(display=False)
            self.counter.__enter__()
        elif batch_idx % 2:
            self._time_plain()
        synchronise(self.device)
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop our clock, time the plain step in the other rounds, and drop the first steps."""
        synchronise(self.device)
        self.times.ours.append(time.perf_counter() - self.started)
        if batch_idx == 0:
            self.first_step = self.times.ours[0]
            if self.counting:
                self.counter.__exit__(None, None, None)
                self.operations["ours"] = self.counter.get_total_flops()
        if not batch_idx % 2:
            self._time_plain()
        if batch_idx < self.warm_up:
            self.times.ours.clear()
            self.times.plain.clear()

    def _time_plain(self) -> None:
        with torch_defaults():
            self.times.plain.append(seconds(self.plain, self.device))


def measure(case: Case, variant: str, batch: Batch, settings: Settings) -> dict[str, Any]:
    """Measure a row of the table of steps, without memory.

    Raises:
        ValueError: the model does not train in this precision.
    """
    assert settings.rounds is not None
    device = settings.torch_device
    warm_up = WARM_UP[device.type]
    ours, build_trainer = build_ours(case, settings, variant, warm_up + settings.rounds)
    ours.setup("fit")
    plain = build_plain(case, settings.width)
    copy_weights(ours, plain)
    plain.to(device).prepare()
    turns = Turns(lambda: plain.step(case.phase, batch), device, warm_up, counting="compile" not in variant)
    load = Load()
    with load.watched():
        fit(ours, build_trainer, batch, case.size, turns)
    row = asdict(case) | {"variant": variant, "first_step_seconds": turns.first_step, "load_of_others": load.others}
    sides = {"ours": turns.times.ours, "plain": turns.times.plain}
    for side, times in sides.items():
        row[side] = asdict(summary(times)) | {"gflop": turns.operations[side] / 1e9, "seconds": times}
    return row | {"ratio": asdict(turns.times.ratio), "images_per_second": case.batch / row["ours"]["median"]}
