"""A user's photographs with their masks and drawn edges: pairing the files and reading them."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from omegaconf import DictConfig

from inpaintlab.data import edge_tensor, image_tensor, read_rgb
from inpaintlab.imaging import ENDINGS
from inpaintlab.masks import read_grey
from inpaintlab.shapes import Images, Planes


@final
@dataclass(frozen=True)
class Photograph:
    """The files of one photograph.

    Args:
        image: the photograph.
        mask: its mask, in the same size.
        edges: a drawing of its edges in the same size; None without one.
        out: the file that the completed image is written to.
    """

    image: Path
    mask: Path
    edges: Path | None
    out: Path


def pair_photographs(image: Path, holes: Path, edges: Path | None, out: Path) -> list[Photograph]:
    """The photographs to complete: one if files are given, or all of a folder, paired by their names without suffix.

    Args:
        image: a photograph, or a folder of photographs.
        holes: its mask, or the folder of masks.
        edges: its drawing of edges, or the folder of drawings; None without drawings.
        out: a file or folder for one photograph, a folder for several.

    Raises:
        ValueError: files and folders are mixed, a folder holds no picture, or names occur on one side only.
    """
    given = {"image": image, "holes": holes} | ({"edges": edges} if edges else {})
    folders = [name for name, path in given.items() if path.is_dir()]
    if not folders:
        target = out / f"{image.stem}.png" if out.is_dir() else out
        if target.suffix.lower() != ".png":
            raise ValueError(f"out is {out}; give a file that ends in .png, so that known pixels stay exact.")
        return [Photograph(image, holes, edges, target)]
    if len(folders) < len(given):
        raise ValueError(f"{' and '.join(folders)} is a folder, the rest are files; give files only, or folders only.")
    found = {name: _pictures(path) for name, path in given.items()}
    if not found["image"]:
        raise ValueError(f"There is no picture in {image} ({', '.join(ENDINGS)}).")
    for name, path in list(given.items())[1:]:
        one, other = found["image"].keys(), found[name].keys()
        alone = [
            f"in {p} alone: {', '.join(sorted(a)[:10])}" for p, a in ((image, one - other), (path, other - one)) if a
        ]
        if alone:
            raise ValueError(f"The files of {image} and {path} do not pair by their names; {'; '.join(alone)}.")
    drawings = found.get("edges", {})
    return [
        Photograph(file, found["holes"][stem], drawings.get(stem), out / f"{stem}.png")
        for stem, file in found["image"].items()
    ]


def _pictures(folder: Path) -> dict[str, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.name[0] != ".")
    stems = {file.stem: file for file in files}
    if len(stems) < len(files):
        raise ValueError(f"{folder} has files that differ in their suffix alone; pairs are found by the rest.")
    return stems


def read_mask(path: Path, threshold: float, colour: str) -> Planes:
    """Read a mask file as (1, 1, height, width), 1 = hole.

    It is read as ``MaskFolder`` reads it: transparent pixels are black.

    Args:
        path: the file.
        threshold: grey values above it, in [0, 1), are white.
        colour: the colour of the hole, white or black.

    Raises:
        ValueError: the file cannot be read.
    """
    grey = np.asarray(read_grey(path))
    white = grey > 255 * threshold
    return torch.from_numpy(white if colour == "white" else ~white)[None, None].float()


def read_photograph(photograph: Photograph, cfg: DictConfig) -> tuple[Images, Planes, Planes | None]:
    """Read the files of a photograph.

    Args:
        photograph: its files.
        cfg: the settings of ``inpaintlab complete``.

    Returns:
        Image (1, 3, H, W) in [0, 1], mask (1, 1, H, W) with 1 = hole, and drawn edges (1, 1, H, W) or None.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
    """
    image = image_tensor(read_rgb(photograph.image))[None]
    mask = read_mask(photograph.mask, cfg.threshold, cfg.hole_colour)
    edges = None if photograph.edges is None else edge_tensor(read_rgb(photograph.edges).convert("L"))[None]
    for path, plane in ((photograph.mask, mask), (photograph.edges, edges)):
        if plane is not None and plane.shape[-2:] != image.shape[-2:]:
            sizes = [f"{p.shape[-1]} x {p.shape[-2]}" for p in (plane, image)]
            raise ValueError(f"{path} is {sizes[0]} pixels, {photograph.image} {sizes[1]}; make them the same size.")
    return image, mask, edges
