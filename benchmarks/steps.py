"""Training steps: ours and the plain one, timed alternately in one process."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import alone, photographs
from benchmarks.counting import Graphs, Operators
from benchmarks.settings import Settings, compiled
from benchmarks.sides import Batch, Case, build_ours, build_plain, copy_weights, fit, torch_defaults
from benchmarks.timing import Pairs, seconds, summary, synchronise
from inpaintlab.machine import Load, peak, reset_peak

WARM_UP = {"cpu": 1, "cuda": 5}  # steps that are not measured: the first creates the optimizers' state


class Turns(Callback):
    """Times our step between Lightning's hooks, and a plain step alternately before or after it.

    Our time includes all of Lightning's training step: seeding, learning rates, autocast, `learn` with its optimizers,
    counting. Neither time includes the loader, Canny's edges, the log, or the transfer of the batch to the device.

    The first batch counts our operators and products, uncompiled; where the networks are compiled, the second one
    compiles them. The plain side comes to the device when ours is warm, so that a GPU's allocator tells the peak of
    each: that of ours while it is alone, and that of the plain side beyond what ours keeps between its steps.
    """

    def __init__(self, prepare: Callable[[], Callable[[], object]], device: torch.device, compiles: bool) -> None:
        self.prepare = prepare
        self.device = device
        self.compiles = compiles
        self.first = 1 if compiles else 0
        self.warm_up = WARM_UP[device.type] + self.first
        self.times = Pairs([], [])
        self.first_step = 0.0
        self.products = {"ours": 0, "plain": 0}
        self.operators = {"ours": 0, "plain": 0}
        self.peaks: dict[str, int | None] = {"ours": None, "plain": None}
        self.before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        self.graphs: Graphs | None = None
        self.compiled: dict[str, int] | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Time the plain step in every other round, then start our clock."""
        if batch_idx == 0:
            self._count_ours()
        elif batch_idx == self.first:
            self.graphs = Graphs()
        elif batch_idx == self.first + 1 and self.device.type == "cuda":
            reset_peak(self.device)  # what the compiler tries out is not the step's
        if batch_idx == self.warm_up:
            self._begin_plain()
        if batch_idx >= self.warm_up and batch_idx % 2:
            self._time_plain()
        synchronise(self.device)
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop our clock, time the plain step in the other rounds, and forget the steps that warm up."""
        synchronise(self.device)
        taken = time.perf_counter() - self.started
        if batch_idx == 0:
            self.counting.close()
        if batch_idx == self.first:
            self.first_step = taken
            self.compiled = self.graphs.counts() if self.graphs else None
        if batch_idx >= self.warm_up:
            self.times.ours.append(taken)
            if not batch_idx % 2:
                self._time_plain()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Count the graphs that came after the first step."""
        if self.graphs and self.compiled:
            counts = self.graphs.counts()
            self.compiled = counts | {"later": counts["graphs"] - self.compiled["graphs"]}

    def _count_ours(self) -> None:
        self.counting = ExitStack()
        if self.compiles:
            self.counting.enter_context(torch.compiler.set_stance("force_eager"))
        flops = self.counting.enter_context(FlopCounterMode(display=False))
        operators = self.counting.enter_context(Operators())
        self.counting.callback(self._counted, "ours", flops, operators)

    def _counted(self, side: str, flops: FlopCounterMode, operators: Operators) -> None:
        self.products[side], self.operators[side] = flops.get_total_flops(), operators.calls.total()

    def _begin_plain(self) -> None:
        """Bring the plain side to the device, count a step of it, and warm it up."""
        between = 0
        if self.device.type == "cuda":
            self.peaks["ours"] = peak(self.device) - self.before
            between = reset_peak(self.device) or 0
        self.plain = self.prepare()
        with torch_defaults():
            with FlopCounterMode(display=False) as flops, Operators() as operators:
                self.plain()
            self._counted("plain", flops, operators)
            for _ in range(WARM_UP[self.device.type] - 1):
                self.plain()
        if self.device.type == "cuda":
            synchronise(self.device)
            self.peaks["plain"] = peak(self.device) - between

    def _time_plain(self) -> None:
        with torch_defaults():
            self.times.plain.append(seconds(self.plain, self.device))


def rows(root: Path, folder: Path, settings: Settings, case: Case, variant: str) -> Iterator[dict[str, Any]]:
    """The row of a case in a variant, with memory: on a CPU that of two processes in which a side is alone.

    Args:
        root: the folder of photographs.
        folder: for files; not used.
        settings: of the benchmark.
        case: model, phase and shape.
        variant: precision and compilation of ours.
    """
    alone_peaks = {}
    if settings.device == "cpu":
        count = 1 if settings.quick else 2  # from the second step on, the optimizers have their state from the start
        # before this process computes anything: a fork of its threads would wait for them
        sides = {"ours": variant, "plain": None}
        alone_peaks = {s: alone.measure(case, v, count, root, settings)["peak_bytes"] for s, v in sides.items()}
    batch = photographs.to(settings.torch_device, photographs.batch(root, case.size, case.batch))
    row = measure(case, variant, batch, settings)
    for side, bytes_ in alone_peaks.items():
        row[side]["peak_bytes"] = bytes_
    yield row


def measure(case: Case, variant: str, batch: Batch, settings: Settings) -> dict[str, Any]:
    """Measure a row of the table of steps; on a CPU without memory.

    Raises:
        ValueError: the model does not train in this precision.
    """
    assert settings.rounds is not None
    device = settings.torch_device
    compiles = compiled(variant)
    # the rounds, what warms up, and the first batch of a compiled one, which counts
    batches = settings.rounds + WARM_UP[device.type] + compiles
    ours, build_trainer = build_ours(case, settings, variant, batches)
    ours.setup("fit")
    plain = build_plain(case, settings.width)
    copy_weights(ours, plain)

    def prepare() -> Callable[[], object]:
        plain.to(device).prepare()
        return lambda: plain.step(case.phase, batch)

    turns = Turns(prepare, device, compiles)
    load = Load()
    with load.watched():
        fit(ours, build_trainer, batch, case.size, turns)
    row = asdict(case) | {
        "variant": variant,
        "first_step_seconds": turns.first_step,
        "load_of_others": load.others,
        "compiled": turns.compiled,
    }
    sides = {"ours": turns.times.ours, "plain": turns.times.plain}
    for side, times in sides.items():
        row[side] = asdict(summary(times)) | {
            "gflop": turns.products[side] / 1e9,
            "operators": turns.operators[side],
            "peak_bytes": turns.peaks[side],
            "seconds": times,
        }
    return row | {"ratio": asdict(turns.times.ratio), "images_per_second": case.batch / row["ours"]["median"]}
