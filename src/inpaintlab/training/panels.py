"""Pictures of the validation images while a model learns."""

from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image, ImageDraw
from torch import Tensor

from inpaintlab.inpainting import Inpainter, hide, learner_of
from inpaintlab.machine import whole
from inpaintlab.shapes import Images, Planes
from inpaintlab.tracking import trackers_of


@final
class Panels(Callback):
    """Draws the same few validation images every ``every`` batches, and at the end.

    A panel is ``panels/<iteration>.png`` in the run's folder, with one row per image: the input with its hole in red,
    intermediate outputs of the model (such as edges), raw output, completed image, original.

    Args:
        folder: the run's folder.
        every: batches between two panels.
        images: rows of a panel; 0 draws none.
    """

    def __init__(self, folder: Path, every: int, images: int) -> None:
        self.folder = folder / "panels"
        self.every = every
        self.images = images
        self.examples: dict[str, Tensor] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw a panel when one is due."""
        model = learner_of(pl_module)
        iteration = model.schedule.iteration
        if not trainer.is_global_zero or self.images == 0 or (iteration % self.every and not model.schedule.finished):
            return
        if self.examples is None:
            dataset = trainer.datamodule.validation  # type: ignore[attr-defined]
            items = [dataset[index] for index in range(min(self.images, len(dataset)))]
            keys = [key for key in ("image", "mask", "edges") if key in items[0]]
            self.examples = {key: torch.stack([item[key] for item in items]) for key in keys}
        examples = {key: value.to(model.device) for key, value in self.examples.items()}
        columns = panel_columns(model, examples["image"], examples["mask"], model.edge_files(examples))
        panel = Image.fromarray(draw_panel(columns))
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(self.folder / f"{iteration:07d}.png") as partial:
            panel.save(partial, format="png")
        for tracker in trackers_of(trainer):
            tracker.picture("panels", panel, step=iteration - 1, caption=f"after {iteration} batches")


def panel_columns(model: Inpainter, image: Images, mask: Planes, edges: Planes | None = None) -> dict[str, Images]:
    """The columns of a panel by their titles, from input to original: images (B, 3, H, W) in [0, 1].

    Args:
        model: completes the images.
        image: (B, 3, H, W) in [0, 1].
        mask: (B, 1, H, W), 1 = hole.
        edges: their maps from files, of a method that reads these.
    """
    raw = model.raw_output(image, mask, edges)
    return {
        "input": overlay(image, mask),
        **{name: picture.expand_as(image) for name, picture in model.seen_inside(image, mask, edges).items()},
        "raw output": raw,
        "completed": model.paste(image, mask, raw),
        "original": image,
    }


def overlay(image: Images, mask: Planes) -> Images:
    """The known region with the hole in red; nothing of the hidden pixels shows."""
    red = torch.tensor([0.85, 0.15, 0.2], device=image.device).view(1, 3, 1, 1)
    return hide(image, mask) + red * mask


def draw_panel(columns: dict[str, Images]) -> np.ndarray:
    """A panel as one (H, W, 3) uint8 picture: a row per image, and a titled column for each entry of ``columns``."""
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
