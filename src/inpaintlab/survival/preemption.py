"""A training that is asked to end saves between two steps and leaves, on all processes after the same batch."""

import sys
from typing import Any, final

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from rich.console import Console

from inpaintlab.inpainting import learner_of
from inpaintlab.machine import Request
from inpaintlab.survival.journal import Journal
from inpaintlab.survival.saving import Checkpoints
from inpaintlab.tracking import trackers_of


@final
class Preemption(Callback):
    """Ends a training that was asked to, with ``last.ckpt`` at the last step that was done.

    A request that arrives in a batch is granted after the batches of its step; one that arrives in a validation is
    granted at once, because a checkpoint stands before each validation and a resumed run makes up for it.

    A signal may reach any one of several processes, and all have to leave after the same batch. So each step a flag
    goes round in a group of its own, on the CPU and without waiting: what comes of it is read a step later. Neither
    the devices nor the hosts wait for each other because of it. To be called after all other callbacks.

    Args:
        request: what this process was asked.
        checkpoints: saves ``last.ckpt``.
        journal: notes that it did.
        console: where it is told.
    """

    def __init__(self, request: Request, checkpoints: Checkpoints, journal: Journal, console: Console) -> None:
        self.request = request
        self.checkpoints = checkpoints
        self.journal = journal
        self.console = console
        self.group: Any = None
        self.round: tuple[Any, torch.Tensor] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep Lightning's own handling out.

        It would requeue a SLURM job by itself, speak to the other processes from inside of a signal's handler, and read
        a flag back from the device in each batch of several processes.
        """
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[attr-defined, method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on processes wait for each other, so none may leave alone."""
        if trainer.world_size > 1:
            self.group = dist.new_group(backend="gloo")
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            self.request.children = launcher.procs
        self.request.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and leave, where a step has ended and all know of the request.

        Raises:
            SystemExit: with the exit code that was asked for; 0 in the processes that another one started.
        """
        model = learner_of(pl_module)
        schedule = model.schedule
        if schedule.iteration % model.steps.accumulate or schedule.finished:  # a run that is over ends by itself
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
        """Leave in the middle of a validation.

        Raises:
            SystemExit: as in training.
        """
        code = self._agreed()
        if code:
            self._leave(trainer, code)

    def _agreed(self) -> int:
        """The exit code that a process was asked for, once all of them know; 0 until then."""
        if self.group is None:
            return self.request.code
        if self.round is not None:
            work, code = self.round
            work.wait()
            if code.item():
                return int(code)
        code = torch.tensor(self.request.code)
        self.round = dist.all_reduce(code, op=dist.ReduceOp.MAX, group=self.group, async_op=True), code
        return 0

    def _leave(self, trainer: Trainer, code: int) -> None:
        if trainer.is_global_zero:
            told = f"asked to end: saved after {self.checkpoints.saved:,} batches; the same command goes on from there"
            self.console.print(told, highlight=False, soft_wrap=True)
            for tracker in trackers_of(trainer):
                tracker.pause()
        sys.exit(code if trainer.local_rank == 0 else 0)


def _nothing(*_: Any) -> None:
    """In place of what Lightning would do."""
