"""Ending a training on a signal: a checkpoint between two steps, and all processes leave after the same batch."""

import sys
from typing import Any, final

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from rich.console import Console

from inpaintlab.inpainting import learner_of
from inpaintlab.machine import EndsBetweenSteps, Request, hear_no_more_of_loaders, is_loader_failure
from inpaintlab.survival.journal import Journal
from inpaintlab.survival.saving import Checkpoints
from inpaintlab.tracking import trackers_of


@final
class Preemption(Callback):
    """Ends a training after a received signal, with ``last.ckpt`` at the last finished step.

    During training the run ends after the current step. During a validation it ends at once: a checkpoint was saved
    before the validation, and a resumed run repeats it.

    A signal may reach only one of several processes, but all must leave after the same batch. So at each step the
    processes reduce a flag in a process group of its own, on the CPU and asynchronously; the result is read one step
    later. Neither devices nor hosts wait for each other because of it. This callback runs after all others.

    Args:
        request: the exit code that a received signal asks for, 0 without one.
        checkpoints: saves ``last.ckpt``.
        journal: records that it was saved.
        console: prints that the run ends.
    """

    def __init__(self, request: Request, checkpoints: Checkpoints, journal: Journal, console: Console) -> None:
        self.request = request
        self.checkpoints = checkpoints
        self.journal = journal
        self.console = console
        self.group: Any = None
        self.pending: tuple[Any, torch.Tensor] | None = None
        self.loading = EndsBetweenSteps()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Switch Lightning's own signal handling off.

        It would requeue SLURM jobs by itself, communicate with other processes inside a signal handler, and read a
        flag from the device in each batch when there are several processes.
        """
        trainer._signal_connector.register_signal_handlers = _do_nothing  # type: ignore[attr-defined, method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _do_nothing  # type: ignore[method-assign]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to receive requests: from here on processes wait for each other, so none may leave alone."""
        if trainer.world_size > 1:
            self.group = dist.new_group(backend="gloo")
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            self.request.children = launcher.procs
        self.request.begin()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Hear of no loading process while the weights change."""
        self.loading.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and exit, if a step has ended and all processes know of the request.

        Raises:
            SystemExit: with the requested exit code; 0 in processes that another process started.
            RuntimeError: a process that loads images has ended.
        """
        self.loading.end()
        model = learner_of(pl_module)
        schedule = model.schedule
        if not model.between_steps or schedule.finished:  # a finished run ends by itself
            return
        code = self._agreed()
        if code:
            if self.checkpoints.saved != schedule.iteration:
                self.checkpoints.save(trainer)
                self.journal.note(trainer, pl_module)
            self._leave(trainer, code)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Exit in the middle of a validation.

        Raises:
            SystemExit: as after a training batch.
        """
        code = self._agreed()
        if code:
            self._leave(trainer, code)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last finished step, if no more images are loaded: the training itself is sound.

        Not with several processes, of which the others would have to take part.
        """
        if not is_loader_failure(exception):
            return
        hear_no_more_of_loaders()
        model = learner_of(pl_module)
        sound = not self.loading.in_step and model.between_steps
        if sound and trainer.world_size == 1 and model.schedule.iteration > self.checkpoints.saved:
            self.checkpoints.save(trainer)
            self.journal.note(trainer, pl_module)
            self.console.print(f"saved after {self.checkpoints.saved:,} batches", highlight=False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals of loading processes back."""
        self.loading.leave()

    def _agreed(self) -> int:
        """The requested exit code, once all processes know it; 0 until then."""
        if self.group is None:
            return self.request.code
        if self.pending is not None:
            work, code = self.pending
            work.wait()
            if code.item():
                return int(code)
        code = torch.tensor(self.request.code)
        self.pending = dist.all_reduce(code, op=dist.ReduceOp.MAX, group=self.group, async_op=True), code
        return 0

    def _leave(self, trainer: Trainer, code: int) -> None:
        if trainer.is_global_zero:
            saved = f"saved after {self.checkpoints.saved:,} batches"
            message = f"asked to end: {saved}; the same command goes on from there"
            self.console.print(message, highlight=False, soft_wrap=True)
            for tracker in trackers_of(trainer):
                tracker.pause()
        sys.exit(code if trainer.local_rank == 0 else 0)


def _do_nothing(*_: Any) -> None:
    """Replaces a method of Lightning's."""
