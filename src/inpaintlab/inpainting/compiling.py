"""The option ``compile``: networks compiled to fused kernels, for training or for completing images."""

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
"""So many batches after a phase's first give, by their median, the time of a batch without compilation."""


def require_compiler(device: str) -> None:
    """Compile something small, so that a missing compiler is an error before anything is written.

    Args:
        device: 'cpu', which needs a C++ compiler, or 'cuda', which needs Triton.

    Raises:
        ValueError: it cannot be compiled on this machine.
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
    """Compile the generators of a model in place; a model without any stays as it is.

    Each is compiled for any size when it first completes an image: once for square images, once for all others, and
    again if a single image follows a batch of several. Otherwise a folder of photographs would be compiled size by
    size. On a CPU, kernels for any size were as fast as those for one (EdgeConnect and GLCIC, full width, 256 pixels).

    Args:
        model: does not learn any more.
        device: 'cpu' or 'cuda', where it will complete images.
        backend: of ``torch.compile``.

    Raises:
        ValueError: no compiler is found.
    """
    if not model.generators():
        return
    require_compiler(device)
    for network in model.generators():
        network.compile(dynamic=True, backend=backend)
    model.completes_compiled = True


def uncompiled(model: Inpainter) -> AbstractContextManager[Any]:
    """Run a model without its compiled kernels while the context lasts, so that its operations can be counted."""
    return torch.compiler.set_stance("force_eager") if model.completes_compiled else nullcontext()


@final
class CompileTimer(AbstractContextManager["CompileTimer"]):
    """The seconds that torch's compiler takes inside ``with CompileTimer() as timer:``.

    Args:
        clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.began = 0.0

    def taken(self) -> float:
        """The seconds since the last call."""
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
    """Compiles each network of a model for training, in place, and reports the time that this took in each phase.

    In place, the names in checkpoints stay the same, so a run may be resumed with or without compilation. A network is
    compiled when a batch first runs it, and again for each of its roles: a discriminator that learns, or that is
    frozen. Validation does not use the compiled kernels, because its images can have any size and number.

    The reported time is that of a phase's first batch minus the median of the next ``COMPARED``. A phase with fewer
    batches reports none.

    Args:
        console: where the time is printed.
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
        """Compile the networks; their averaged copies exist already and are not compiled."""
        model = learner_of(pl_module)
        for network in (*model.networks(), *model.constants()):
            network.compile(dynamic=False, backend=self.backend)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when the batch begins, and its phase."""
        schedule = learner_of(pl_module).schedule
        if schedule.phase.name != self.phase:
            self.phase, self.spent = schedule.phase.name, []
        self.began = self.clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report the time of compilation, once the phase has had enough batches."""
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
