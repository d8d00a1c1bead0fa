"""Masks from image files that somebody else drew."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, final

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from inpaintlab.imaging import ENDINGS, Pictures, find_pictures, on_disk
from inpaintlab.machine import shown
from inpaintlab.masks.mask import Hole, Mask
from inpaintlab.masks.reading import CLEAN, read_mask
from inpaintlab.masks.settings import Number


@final
class MaskFolder(Mask):
    """Masks from image files: each call picks one of them at random.

    A file is turned upright by its EXIF tag and read as black and white (see `read_mask`). Its largest central part
    with the mask's proportions is resized to the mask's size by nearest neighbour. Then ``grey / 255 > threshold`` is
    white, all else black. Nearest neighbour copies pixels and mixes none, so the threshold may come after the resize,
    where there are fewer pixels; after an interpolating resize it would move the outline of the hole.

    Warns once when a file has many grey values, as JPEG masks do, or when its transparency leaves room for a guess.

    Args:
        root: the folder; it is searched as `inpaintlab.imaging.find_pictures` says.
        threshold: in [0, 1); 0 makes everything hole that is not black, as EdgeConnect does.
        hole: "white" or "black", the colour of the hole in the files.
        dilate: grows the hole by so many pixels of the resized mask in all eight directions.

    Raises:
        ValueError: a setting out of its range; a folder that is missing or holds no image; or, when a mask is drawn, a
            file that cannot be read, is a photograph, or is all hole or no hole.
    """

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
        self._found = self._search()
        self.names = list(self._found.names)
        self._warned = False

    def files(self) -> list[tuple[str, Path]]:
        """All files of the folder, by their names in it."""
        return [(name, on_disk(self.root, name)) for name in self.names]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Hole:
        """The hole of a file picked at random."""
        return self.of_file(self.names[int(torch.randint(len(self.names), (), generator=generator))], height, width)

    def of_file(self, name: str, height: int, width: int, note: Callable[[str], None] | None = None) -> Hole:
        """The hole of one file.

        Args:
            name: its path below the root.
            height: of the image, in pixels.
            width: of the image, in pixels.
            note: is called with a sentence about a file that has many grey values; without it, the first such file of
                this folder is warned of.

        Returns:
            True inside the hole.

        Raises:
            ValueError: the file cannot be read, is a photograph, or is all hole or no hole.
        """
        file = on_disk(self.root, name)
        grey = self._read(file, height, width, note or self._warn_once)
        white = grey > 255 * self.threshold
        hole = white if self.hole == "white" else ~white
        if self.dilate:
            reach = np.ones((2 * self.dilate + 1, 2 * self.dilate + 1), np.uint8)
            hole = cv2.dilate(hole.astype(np.uint8), reach).astype(bool)

        if hole.all() or not hole.any():
            other = "black" if self.hole == "white" else "white"
            raise ValueError(
                f"The mask {shown(file)} is {'all hole' if hole.any() else 'no hole'} at {height} x {width} px (hole: "
                f"{self.hole}, threshold {self.threshold}, dilate {self.dilate}; its grey values there run from "
                f"{grey.min()} to {grey.max()} of 255); remove it, set hole to {other}, or change the threshold."
            )
        return hole

    def left_out(self) -> str | None:
        """A sentence about the files of the folder that have no picture's ending; None if there are none."""
        return self._found.left_out()

    def _search(self) -> Pictures:
        wanted = f"MaskFolder looks for mask images ({', '.join(ENDINGS)}) in {self.root} and the folders in it"
        if not self.root.is_dir():
            raise ValueError(f"{wanted}, but there is no such folder; set root to the folder that holds your masks.")
        found = find_pictures(self.root)
        found.require_sound()
        if not found.names:
            raise ValueError(f"{wanted}, but found none; put masks there or set root to the folder that holds them.")
        return found

    def _warn_once(self, sentence: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(sentence, stacklevel=2)

    def _read(
        self, file: Path, height: int, width: int, note: Callable[[str], None]
    ) -> UInt8[np.ndarray, "{height} {width}"]:
        """The grey values of the file's central part, resized."""
        mask = read_mask(file, self.hole)
        image = mask.grey
        if mask.remark:
            note(mask.remark)
        if mask.is_photograph:
            raise ValueError(
                f"The mask {shown(file)} is a photograph, not a mask: {mask.between:.0%} of its pixels are neither "
                "black nor white; remove it, or set root to the folder that holds the masks."
            )
        if mask.greys > CLEAN:
            note(
                f"The mask {shown(file)} has many grey values, as JPEG files and soft brushes have: the outline of its "
                f"hole depends on the threshold ({self.threshold}). Save the masks of {shown(self.root)} as two-valued "
                "PNG, or set dilate to cover the rim."
            )

        # The largest central part with the mask's proportions, so that the shapes of holes are not stretched.
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        box = (left, top, min(left + scale * width, image.width), min(top + scale * height, image.height))
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST, box=box))


def mask_folders(mask: Mask) -> list[MaskFolder]:
    """All folders of mask files that a generator draws from, in their order."""
    if isinstance(mask, MaskFolder):
        return [mask]
    return [folder for part in mask.parts() for folder in mask_folders(part)]
