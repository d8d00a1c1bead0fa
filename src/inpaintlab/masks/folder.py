"""Masks from image files that somebody else drew."""

import os
import warnings
from pathlib import Path
from typing import Literal, final

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from inpaintlab.masks.mask import Hole, Mask
from inpaintlab.masks.settings import Number


@final
class MaskFolder(Mask):
    """Masks from image files: each call picks one of them at random.

    A file is turned upright by its EXIF tag and converted to grey (transparency is ignored). Its largest central part
    with the mask's proportions is resized to the mask's size by nearest neighbour. Then ``grey / 255 > threshold`` is
    white, all else black. Nearest neighbour copies pixels and mixes none, so the threshold may come after the resize,
    where there are fewer pixels; after an interpolating resize it would move the outline of the hole.

    Warns once when a file has many grey values, as JPEG masks do.

    Args:
        root: the folder; files in folders below it count as well.
        threshold: in [0, 1); 0 makes everything hole that is not black, as EdgeConnect does.
        hole: "white" or "black", the colour of the hole in the files.
        dilate: grows the hole by so many pixels of the resized mask in all eight directions.

    Raises:
        ValueError: a setting out of its range; a folder that is missing or holds no image; or, when a mask is drawn, a
            file that cannot be read, or that is all hole or no hole.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
    # A clean mask has two grey values and a palette a few; JPEG artefacts and soft brushes give dozens.
    many_greys = 16

    def __init__(
        self,
        root: str | os.PathLike[str],
        threshold: Number = 0.5,
        hole: Literal["white", "black"] = "white",
        dilate: int = 0,
    ) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"MaskFolder: threshold must lie in [0, 1), but is {threshold}; 0.5 is halfway to white.")
        if hole not in ("white", "black"):
            raise ValueError(f'MaskFolder: hole must be "white" or "black", the colour of the hole, but is {hole!r}.')
        if dilate < 0:
            raise ValueError(f"MaskFolder: dilate must be 0 or more pixels, but is {dilate}.")
        self.root = Path(root).expanduser()
        self.threshold = float(threshold)
        self.hole = hole
        self.dilate = dilate
        self.names = self._list()
        self._warned = False

    def files(self) -> list[tuple[str, Path]]:
        """All files of the folder, by their names in it."""
        return [(name, self.root / name) for name in self.names]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The hole of a file picked at random."""
        file = self.root / self.names[int(torch.randint(len(self.names), (), generator=generator))]
        grey = self._read(file, height, width)
        white = grey > 255 * self.threshold
        hole = white if self.hole == "white" else ~white
        if self.dilate:
            reach = np.ones((2 * self.dilate + 1, 2 * self.dilate + 1), np.uint8)
            hole = cv2.dilate(hole.astype(np.uint8), reach).astype(bool)

        if hole.all() or not hole.any():
            other = "black" if self.hole == "white" else "white"
            raise ValueError(
                f"The mask {file} is {'all hole' if hole.any() else 'no hole'} at {height} x {width} px (hole: "
                f"{self.hole}, threshold {self.threshold}, dilate {self.dilate}; its grey values there run from "
                f"{grey.min()} to {grey.max()} of 255); remove it, set hole to {other}, or change the threshold."
            )
        return hole

    def _list(self) -> list[str]:
        """The names of the image files relative to the root, sorted, so that every machine counts them alike."""
        wanted = f"MaskFolder looks for mask images ({', '.join(self.suffixes)}) in {self.root} and the folders in it"
        if not self.root.is_dir():
            raise ValueError(f"{wanted}, but there is no such folder; set root to the folder that holds your masks.")
        files = (file for file in self.root.rglob("*") if file.suffix.lower() in self.suffixes and file.is_file())
        # Names that begin with a dot are what file managers leave behind, not masks.
        names = sorted(file.relative_to(self.root).as_posix() for file in files if not file.name.startswith("."))
        if not names:
            raise ValueError(f"{wanted}, but found none; put masks there or set root to the folder that holds them.")
        return names

    def _read(self, file: Path, height: int, width: int) -> UInt8[np.ndarray, "{height} {width}"]:
        """The grey values of the file's central part, resized."""
        image = read_grey(file)
        if not self._warned and _greys(image) > self.many_greys:
            self._warned = True
            warnings.warn(
                f"The mask {file} has many grey values, as JPEG files and soft brushes have: the outline of its hole "
                f"depends on the threshold ({self.threshold}). Save the masks of {self.root} as two-valued PNG, or "
                "set dilate to cover the rim.",
                stacklevel=2,
            )

        # The largest central part with the mask's proportions, so that the shapes of holes are not stretched.
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        box = (left, top, min(left + scale * width, image.width), min(top + scale * height, image.height))
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST, box=box))


def read_grey(file: Path) -> Image.Image:
    """A mask file as 8-bit grey, turned upright by its EXIF tag; transparency is ignored.

    Raises:
        ValueError: the file is missing, damaged, or no image.
    """
    try:
        with Image.open(file) as opened:
            return _grey(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"The mask {file} cannot be read as an image ({error}); repair or remove the file.") from error


def _greys(image: Image.Image) -> int:
    """How many values between black and white an 8-bit picture has."""
    between = np.asarray(image) - 1 < 254  # black wraps to 255
    # a histogram takes longer, and most masks need none
    return sum(count > 0 for count in image.histogram()[1:255]) if between.any() else 0


def _grey(image: Image.Image) -> Image.Image:
    """Any image as 8-bit grey; 16-bit files lose their lower byte, which Pillow would clip at 255 instead."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    return image.convert("L")
