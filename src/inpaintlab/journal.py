"""How far a training is, written beside its checkpoints for those who look on from outside."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainter import Inpainter
from inpaintlab.jobs import Progress


@final
class Journal(Callback):
    """Keeps ``progress.json`` of a run: written at each validation and with each ``last.ckpt``.

    Args:
        folder: the run's folder.
        every: batches between two savings of ``last.ckpt``.
        monitor: the validation metric that is noted.
        higher_is_better: the direction of ``monitor``.
    """

    def __init__(self, folder: Path, every: int, monitor: str, higher_is_better: bool) -> None:
        self.folder = folder
        self.every = every
        self.monitor = monitor
        self.higher_is_better = higher_is_better
        self.validations: list[tuple[int, float | None]] = []
        self.saved = 0
        self.seconds_before = 0.0
        self.started_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up what was noted until the checkpoint that training goes on from."""
        self.saved = _position(pl_module)[0]
        before = Progress.load(self.folder) if self.saved else None
        if before is not None:
            self.validations = [entry for entry in before.validations if entry[0] <= self.saved]
            self.seconds_before = before.seconds
        self.started_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note that ``last.ckpt`` was saved."""
        iteration, total = _position(pl_module)
        if iteration % self.every == 0 or iteration >= total:
            self.saved = iteration
            self._write(trainer, total)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the monitored score."""
        iteration, total = _position(pl_module)
        score = float(trainer.callback_metrics[self.monitor])
        finite = abs(score) < float("inf")  # neither infinite nor NaN, for which JSON has no word
        self.validations = [entry for entry in self.validations if entry[0] < iteration]
        self.validations.append((iteration, score if finite else None))
        self._write(trainer, total)

    def _write(self, trainer: Trainer, total: int) -> None:
        if trainer.is_global_zero:
            seconds = self.seconds_before + time.monotonic() - self.started_at
            Progress(self.saved, total, self.monitor, self.higher_is_better, self.validations, round(seconds, 3)).save(
                self.folder
            )


def note_finished(folder: Path, total: int, monitor: str, higher_is_better: bool) -> None:
    """Make ``progress.json`` say that a run is done which was killed between its last checkpoint and the note of it."""
    noted = Progress.load(folder) or Progress(0, total, monitor, higher_is_better, [], 0.0)
    if noted.iterations < total:
        replace(noted, iterations=total, total=total).save(folder)


def _position(module: LightningModule) -> tuple[int, int]:
    assert isinstance(module, Inpainter)
    assert module.schedule is not None
    return module.schedule.iteration, module.schedule.total
