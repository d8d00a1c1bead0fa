"""Networks compiled to fused kernels while a model trains: the option ``compile`` of a training."""

import statistics
import time
from collections.abc import Callable
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor

from inpaintlab.inpainter import Inpainter
from inpaintlab.tracking import Tracker

COMPARED = 5
"""Batches after a phase's first one whose median is what a batch takes without compilation."""


def require_compiler(device: str) -> None:
    """Compile something small, so that what is missing is told before anything is written.

    Args:
        device: 'cpu', which takes a C++ compiler, or 'cuda', which takes Triton.

    Raises:
        ValueError: it cannot be compiled here.
    """
    from torch._dynamo.exc import TorchDynamoException  # takes seconds to import

    probe = torch.compile(_probe, dynamic=False, fullgraph=True)
    try:
        probe(torch.ones(8, device=device))
    except TorchDynamoException as error:
        needed = "Triton, which comes with torch for CUDA, and a C compiler" if device == "cuda" else "a C++ compiler"
        reason = next(line for line in str(error).splitlines() if line and not line.endswith("raised:"))
        raise ValueError(
            f"compile=true finds nothing to compile with on this machine ({reason}); install {needed}, or train "
            "with compile=false."
        ) from error


def _probe(x: Tensor) -> Tensor:
    return (2 * x).relu() + 1


@final
class Compiling(Callback):
    """Compiles each network of a model in place, and tells what time that took in each phase.

    In place: the names in checkpoints stay as they are, and a run may go on compiled that began without, and the other
    way. A network is compiled when a batch first runs it, and again for each of its roles: a discriminator that learns,
    or that is frozen. What completes images is not compiled, because those are of any size and number.

    The time is that of a phase's first batch beyond the median of the next ``COMPARED``, and nothing is told of a phase
    that ends, or of a run that stops, before them.

    Args:
        console: where it is told.
        backend: of ``torch.compile``.
        clock: seconds since any moment.
    """

    def __init__(
        self, console: Console, backend: str = "inductor", clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.console = console
        self.backend = backend
        self.clock = clock
        self.phase = ""
        self.began = 0.0
        self.spent: list[float] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile the networks, after they are copied for averages, which are not compiled."""
        model = _inpainter(pl_module)
        for network in model.networks():
            network.compile(dynamic=False, backend=self.backend)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when a batch begins, and of which phase it is."""
        schedule = _inpainter(pl_module).schedule
        assert schedule is not None
        if schedule.phase.name != self.phase:
            self.phase, self.spent = schedule.phase.name, []
        self.began = self.clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell what compilation took, where enough batches of the phase are there."""
        if len(self.spent) > COMPARED:
            return
        self.spent.append(self.clock() - self.began)
        if len(self.spent) <= COMPARED:
            return
        schedule = _inpainter(pl_module).schedule
        assert schedule is not None
        seconds = max(0.0, self.spent[0] - statistics.median(self.spent[1:]))
        self.console.print(f"compiled for phase '{self.phase}': {seconds:.1f} s")
        for tracker in trainer.loggers:
            if isinstance(tracker, Tracker):
                tracker.log_metrics({"speed/compiling_seconds": seconds}, step=schedule.iteration - 1)


def _inpainter(module: LightningModule) -> Inpainter:
    assert isinstance(module, Inpainter)
    return module
