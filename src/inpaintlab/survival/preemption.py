"""Ending a training before its schedule ends: a checkpoint between two steps, and all processes leave together."""

import time
from datetime import timedelta
from typing import Any, final

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from rich.console import Console

from inpaintlab.inpainting import learner_of
from inpaintlab.machine import REQUEUE, EndsBetweenSteps, Request, hear_no_more_of_loaders, is_loader_failure
from inpaintlab.survival.journal import Journal
from inpaintlab.survival.saving import Checkpoints
from inpaintlab.tracking import trackers_of

_BY_CALLBACK, _BY_TIME = 1, 2
"""Reasons to end that are no signal, lower than the exit code of any: of several the highest counts."""


@final
class EndsEarly(SystemExit):
    """A training ends before its schedule does. It has saved, and the same command goes on.

    Args:
        code: the exit code of this process.
        sentence: what was printed of it.
        for_good: whether the user had asked by an `EarlyStopping` that it ends here.
    """

    def __init__(self, code: int, sentence: str, *, for_good: bool = False) -> None:
        super().__init__(code)
        self.sentence = sentence
        self.for_good = for_good


@final
class Preemption(Callback):
    """Ends a training early, with ``last.ckpt`` at the last finished step: on a signal, by time, or for a callback.

    During training the run ends after the current step. A signal ends a validation at once: a checkpoint was saved
    before the validation, and a resumed run repeats it. The other reasons wait for its end, so that each start of a run
    gets further than the one before.

    A callback that sets ``trainer.should_stop`` as for any Lightning training, such as `EarlyStopping`, is heeded here:
    the trainer itself would leave between the batches of one step, and each process by itself.

    A reason may be known to only one of several processes, but all must leave after the same batch. So at each step the
    processes reduce a number in a process group of its own, on the CPU and asynchronously; the result is read one step
    later. Neither devices nor hosts wait for each other because of it. This callback runs after all others.

    Args:
        request: the exit code that a received signal asks for, 0 without one.
        checkpoints: saves ``last.ckpt``.
        journal: records that it was saved.
        console: prints that the run ends.
        seconds: that this start may take, from its first batch on; None for as long as the schedule takes.
        kept: whether the run's folder stays, so that the same command can go on.
    """

    def __init__(
        self,
        request: Request,
        checkpoints: Checkpoints,
        journal: Journal,
        console: Console,
        seconds: float | None = None,
        *,
        kept: bool = True,
    ) -> None:
        self.request = request
        self.checkpoints = checkpoints
        self.journal = journal
        self.console = console
        self.seconds = seconds
        self.kept = kept
        self.begun = 0.0
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

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the time, and forget why a callback ended an earlier start: its state came from the checkpoint."""
        self.begun = time.monotonic()
        for callback in _early_stopping(trainer):
            callback.stopping_reason_message = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Hear of no loading process while the weights change."""
        self.loading.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and exit, if a step has ended and all processes know of a reason.

        Raises:
            EndsEarly: there is one.
            RuntimeError: a process that loads images has ended.
        """
        self.loading.end()
        model = learner_of(pl_module)
        schedule = model.schedule
        if not model.between_steps or schedule.finished:  # a finished run ends by itself
            return
        reason = self._agreed(self._reason(trainer))
        if reason:
            self._save(trainer)
            self._leave(trainer, reason)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Exit in the middle of a validation, on a signal.

        Raises:
            EndsEarly: as after a training batch.
        """
        reason = self._agreed(self.request.code, above=_BY_TIME)
        if reason > _BY_TIME:
            self._leave(trainer, reason)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and exit after a validation; all processes wait here for each other, as they did for its scores.

        What callbacks learnt from the validation is saved too.

        Raises:
            EndsEarly: as after a training batch.
        """
        if learner_of(pl_module).schedule.finished:
            return
        reason = self._agreed(self._reason(trainer), at_once=True)
        if reason:
            self._save(trainer, anew=True)
            self._leave(trainer, reason)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and exit, if something ended the training loop before the schedule, such as a callback's StopIteration.

        Raises:
            EndsEarly: the schedule is not finished.
        """
        model = learner_of(pl_module)
        if not model.schedule.finished:
            _take_back_the_end(trainer)
            if model.between_steps:
                self._save(trainer)
            self._leave(trainer, self._reason(trainer) or _BY_CALLBACK)

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

    def _reason(self, trainer: Trainer) -> int:
        """Why this process would end: the exit code that a signal asks for, one of the other reasons, or 0."""
        if self.request.code:
            return self.request.code
        if self.seconds is not None and time.monotonic() - self.begun >= self.seconds:
            return _BY_TIME
        return _BY_CALLBACK if trainer.should_stop else 0

    def _agreed(self, reason: int, *, above: int = 0, at_once: bool = False) -> int:
        """The highest reason of all processes, once all of them know it; 0 until then.

        Args:
            reason: of this process.
            above: reasons up to this one are not acted upon now, so the processes go on to ask each other.
            at_once: wait for the other processes, instead of hearing of it at the next call.
        """
        if self.group is None:
            return reason
        agreed = 0
        if self.pending is not None:
            work, number = self.pending
            work.wait()
            agreed = int(number)
        if agreed <= above or at_once:
            number = torch.tensor(max(agreed, reason))
            self.pending = dist.all_reduce(number, op=dist.ReduceOp.MAX, group=self.group, async_op=True), number
        if at_once and self.pending is not None:
            self.pending[0].wait()
            agreed, self.pending = int(self.pending[1]), None
        return agreed

    def _save(self, trainer: Trainer, *, anew: bool = False) -> None:
        """Save the state after the last batch, if ``last.ckpt`` does not hold it or is wanted ``anew``."""
        model = learner_of(trainer.lightning_module)
        if anew or self.checkpoints.saved != model.schedule.iteration:
            self.checkpoints.save(trainer)
            self.journal.note(trainer, model)

    def _leave(self, trainer: Trainer, reason: int) -> None:
        saved, total = self.checkpoints.saved, learner_of(trainer.lightning_module).schedule.total
        for_good = False
        if reason > _BY_TIME:
            sentence = f"asked to end: saved after {saved:,} batches"
        else:
            given_up = [told for callback in _early_stopping(trainer) if (told := callback.stopping_reason_message)]
            for_good = reason == _BY_CALLBACK and bool(given_up)
            why = "a callback asked for it"
            if reason == _BY_TIME:
                why = f"trainer.max_time, {timedelta(seconds=self.seconds or 0)}"
            elif for_good:
                why = f"EarlyStopping: {given_up[0].removesuffix('Signaling Trainer to stop.').strip(' .')}"
            sentence = f"stopped after {saved:,} of {total:,} batches ({why})"
        if trainer.is_global_zero:
            goes_on = "the same command goes on from there" if self.kept else "a debug run keeps nothing"
            self.console.print(f"{sentence}; {goes_on}", markup=False, highlight=False, soft_wrap=True)
            for tracker in trackers_of(trainer):
                tracker.pause()
        code = reason if reason > _BY_TIME else REQUEUE
        raise EndsEarly(code if trainer.local_rank == 0 else 0, sentence, for_good=for_good)


def _take_back_the_end(trainer: Trainer) -> None:
    """Let the trainer's counters say what is so: the one epoch is not over, and no batch was begun that is not done."""
    loop: Any = trainer.fit_loop
    epochs, batches = loop.epoch_progress, loop.epoch_loop.batch_progress
    for epoch in (epochs.current, epochs.total):
        epoch.processed = epoch.completed = 0
    for batch in (batches.current, batches.total):
        batch.ready = batch.started = batch.processed = batch.completed


def _early_stopping(trainer: Trainer) -> list[EarlyStopping]:
    return [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]


def _do_nothing(*_: Any) -> None:
    """Replaces a method of Lightning's."""
