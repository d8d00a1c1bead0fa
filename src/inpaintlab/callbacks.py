"""What happens beside training: validation scores, checkpoints, image panels."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image, ImageDraw
from torch import Tensor
from torchmetrics import MetricCollection

from inpaintlab.inpainter import Inpainter, hide
from inpaintlab.metrics import finite_mean
from inpaintlab.shapes import Images, Planes


class Validation(Callback):
    """Scores of the completed validation images, as ``val/<metric>``: the mean over images."""

    def __init__(self, metrics: MetricCollection) -> None:
        self.metrics = metrics

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from nothing."""
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
        pl_module.log_dict(scores, rank_zero_only=False)


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
        """Save ``last.ckpt`` when its time has come.

        Raises:
            ValueError: a loss is not a number any more; the last sound checkpoint stays.
        """
        schedule = _inpainter(pl_module).schedule
        assert schedule is not None
        if schedule.iteration % self.every and not schedule.finished:
            return
        broken = [name for name, loss in outputs.items() if not bool(torch.isfinite(loss).all())]
        if broken:
            raise ValueError(
                f"The loss '{broken[0]}' is not a finite number after {schedule.iteration} batches (phase "
                f"'{schedule.phase.name}'). {self.folder / 'last.ckpt'} still holds the last sound state; try a "
                "smaller learning rate or full precision."
            )
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


class Panels(Callback):
    """Pictures of the same few validation images every so many batches, and at the end.

    Written to ``panels/<iteration>.png`` in the run's folder, one row an image: input with its hole in red, what the
    model sees on its way (edges), raw output, completed, original.
    """

    def __init__(self, folder: Path, every: int, images: int) -> None:
        self.folder = folder / "panels"
        self.every = every
        self.images = images
        self.examples: dict[str, Tensor] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw when it is time."""
        model = _inpainter(pl_module)
        assert model.schedule is not None
        iteration = model.schedule.iteration
        if not trainer.is_global_zero or self.images == 0 or (iteration % self.every and not model.schedule.finished):
            return
        if self.examples is None:
            dataset = trainer.datamodule.validation  # type: ignore[attr-defined]
            items = [dataset[index] for index in range(min(self.images, len(dataset)))]
            self.examples = {key: torch.stack([item[key] for item in items]) for key in ("image", "mask")}
        examples = {key: value.to(model.device) for key, value in self.examples.items()}
        panel = Image.fromarray(draw_panel(panel_columns(model, examples["image"], examples["mask"])))
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / ".panel.partial"
        panel.save(partial, format="png")
        os.replace(partial, self.folder / f"{iteration:07d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("panels", [panel], step=iteration - 1, caption=[f"after {iteration} batches"])


def panel_columns(model: Inpainter, image: Images, mask: Planes) -> dict[str, Images]:
    """The pictures of a panel by their titles, from input to original."""
    raw = model.raw_output(image, mask)
    return {
        "input": overlay(image, mask),
        **{name: picture.expand_as(image) for name, picture in model.seen_inside(image, mask).items()},
        "raw output": raw,
        "completed": model.paste(image, mask, raw),
        "original": image,
    }


def overlay(image: Images, mask: Planes) -> Images:
    """The visible pixels with the hole in red: nothing of what lies in the hole shows."""
    red = torch.tensor([0.85, 0.15, 0.2], device=image.device).view(1, 3, 1, 1)
    return hide(image, mask) + red * mask


def draw_panel(columns: dict[str, Images]) -> np.ndarray:
    """One (H, W, 3) uint8 picture: a row an image, a titled column a kind of picture."""
    gap, title = 4, 16
    rows, _, height, width = next(iter(columns.values())).shape
    sheet = Image.new("RGB", (len(columns) * (width + gap) + gap, rows * (height + gap) + gap + title), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, pictures) in enumerate(columns.items()):
        left = gap + column * (width + gap)
        pen.text((left, 2), name, fill="black")
        pixels = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for row in range(rows):
            sheet.paste(Image.fromarray(pixels[row]), (left, title + row * (height + gap)))
    return np.asarray(sheet)


def _inpainter(module: LightningModule) -> Inpainter:
    assert isinstance(module, Inpainter)
    return module
