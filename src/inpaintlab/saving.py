"""The checkpoints that a run keeps."""

import os
from pathlib import Path
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from inpaintlab.inpainter import Inpainter


@final
class Checkpoints(Callback):
    """``last.ckpt`` every so many batches and at the end, ``best.ckpt`` by a validation metric; each replaced whole.

    Args:
        folder: the run's folder.
        every: batches between two savings.
        monitor: the validation metric that decides which is best, for example ``val/psnr_rgb``.
        higher_is_better: the direction of ``monitor``.
    """

    def __init__(self, folder: Path, every: int, monitor: str, higher_is_better: bool) -> None:
        self.folder = folder
        self.every = every
        self.monitor = monitor
        self.sign = 1.0 if higher_is_better else -1.0
        self.best: float | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save ``last.ckpt`` when its time has come."""
        assert isinstance(pl_module, Inpainter)
        schedule = pl_module.schedule
        assert schedule is not None
        if schedule.iteration % self.every and not schedule.finished:
            return
        self._save(trainer, "last.ckpt")

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
        partial = self.folder / f".{name}.partial"
        trainer.save_checkpoint(partial)  # every process takes part, the first one writes
        if trainer.is_global_zero:
            os.replace(partial, self.folder / name)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score so far."""
        self.best = state_dict["best"]
