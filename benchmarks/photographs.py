"""Ordinary JPEG files and training batches made of them."""

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.plain.glcic import window_corners
from inpaintlab.config import CONF
from inpaintlab.data import DataModule, Photos, TrainingSet, batch_as_floats
from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray


def write(folder: Path, side: int) -> Path:
    """Write the photographs inside scikit-image as JPEG files of quality 90 whose shorter side has ``side`` pixels.

    Returns the root of a data set whose split train they are.
    """
    (folder / "train").mkdir(parents=True)
    for file in (file for split in ("train", "val", "test") for file in Photos().files(split)):
        with Image.open(file) as picture:
            scale = side / min(picture.size)
            size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
            resized = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        resized.save(folder / "train" / f"{file.stem}.jpg", quality=90)
    return folder


def samples(root: Path, size: int, *settings: str) -> TrainingSet:
    """Our training samples as `inpaintlab train` makes them, with EdgeConnect's published crop: the centre square.

    Args:
        root: the folder of the pictures, or one with the pictures in its folder train.
        size: side of the squares in pixels.
        settings: further settings of `inpaintlab train`.
    """
    train = "train" if (root / "train").is_dir() else "."
    chosen = [
        "data=folder",
        f"data.root={root.absolute()}",
        f"data.source.train={train}",
        "data/crop=centre_square",
        f"data.size={size}",
        "data.workers=0",
        *settings,
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", overrides=chosen)
    data: DataModule = instantiate(cfg.datamodule, mask=cfg.mask)
    return data.training_set()


def batch(root: Path, size: int, count: int) -> dict[str, Tensor]:
    """``count`` training samples with blocks as holes: image, gray, edges, mask, and the corners of GLCIC's windows."""
    training = samples(root, size, "mask=block")
    given = batch_as_floats(default_collate([training[divmod(place, len(training))] for place in range(count)]))
    gray = rgb_to_gray(given["image"])
    return {
        "image": given["image"],
        "mask": given["mask"],
        "gray": gray,
        "edges": canny(gray, 2.0),
        "corners": window_corners(given["mask"], size // 2),
    }


def to(device: torch.device, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a batch on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in given.items()}
