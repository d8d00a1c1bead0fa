"""The validation images of a run, and the scores of their completions."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import MetricCollection

from inpaintlab.metrics import FeatureNetwork, FeaturePairs, SetMetric, finite_mean, networks_of
from inpaintlab.runs import mask_recipe
from inpaintlab.shapes import Images
from inpaintlab.testsets import Manifest, ManifestDataset

_FEW = 10_000  # ours: five times the 2,048 images below which the covariance of Inception's features is singular


@final
class SetFeatures:
    """The features of the validation images and of their completions, for the metrics of one network.

    Each process computes those of its share of the images, every so-manieth. Those of the originals are computed at the
    first validation of a start and kept in memory, because the images stay the same.

    Args:
        network: computes the features.
        metrics: those in its features, by name.
    """

    def __init__(self, network: FeatureNetwork, metrics: Mapping[str, SetMetric]) -> None:
        self.network = network
        self.metrics = metrics
        self._originals: Float[Tensor, "images width"] | None = None
        self._unfinished: dict[str, Float[Tensor, "images width"]] = {}
        self._rank, self._processes = 0, 1

    def begin(self, images: int, device: torch.device, rank: int = 0, processes: int = 1) -> None:
        """Begin a validation.

        Args:
            images: number of all.
            device: where they are.
            rank: of this process.
            processes: number of all.
        """
        self._rank, self._processes = rank, processes
        sides = ("completed",) if self._originals is not None else ("completed", "original")
        self._unfinished = {side: torch.zeros(images, self.network.width, device=device) for side in sides}

    def see(self, positions: Int[Tensor, " batch"], completed: Images, original: Images) -> None:
        """Compute the features of this process's share of a batch.

        Args:
            positions: of the images in the validation set.
            completed: their completions.
            original: the images.
        """
        places = positions.tolist()
        share = [row for row, place in enumerate(places) if place % self._processes == self._rank]
        if not share:
            return
        at = [places[row] for row in share]
        for side, rows in self._unfinished.items():
            rows[at] = self.network((completed if side == "completed" else original)[share]).to(rows)

    def scores(self) -> dict[str, float]:
        """The value of each metric, the same in all processes; NaN if a completion is not finite."""
        if self._processes > 1:
            for rows in self._unfinished.values():
                dist.all_reduce(rows)  # a row is 0 in all processes but one
        completed = self._unfinished.pop("completed")
        if self._originals is None:
            self._originals = self._unfinished.pop("original")
        pairs = FeaturePairs(*(rows.cpu().double().numpy() for rows in (self._originals, completed)))
        return {name: metric.value(pairs) for name, metric in self.metrics.items()}


@final
class Validation(Callback):
    """Logs the scores of the completed validation images as ``val/<metric>``.

    Of a metric of single images it is the mean of the finite values. Of one that is infinite where an image is
    reproduced exactly, the number of such images follows as ``val/<metric>_infinite``, from the first one on. If all
    are such images, the mean is infinite.

    Every process completes all validation images, so that each has all scores.

    Args:
        metrics: of each image, by name.
        set_metrics: of all images together, by name.
    """

    def __init__(self, metrics: MetricCollection, set_metrics: Mapping[str, SetMetric] | None = None) -> None:
        self.metrics = metrics
        of_sets = dict(set_metrics or {})
        self.sets = [
            SetFeatures(network, {name: each for name, each in of_sets.items() if each.network.name == network.name})
            for network in networks_of(of_sets.values())
        ]
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
        for features in self.sets:
            images = len(trainer.datamodule.validation)  # type: ignore[attr-defined]
            features.begin(images, pl_module.device, trainer.global_rank, trainer.world_size)

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
        for features in self.sets:
            features.see(batch["position"], outputs["completed"], batch["image"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log each metric of single images as its mean over all, and each metric of the whole set."""
        scores: dict[str, Any] = {}
        for name, values in self.metrics.compute().items():
            infinite_allowed = bool(self.metrics[name].infinite_allowed)
            scores[f"val/{name}"] = finite_mean(values, infinite_allowed)
            # torchmetrics joins the values of all processes, each of which has those of all images
            exact = (values == float("inf")).sum().float() / trainer.world_size
            if infinite_allowed and (exact or name in self._infinite):  # a count that sinks to 0 is told too
                self._infinite.add(name)
                scores[f"val/{name}_infinite"] = exact
        for features in self.sets:
            scores |= {f"val/{name}": value for name, value in features.scores().items()}
        pl_module.log_dict(scores, sync_dist=True, reduce_fx="max")  # each process has the scores of all images


def notes_of_few(metrics: Mapping[str, SetMetric], images: int) -> Iterator[str]:
    """A sentence for each metric of the whole validation set, where that has few images."""
    if images < _FEW:
        for name, metric in metrics.items():
            yield f"val/{name} of {images} images {metric.of_few}; it compares with curves of the same images alone"


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
