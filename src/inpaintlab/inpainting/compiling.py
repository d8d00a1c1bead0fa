"""The option ``compile``: networks compiled to fused kernels, for training or for completing images."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor, nn

from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.learner import learner_of
from inpaintlab.tracking import trackers_of

PAYS_FROM = 20_000
"""Batches of a schedule from which ``compile=auto`` compiles on a GPU.

A phase begins with up to 90 s of compilation, so four phases with 360 s. A step of 60 to 140 ms (EdgeConnect and GLCIC,
256 pixels, batch 16, bfloat16, H200, 2026-11-28) that becomes a third shorter has saved them after 8,000 to 18,000
batches.
"""


@dataclass(frozen=True)
class Compilation:
    """Whether a training compiles its networks, and why."""

    on: bool
    reason: str

    def __str__(self) -> str:
        return f"{'yes' if self.on else 'no'} ({self.reason})"


def chosen_compilation(value: bool | str, device: str, batches: int) -> Compilation:
    """Whether a training compiles its networks.

    Args:
        value: the setting ``compile``: true, false, or 'auto' for a GPU on which it pays.
        device: 'cpu' or 'cuda'.
        batches: of the whole schedule.

    Raises:
        ValueError: it is true, and no compiler is found.
    """
    if value is True:
        require_compiler(device)
        return Compilation(True, "each phase begins with a minute or two of it")
    if value is False:
        return Compilation(False, "compile=false")
    if device != "cuda":
        return Compilation(False, "auto: on a CPU it gains next to nothing")
    if batches < PAYS_FROM:
        return Compilation(False, f"auto: on a GPU it pays from {PAYS_FROM:,} batches")
    try:
        require_compiler(device)
    except ValueError as error:
        return Compilation(False, f"auto: {error}")
    return Compilation(
        True, f"auto: on a GPU it pays from {PAYS_FROM:,} batches; each phase begins with a minute or two"
    )


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
        raise ValueError(
            f"There is nothing to compile with on this machine ({_reason_of(error)}); install {needed}, or go on with "
            "compile=false."
        ) from error


def _reason_of(error: Exception) -> str:
    """The first line of a compiler's message that tells something."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line and not line.endswith("raised:")), type(error).__name__).rstrip(".")


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


class CompilerTimeout(BaseException):
    """The compiler was stopped, because it took longer than it may.

    Like ``KeyboardInterrupt`` no ``Exception``: torch's compiler takes those for its own at many places, and tells
    another reason, or goes on.
    """


@final
class CompileTimer(AbstractContextManager["CompileTimer"]):
    """The seconds that torch's compiler takes inside ``with CompileTimer() as timer:``.

    Args:
        limit: seconds after which ``CompilerTimeout`` is raised in a compiler that still works; None: never. It is
            raised by a signal, and so in the main thread of a process alone.
        clock: seconds since any moment.
    """

    def __init__(self, limit: int | float | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.limit = limit
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
        if self._limited:
            self.handler = signal.signal(signal.SIGALRM, self._stop)
            # again and again, in case that a compiler takes the first one for an error of its own and goes on
            signal.setitimer(signal.ITIMER_REAL, self.limit or 0, 5)

    def _end(self, _: object) -> None:
        self.seconds += self.clock() - self.began
        if self._limited:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.handler)

    @property
    def _limited(self) -> bool:
        return self.limit is not None and threading.current_thread() is threading.main_thread()

    def _stop(self, *_: object) -> None:
        raise CompilerTimeout(f"the compiler took more than {self.limit:g} s (compile_limit)")


@final
class Compiling(Callback):
    """Compiles each network of a model for training, in place, and tells the time that this took.

    In place, the names in checkpoints stay the same, so a run may be resumed with or without compilation. A network is
    compiled, forward and backward, when a batch first runs it, and again for each of its roles: a discriminator that
    learns, or that is frozen. Each is one graph. Validation does not use the compiled kernels, because its images can
    have any size and number.

    A network that cannot be compiled, or not within the limit, goes on uncompiled, with one sentence.

    Args:
        console: where the time is printed.
        limit: seconds that the compiler may take for a network in one role.
        backend: of ``torch.compile``.
    """

    def __init__(self, console: Console, limit: int | float, backend: str = "inductor") -> None:
        self.console = console
        self.backend = backend
        self.timer = CompileTimer(limit)
        self.timing = ExitStack()
        self.phase = ""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile the networks; their averaged copies exist already and are not compiled."""
        from torch._functorch import config

        if hasattr(config, "force_non_lazy_backward_lowering"):  # torch 2.6 lacks it
            config.force_non_lazy_backward_lowering = True  # before the forward pass runs: see _Guarded
        model = learner_of(pl_module)
        model.learns_compiled = True
        self.timing.enter_context(self.timer)
        names = {id(network): name for name, network in model.named_modules()}
        for network in (*model.networks(), *model.constants()):
            network.compile(dynamic=False, fullgraph=True, backend=self.backend)
            _Guarded(network, names.get(id(network), type(network).__name__), self._tell)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the phase of the batch."""
        self.phase = learner_of(pl_module).schedule.phase.name

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell the time that the compiler took within this batch, if any."""
        if seconds := self.timer.taken():
            self._tell(f"compiled for phase '{self.phase}': {seconds:.1f} s")
            for tracker in trackers_of(trainer):
                done = learner_of(pl_module).schedule.iteration
                tracker.log_metrics({"speed/compiling_seconds": seconds}, step=done - 1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop measuring."""
        self.timing.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop measuring, if it has begun: after an exception Lightning does not call `teardown`."""
        self.timing.close()

    def _tell(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)


@final
class _Guarded:
    """Calls a compiled network, or the network itself from the moment at which its compiler failed.

    The backward pass is compiled before the forward pass runs, so that a failure of either comes while nothing is
    computed yet, and the call can be repeated.
    """

    def __init__(self, network: nn.Module, name: str, tell: Callable[[str], None]) -> None:
        self.network = network
        self.name = name
        self.tell = tell
        self.compiled: Any = network._compiled_call_impl
        network._compiled_call_impl = self  # type: ignore[assignment]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # takes seconds to import

        try:
            return self.compiled(*args, **kwargs)
        except (TorchDynamoException, FailOnRecompileLimitHit, CompilerTimeout) as error:
            self.network._compiled_call_impl = None
            reason = error if isinstance(error, CompilerTimeout) else _reason_of(error)
            self.tell(f"{self.name} goes on uncompiled: {reason}.")
            return self.network(*args, **kwargs)
