"""How far a training is, written beside its checkpoints for those who look on from outside."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainting import learner_of
from inpaintlab.runs import Progress
from inpaintlab.survival.saving import Checkpoints


@final
class Journal(Callback):
    """Keeps ``progress.json`` of a run: written at each validation and with each ``last.ckpt``.

    Args:
        folder: the run's folder.
        checkpoints: saves ``last.ckpt``, and is called before.
        monitor: the validation metric that is noted.
        higher_is_better: the direction of ``monitor``.
    """

    def __init__(self, folder: Path, checkpoints: Checkpoints, monitor: str, higher_is_better: bool) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.higher_is_better = higher_is_better
        self.validations: list[tuple[int, float | None]] = []
        self.seconds_before = 0.0
        self.started_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up what was noted until the checkpoint that training goes on from."""
        begin, _ = _position(pl_module)
        before = Progress.load(self.folder) if begin else None
        if before is not None:
            self.validations = [entry for entry in before.validations if entry[0] <= begin]
            self.seconds_before = before.seconds
        self.started_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note that ``last.ckpt`` was saved."""
        if self.checkpoints.saved == _position(pl_module)[0]:
            self.note(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the monitored score."""
        iteration, _ = _position(pl_module)
        score = float(trainer.callback_metrics[self.monitor])
        finite = abs(score) < float("inf")  # neither infinite nor NaN, for which JSON has no word
        self.validations = [entry for entry in self.validations if entry[0] < iteration]
        self.validations.append((iteration, score if finite else None))
        self.note(trainer, pl_module)

    def note(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write how far ``last.ckpt`` is, and what validation gave so far."""
        if trainer.is_global_zero:
            saved, total = self.checkpoints.saved, _position(pl_module)[1]
            seconds = round(self.seconds_before + time.monotonic() - self.started_at, 3)
            Progress(saved, total, self.monitor, self.higher_is_better, self.validations, seconds).save(self.folder)


def note_finished(folder: Path, total: int, monitor: str, higher_is_better: bool) -> None:
    """Make ``progress.json`` say that a run is done which was killed between its last checkpoint and the note of it."""
    noted = Progress.load(folder) or Progress(0, total, monitor, higher_is_better, [], 0.0)
    if noted.iterations < total:
        replace(noted, iterations=total, total=total).save(folder)


def _position(module: LightningModule) -> tuple[int, int]:
    schedule = learner_of(module).schedule
    return schedule.iteration, schedule.total
