"""Ordinary JPEG files and training batches made of them."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.plain.glcic import window_corners
from inpaintlab.crops import CentreSquare
from inpaintlab.data import TrainingSet
from inpaintlab.edges import canny, rgb_to_gray
from inpaintlab.masks import Block, Mask
from inpaintlab.sources import Folder, Photos


def write(folder: Path, side: int) -> Path:
    """The photographs inside scikit-image as JPEG files of quality 90 whose shorter side has ``side`` pixels.

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


def samples(root: Path, size: int, mask: Mask) -> TrainingSet:
    """Our training samples of EdgeConnect's published pipeline: the centre square, resized, flipped at random."""
    train, folder = (str(root), ".") if not (root / "train").is_dir() else (str(root), "train")
    return TrainingSet(Folder(train, train=folder), CentreSquare(size), mask, seed=1, flip=0.5)


def batch(root: Path, size: int, count: int) -> dict[str, Tensor]:
    """``count`` training samples with blocks as holes: image, gray, edges, mask, and the corners of GLCIC's windows."""
    training = samples(root, size, Block(0.5))
    given = default_collate([training[divmod(place, len(training))] for place in range(count)])
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
