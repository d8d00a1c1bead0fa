"""Networks compiled to fused kernels, while a model learns or completes images: the option ``compile``."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor

from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.learner import learner_of
from inpaintlab.tracking import trackers_of

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
            f"compile=true finds nothing to compile with on this machine ({reason}); install {needed}, or go "
            "on with compile=false."
        ) from error


def _probe(x: Tensor) -> Tensor:
    return (2 * x).relu() + 1


def compile_generators(model: Inpainter, device: str, backend: str = "inductor") -> None:
    """Compile the networks of a model that complete images, in place; a model without any stays as it is.

    Each is compiled when it first completes: once for square images, once for all others, and again where a single
    image follows several. A folder of photographs of many sizes would otherwise be compiled size by size; on a CPU
    kernels for any size were as fast as those for one (EdgeConnect and GLCIC at full width, 256 pixels).

    Args:
        model: learns no more.
        device: 'cpu' or 'cuda', where it will complete.
        backend: of ``torch.compile``.

    Raises:
        ValueError: there is nothing to compile with.
    """
    if not model.generators():
        return
    require_compiler(device)
    for network in model.generators():
        network.compile(dynamic=True, backend=backend)
    model.completes_compiled = True


def uncompiled(model: Inpainter) -> AbstractContextManager[Any]:
    """A while in which a model that completes compiled runs as it is written, which lets its operations be seen."""
    return torch.compiler.set_stance("force_eager") if model.completes_compiled else nullcontext()


@final
class CompileTimer(AbstractContextManager["CompileTimer"]):
    """The seconds that torch's compiler takes inside ``with Stopwatch() as watch:``."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.began = 0.0

    def taken(self) -> float:
        """The seconds since this was last asked."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def __enter__(self) -> "CompileTimer":
        from torch._dynamo.callback import callback_handler  # takes seconds to import

        callback_handler.register_start_callback(self._start)
        callback_handler.register_end_callback(self._end)
        return self

    def __exit__(self, *_: object) -> None:
        from torch._dynamo.callback import callback_handler

        callback_handler.remove_start_callback(self._start)
        callback_handler.remove_end_callback(self._end)

    def _start(self, _: object) -> None:
        self.began = self.clock()

    def _end(self, _: object) -> None:
        self.seconds += self.clock() - self.began


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
        model = learner_of(pl_module)
        for network in (*model.networks(), *model.constants()):
            network.compile(dynamic=False, backend=self.backend)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when a batch begins, and of which phase it is."""
        schedule = learner_of(pl_module).schedule
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
        schedule = learner_of(pl_module).schedule
        seconds = max(0.0, self.spent[0] - statistics.median(self.spent[1:]))
        self.console.print(f"compiled for phase '{self.phase}': {seconds:.1f} s")
        for tracker in trackers_of(trainer):
            tracker.log_metrics({"speed/compiling_seconds": seconds}, step=schedule.iteration - 1)
