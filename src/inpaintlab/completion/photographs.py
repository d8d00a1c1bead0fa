"""A user's photographs with their masks and drawings: which files belong together, and what is in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from omegaconf import DictConfig

from inpaintlab.data import edge_tensor, image_tensor, read_rgb
from inpaintlab.masks import read_grey
from inpaintlab.shapes import Images, Planes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@final
@dataclass(frozen=True)
class Photograph:
    """One photograph, its mask, a drawing of its edges or None, and where the completed one goes."""

    image: Path
    mask: Path
    edges: Path | None
    out: Path


def pair_photographs(image: Path, holes: Path, edges: Path | None, out: Path) -> list[Photograph]:
    """The work that files or folders ask for; files of folders belong together by their names without suffix.

    Raises:
        ValueError: a file among folders, or names that stand on one side alone, all of which are listed.
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
        raise ValueError(f"There is no picture in {image} ({', '.join(SUFFIXES)}).")
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
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
    stems = {file.stem: file for file in files}
    if len(stems) < len(files):
        raise ValueError(f"{folder} has files that differ in their suffix alone; pairs are found by the rest.")
    return stems


def read_mask(path: Path, threshold: float, colour: str) -> Planes:
    """A mask file as (1, 1, height, width), 1 = hole; what is of the hole's ``colour``, white or black.

    It is read as ``MaskFolder`` reads it: white strokes on nothing are a hole around which all is known.
    """
    grey = np.asarray(read_grey(path))
    white = grey > 255 * threshold
    return torch.from_numpy(white if colour == "white" else ~white)[None, None].float()


def read_photograph(job: Photograph, cfg: DictConfig) -> tuple[Images, Planes, Planes | None]:
    """The photograph, its mask and its drawing of edges.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
    """
    image = image_tensor(read_rgb(job.image))[None]
    mask = read_mask(job.mask, cfg.threshold, cfg.hole_colour)
    edges = None if job.edges is None else edge_tensor(read_rgb(job.edges).convert("L"))[None]
    for path, plane in ((job.mask, mask), (job.edges, edges)):
        if plane is not None and plane.shape[-2:] != image.shape[-2:]:
            sizes = [f"{p.shape[-1]} x {p.shape[-2]}" for p in (plane, image)]
            raise ValueError(f"{path} is {sizes[0]} pixels, {job.image} {sizes[1]}; make them the same size.")
    return image, mask, edges
