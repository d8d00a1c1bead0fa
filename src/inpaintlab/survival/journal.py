"""The progress of a training, written beside its checkpoints for other processes to read."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainting import learner_of
from inpaintlab.runs import Progress
from inpaintlab.survival.saving import Checkpoints


@final
class Journal(Callback):
    """Writes a run's ``progress.json`` at each validation and with each ``last.ckpt``.

    Args:
        folder: the run's folder.
        checkpoints: the callback that saves ``last.ckpt``; it runs before this one.
        monitor: the validation metric that is recorded.
        higher_is_better: the direction of ``monitor``.
        paces: see `Progress`; they are read when they are written.
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Checkpoints,
        monitor: str,
        higher_is_better: bool,
        paces: Mapping[str, float],
    ) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.higher_is_better = higher_is_better
        self.paces, self.paces_before = paces, dict[str, float]()
        self.validations: list[tuple[int, float | None]] = []
        self.exact: dict[str, int] = {}
        self.seconds_before = 0.0
        self.started_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read what was recorded up to the checkpoint that training resumes from."""
        begin, _ = _position(pl_module)
        before = Progress.load(self.folder) if begin else None
        if before is not None:
            self.validations = [entry for entry in before.validations if entry[0] <= begin]
            kept = {str(at) for at, _ in self.validations}
            self.exact = {at: count for at, count in before.exact.items() if at in kept}
            self.seconds_before, self.paces_before = before.seconds, before.paces
        self.started_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the progress when ``last.ckpt`` was saved after this batch."""
        if self.checkpoints.saved == _position(pl_module)[0]:
            self.note(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the monitored score; one that is no number (NaN) becomes None."""
        iteration, _ = _position(pl_module)
        score = float(trainer.callback_metrics[self.monitor])
        self.validations = [entry for entry in self.validations if entry[0] < iteration]
        self.validations.append((iteration, score if score == score else None))
        self.exact.pop(str(iteration), None)
        if exact := int(trainer.callback_metrics.get(f"{self.monitor}_infinite", 0)):
            self.exact[str(iteration)] = exact
        self.note(trainer, pl_module)

    def note(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the batches that ``last.ckpt`` holds, the validations so far, and the seconds of training."""
        if trainer.is_global_zero:
            saved, total = self.checkpoints.saved, _position(pl_module)[1]
            seconds = round(self.seconds_before + time.monotonic() - self.started_at, 3)
            paces = self.paces_before | dict(self.paces)
            noted = (self.monitor, self.higher_is_better, self.validations, seconds, self.exact, paces)
            Progress(saved, total, *noted).save(self.folder)


def note_finished(folder: Path, total: int, monitor: str, higher_is_better: bool) -> None:
    """Record a run as done: it may have been killed after its last checkpoint and before its progress was written.

    Args:
        folder: the run's folder.
        total: the run's batches, all done.
        monitor: see `Journal`; used where nothing was recorded yet.
        higher_is_better: likewise.
    """
    noted = Progress.load(folder) or Progress(0, total, monitor, higher_is_better, [], 0.0)
    if noted.iterations < total:
        replace(noted, iterations=total, total=total).save(folder)


def _position(module: LightningModule) -> tuple[int, int]:
    schedule = learner_of(module).schedule
    return schedule.iteration, schedule.total
