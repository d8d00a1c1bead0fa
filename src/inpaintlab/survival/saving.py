"""The checkpoints that a run keeps."""

import os
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from inpaintlab.inpainting import learner_of, load_checkpoint, save_checkpoint


@final
class Checkpoints(Callback):
    """``last.ckpt`` every so many batches and at the end, ``best.ckpt`` by a validation metric; each replaced whole.

    A validation begins with ``last.ckpt`` at its batch. So where there is a ``best.ckpt`` there is a ``last.ckpt`` that
    is as far, and what ends a validation loses nothing else.

    Args:
        folder: the run's folder.
        every: batches between two savings.
        validated_every: batches between two validations.
        monitor: the validation metric that decides which is best, for example ``val/psnr_rgb``.
        higher_is_better: the direction of ``monitor``.
    """

    def __init__(self, folder: Path, every: int, validated_every: int, monitor: str, higher_is_better: bool) -> None:
        self.folder = folder
        self.every = every
        self.validated_every = validated_every
        self.monitor = monitor
        self.sign = 1.0 if higher_is_better else -1.0
        self.best: float | None = None
        self.saved = 0
        """The batches that ``last.ckpt`` holds."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let files appear whole, on the disk, and beside each other."""
        trainer.strategy.checkpoint_io = WholeFile()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from what ``best.ckpt`` itself says of its score.

        ``last.ckpt`` may be older: a run that was killed between the two would replace the better one.

        Raises:
            ValueError: ``best.ckpt`` is damaged.
        """
        self.saved = learner_of(pl_module).schedule.iteration
        path = self.folder / "best.ckpt"
        self.best = score_of(path) if path.is_file() else None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save ``last.ckpt`` when its time has come."""
        schedule = learner_of(pl_module).schedule
        if schedule.finished or not schedule.iteration % self.every or not schedule.iteration % self.validated_every:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save ``last.ckpt`` now.

        Raises:
            ValueError: a weight is not a number any more; the last sound checkpoint stays.
        """
        self._save(trainer, "last.ckpt")
        self.saved = learner_of(trainer.lightning_module).schedule.iteration

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save ``best.ckpt`` when the metric is better than ever."""
        if self.monitor not in trainer.callback_metrics:
            names = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val/")))
            raise ValueError(f"monitor is '{self.monitor}', which validation does not give; it gives {names}.")
        score = float(trainer.callback_metrics[self.monitor])
        if score == score and (self.best is None or self.sign * score > self.sign * self.best):
            self.best = score
            self._save(trainer, "best.ckpt")

    def _save(self, trainer: Trainer, name: str) -> None:
        state = trainer.lightning_module.state_dict()
        broken = [key for key, value in state.items() if isinstance(value, Tensor) and not bool(value.isfinite().all())]
        if broken:
            raise ValueError(
                f"The weight '{broken[0]}' is not a finite number any more. {self.folder / 'last.ckpt'} still holds "
                "the last sound state; try a smaller learning rate or full precision."
            )
        trainer.save_checkpoint(self.folder / name)  # every process takes part, the first one writes

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}


def score_of(path: Path) -> float | None:
    """The validation score that a ``best.ckpt`` was saved for; None where it does not say.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        callbacks = load_checkpoint(path).get("callbacks", {})
    except ValueError as error:
        raise ValueError(f"{error} Delete it: the next validation writes another.") from error
    score = callbacks.get("Checkpoints", {}).get("best")
    return None if score is None else float(score)


@final
class WholeFile(TorchCheckpointIO):
    """Checkpoints that are on the disk, whole, before they get their name.

    Lightning's own writes them into the folder for temporary files, moves them over, and copies where that is another
    disk. So a small one would fill, and a kill leaves a file there that nobody deletes.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write beside ``path``, then rename.

        Raises:
            OSError: the file could not be written; what was at ``path`` is still there, and nothing else is left.
        """
        save_checkpoint(Path(path), checkpoint)
