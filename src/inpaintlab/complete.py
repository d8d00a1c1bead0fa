"""The command ``inpaintlab complete``: fill the holes of a user's own photographs."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console

from inpaintlab.compiling import Stopwatch, compile_generators
from inpaintlab.config import command
from inpaintlab.inpainter import Inpainter
from inpaintlab.mask_files import read_grey
from inpaintlab.method import build_method
from inpaintlab.pictures import edge_tensor, image_tensor, read_rgb
from inpaintlab.precision import WHOLE, completing_precision, computing, device_type
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@final
@dataclass(frozen=True)
class Job:
    """One photograph, its mask, a drawing of its edges or None, and where the completed one goes."""

    image: Path
    mask: Path
    edges: Path | None
    out: Path


def jobs(image: Path, holes: Path, edges: Path | None, out: Path) -> list[Job]:
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
        return [Job(image, holes, edges, target)]
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
        Job(file, found["holes"][stem], drawings.get(stem), out / f"{stem}.png")
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


def read(job: Job, cfg: DictConfig) -> tuple[Images, Planes, Planes | None]:
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


def complete(model: Inpainter, job: Job, cfg: DictConfig) -> str:
    """Complete one photograph, write it whole or not at all, and return what there is to say.

    Raises:
        ValueError: files that cannot be read, or sizes that differ.
    """
    image, mask, edges = read(job, cfg)
    share = mask.mean().item()
    if share == 0:
        completed, note = image, f"the mask has no hole (no {cfg.hole_colour} pixel): the image as it was"
    else:
        device = model.device
        drawing = None if edges is None else edges.to(device)
        with computing(cfg.trainer.precision, device):
            completed = model.complete(image.to(device), mask.to(device), drawing, blended=cfg.blend)
        note = f"{share:.1%} filled" if share < 1 else "all hole: nothing of the image is left"
    job.out.parent.mkdir(parents=True, exist_ok=True)
    partial = job.out.with_name(f".{job.out.name}.{os.getpid()}.partial")
    try:
        pixels = (completed[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        Image.fromarray(pixels).save(partial, format="PNG")
        os.replace(partial, job.out)
    finally:
        partial.unlink(missing_ok=True)
    return f"{job.image} -> {job.out}: {note}"


def _checked(cfg: DictConfig) -> list[Job]:
    """The jobs, if nothing that can be known before the first of them stands in the way."""
    require_one_of("hole_colour", cfg.hole_colour, ("white", "black"))
    require_flag("compile", cfg.compile)
    if not 0 <= cfg.threshold < 1:
        raise ValueError(f"threshold is {cfg.threshold}; it must lie in [0, 1).")
    edges = None if cfg.edges is None else Path(cfg.edges)
    found = jobs(Path(cfg.image), Path(cfg.holes), edges, Path(cfg.out))
    for job in found:
        if job.out.exists() and not cfg.overwrite:
            raise ValueError(f"{job.out} exists; give another out=..., or overwrite=true.")
    for job in found:
        read(job, cfg)  # a second reading costs less than half a folder that has to be cleared away
    return found


@command("complete")
def main(cfg: DictConfig) -> None:
    """Build the method, complete each photograph, say what was done."""
    todo = _checked(cfg)
    torch.manual_seed(cfg.seed)
    hydra = HydraConfig.get()
    model, identity = build_method(
        cfg.get("model"),
        cfg.checkpoint,
        named=hydra.runtime.choices.get("model"),
        overrides=hydra.overrides.task,
        label=cfg.label,
        seed=cfg.seed,
        untrained=cfg.untrained,
    )
    device = device_type("auto")
    cfg.trainer.precision = completing_precision(cfg.trainer.precision, device)
    _require_networks(model, identity["label"], cfg)
    model.to(device)
    if cfg.compile:
        compile_generators(model, device)
    console = Console()
    with Stopwatch() if cfg.compile else nullcontext() as watch:
        for job in todo:
            console.print(complete(model, job, cfg), markup=False, highlight=False, soft_wrap=True)
            if watch and (seconds := watch.taken()):
                console.print(f"compiled for it: {seconds:.1f} s", highlight=False)


def _require_networks(model: Inpainter, label: str, cfg: DictConfig) -> None:
    if not model.generators() and (cfg.compile or cfg.trainer.precision != WHOLE):
        setting = "compile=true" if cfg.compile else f"precision={cfg.trainer.precision}"
        raise ValueError(f"{label} has no network, so {setting} would be ignored; leave it out.")


if __name__ == "__main__":
    main()
