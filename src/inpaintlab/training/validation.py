"""The validation images of a run, and the scores of their completions."""

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torchmetrics import MetricCollection

from inpaintlab.metrics import finite_mean
from inpaintlab.runs import mask_recipe
from inpaintlab.testsets import Manifest, ManifestDataset


@final
class Validation(Callback):
    """Logs the scores of the completed validation images as ``val/<metric>``: the mean of the finite values.

    Of a metric that is infinite where an image is reproduced exactly, the number of such images follows as
    ``val/<metric>_infinite``, from the first one on. If all are such images, the mean is infinite.

    Args:
        metrics: of each image, by name.
    """

    def __init__(self, metrics: MetricCollection) -> None:
        self.metrics = metrics
        self._infinite: set[str] = set()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the metrics, and give all processes the buffers that a checkpoint holds.

        Each process has updated batch norm's running statistics from its own part of the last batch. A checkpoint
        saves those of the first process, and the next batch starts from them in every process.
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
        """Score the completed images of a batch."""
        self.metrics.update(outputs["completed"], batch["image"], mask=batch["mask"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log each metric's mean over all images of all processes."""
        scores: dict[str, Any] = {}
        for name, values in self.metrics.compute().items():
            infinite_allowed = bool(self.metrics[name].infinite_allowed)
            scores[f"val/{name}"] = finite_mean(values, infinite_allowed)
            exact = (values == float("inf")).sum().float()
            if infinite_allowed and (exact or name in self._infinite):  # a count that sinks to 0 is told too
                self._infinite.add(name)
                scores[f"val/{name}_infinite"] = exact
        pl_module.log_dict(scores, sync_dist=True, reduce_fx="max")  # each process has the scores of all images


@final
class MissedValidation(Callback):
    """Validates before the first batch, for a run that ended after ``last.ckpt`` and before the validation due there.

    This callback runs after all that handle a validation.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate as the training loop does between two batches."""
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True


def validation_manifest(cfg: dict[str, Any], run_dir: Path) -> Manifest:
    """The run's small frozen test set: the first validation images, with holes like those of training.

    A run that is resumed keeps the one that it started with, unless other files were accepted and it is not sound with
    them: scores before and after are of other images then.

    Raises:
        ValueError: the validation images cannot be read, or the saved manifest is damaged.
    """
    path = run_dir / "validation.json"
    if path.is_file() and (run_dir / "last.ckpt").is_file():
        frozen = Manifest.load(path)  # by a run of these settings; its files may lie elsewhere by now
        frozen = replace(frozen, source=cfg["data"]["source"], bins={"training holes": mask_recipe(cfg)})
        if cfg["data_changed"] != "accept" or not any(ManifestDataset(frozen).faults()):
            return frozen
    return Manifest.create(
        source=cfg["data"]["source"],
        crop=cfg["data"]["crop"],
        bins={"training holes": mask_recipe(cfg)},
        split="val",
        size=cfg["data"]["size"],
        seed=0,
        images=cfg["validation_images"],
    )
