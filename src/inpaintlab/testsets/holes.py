"""The holes of a test set, drawn from a seed or read from mask files, each with a hash to check it."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inpaintlab.masks import Mask, MaskFolder, Number, WithHoleRatio
from inpaintlab.randomness import sample_generator
from inpaintlab.shapes import Size, height_width, in_pixels

MaskTensor = Float[Tensor, "1 height width"]
"""A mask of exactly 0 or 1; 1 = hole."""


MASK_FOLDER = "inpaintlab.masks.MaskFolder"
"""The ``_target_`` of a recipe of holes from mask files."""


@final
class Holes:
    """The holes of one bin at one size: from the files of a folder, or drawn.

    Args:
        mask: the bin's recipe, built.
        size: side of square masks in pixels, or height and width.
    """

    def __init__(self, mask: Mask, size: Size) -> None:
        self.mask = mask
        self.size = height_width(size)
        inner = mask.mask if isinstance(mask, WithHoleRatio) else mask
        self.folder = inner if isinstance(inner, MaskFolder) else None
        self.files = list(self.folder.names) if self.folder else []
        self._ratios: dict[str, float] = {}

    @property
    def root(self) -> Path:
        """The folder of the mask files.

        Raises:
            ValueError: the holes are drawn, not read from files.
        """
        if self.folder is None:
            raise ValueError("The manifest names a mask file in a bin whose holes are drawn; make a new manifest.")
        return self.folder.root

    def draw(self, generator: torch.Generator) -> MaskTensor:
        """Draw a hole by the recipe: (1, height, width)."""
        return self.mask(*self.size, generator)

    def of_file(self, file: str) -> MaskTensor:
        """The hole of one mask file, named relative to ``root``: (1, height, width).

        Raises:
            ValueError: it cannot be read, has no hole, or is all hole.
        """
        assert self.folder is not None
        return torch.from_numpy(self.folder.of_file(file, *self.size).astype(np.float32))[None]

    def choose(self, generator: torch.Generator) -> tuple[MaskTensor, str | None]:
        """A hole of this bin, and its mask file: the first file in a random order whose ratio the bin accepts.

        Args:
            generator: decides the hole or the order of the files.

        Returns:
            The hole, and its file relative to ``root``; None for a drawn hole.

        Raises:
            ValueError: no file has a ratio that the bin accepts.
        """
        if self.folder is None:
            return self.draw(generator), None
        low, high = (self.mask.low, self.mask.high) if isinstance(self.mask, WithHoleRatio) else (0.0, 1.0)
        for index in torch.randperm(len(self.files), generator=generator).tolist():
            file = self.files[index]
            if file not in self._ratios:
                self._ratios[file] = hole_ratio(self.of_file(file))
            if low < self._ratios[file] <= high:
                return self.of_file(file), file
        ratios = self._ratios.values()
        raise ValueError(
            f"None of the {len(self.files)} masks in {self.folder.root} has a hole ratio in ({low:g}, {high:g}] at "
            f"{in_pixels(self.size)} px: they run from {min(ratios):.4f} to {max(ratios):.4f}; choose other bins "
            "or other masks."
        )


def ratio_ranges(ends: Sequence[Number]) -> dict[str, tuple[float, float]]:
    """The ranges (low, high] between neighbouring ends, named by percent as the columns of EdgeConnect's Table 1.

    ``[0.1, 0.2, 0.3]`` gives ``{"10-20": (0.1, 0.2), "20-30": (0.2, 0.3)}``. A ratio of exactly 0.2 is in 10-20.

    Raises:
        ValueError: fewer than two ends, or ends that do not rise within [0, 1].
    """
    rising = all(low < high for low, high in pairwise(ends))
    if len(ends) < 2 or not rising or not 0 <= ends[0] < ends[-1] <= 1:
        raise ValueError(f"The ends of bins must be two or more rising hole ratios in [0, 1], but are {list(ends)}.")
    return {f"{100 * low:g}-{100 * high:g}": (float(low), float(high)) for low, high in pairwise(ends)}


def hole_generator(seed: int, label: str, image: str) -> torch.Generator:
    """The generator of one hole: it depends on the manifest's seed, the bin and the image's name alone."""
    return sample_generator("evaluation", seed, label, image)


def hole_ratio(mask: MaskTensor) -> float:
    """The hole's share of the pixels in [0, 1], a quotient of whole numbers: ratios at a bin's end are exact."""
    return int(mask.count_nonzero()) / mask.numel()


def mask_sha256(mask: MaskTensor) -> str:
    """Hash over a mask's size and its bits."""
    bits = np.packbits(mask.numpy() > 0.5)
    return hashlib.sha256(f"{tuple(mask.shape)}".encode() + bits.tobytes()).hexdigest()


def with_mask_root(recipe: Any, mask_root: str | None, before: str | None, now: str | None) -> Any:
    """A mask recipe with the present paths of its mask folders.

    Args:
        recipe: the recipe, or a part of it.
        mask_root: the folder of mask files on this machine, if it was given.
        before: the folder of the photographs when the manifest was frozen, if there was one.
        now: the folder of the photographs on this machine, if it was given; mask folders inside it move with it.
    """
    if isinstance(recipe, list):
        return [with_mask_root(value, mask_root, before, now) for value in recipe]
    if not isinstance(recipe, dict):
        return recipe
    recipe = {key: with_mask_root(value, mask_root, before, now) for key, value in recipe.items()}
    if recipe.get("_target_") == MASK_FOLDER:
        if mask_root:
            recipe["root"] = mask_root
        elif before and now and isinstance(recipe.get("root"), str) and Path(recipe["root"]).is_relative_to(before):
            recipe["root"] = str(Path(now, Path(recipe["root"]).relative_to(before)))
    return recipe
