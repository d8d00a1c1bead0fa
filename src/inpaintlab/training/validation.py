"""Scores of the completed validation images."""

from typing import Any, final

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torchmetrics import MetricCollection

from inpaintlab.metrics import finite_mean


@final
class Validation(Callback):
    """Scores of the completed validation images, as ``val/<metric>``: the mean over images."""

    def __init__(self, metrics: MetricCollection) -> None:
        self.metrics = metrics

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from nothing, on the network that a checkpoint holds.

        Each of several processes has gathered running statistics of batch norm from its own part of the last batch. The
        first one's are those that are saved, and those with which the next batch begins everywhere.
        """
        if trainer.world_size > 1:
            for buffer in pl_module.buffers():
                dist.broadcast(buffer, src=0)
        self.metrics.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score a batch."""
        self.metrics.update(outputs["completed"], batch["image"], mask=batch["mask"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means."""
        scores = {f"val/{name}": finite_mean(values) for name, values in self.metrics.compute().items()}
        pl_module.log_dict(scores, sync_dist=True, reduce_fx="max")  # each process has the scores of all images


@final
class MissedValidation(Callback):
    """Validates before the first batch, for a run that was ended between ``last.ckpt`` and the validation of its batch.

    To be called after all that looks at a validation.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate, as the loop does in the middle of training."""
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
