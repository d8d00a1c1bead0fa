"""The command ``inpaintlab manifest``: freeze test sets, look at them, check them, divide them, take over others'."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from inpaintlab.commandline import read
from inpaintlab.config import command
from inpaintlab.data import require_chosen
from inpaintlab.machine import alone, write_texts
from inpaintlab.masks import MaskFolder
from inpaintlab.programs import frozen_of
from inpaintlab.recipes import in_words, pictures_in_words, plain
from inpaintlab.shapes import in_pixels
from inpaintlab.testsets import (
    Manifest,
    ManifestDataset,
    Pairs,
    freeze_pairs,
    freeze_ratio_folders,
    image_leaks,
    lama_folder,
    mask_leaks,
    paired_lists,
    same_names,
    summary,
)


@command("manifest create")
def create(cfg: DictConfig) -> None:
    """Freeze a test set and say what is in it."""
    manifest = frozen_of(cfg)
    _save(manifest, Path(cfg.out))
    _print_left_out(manifest)


def _print_left_out(manifest: Manifest) -> None:
    """Name the files beside the photographs and the masks that are no pictures, and so no part of the test set."""
    frozen = ManifestDataset(manifest)
    folders = {holes.folder.root: holes.folder for holes in frozen.holes.values() if holes.folder}
    for sentence in (frozen.source.left_out(manifest.split), *(folder.left_out() for folder in folders.values())):
        if sentence:
            print(f"  {sentence}")


def _save(manifest: Manifest, out: Path) -> None:
    manifest.save(out)
    _tell(manifest, out)
    print(f"  of {_pictures(manifest.source, manifest.split)}")


def _pictures(source: Any, split: str) -> str:
    return f"{pictures_in_words(source)}, split '{split}'"


def _tell(manifest: Manifest, out: Path) -> None:
    counts = Counter(item.bin for item in manifest.items)
    print(f"{out}: {len(manifest.items)} items of {in_pixels(manifest.size)} pixels, {manifest.sha256[:12]}")
    print("  " + ", ".join(f"{label}: {counts[label]}" for label in manifest.bins))


@command("manifest show")
def show(cfg: DictConfig) -> None:
    """Print what a manifest holds: its source, its bins with their ratios, where the masks come from."""
    manifest = Manifest.load(Path(cfg.manifest))
    images = len({item.image for item in manifest.items})
    lines = {
        "images": f"{images}, {in_pixels(manifest.size)} pixels, split '{manifest.split}'",
        "source": in_words(manifest.source),
        "crop": in_words(manifest.crop),
        "seed": manifest.seed,
        "sha256": manifest.sha256,
    }
    console = Console(width=max(Console().width, 120))
    for key, value in lines.items():
        console.print(f"{key:<8}{value}", markup=False, highlight=False, soft_wrap=True)
    table = Table(
        "bin", "items", "lowest ratio", "mean", "highest", "mask files", "masks", box=None, padding=(0, 2, 0, 0)
    )
    for label, recipe in manifest.bins.items():
        items = [item for item in manifest.items if item.bin == label]
        ratios = [item.hole_ratio for item in items]
        files = {item.mask_file for item in items if item.mask_file}
        numbers = (min(ratios), sum(ratios) / len(ratios), max(ratios)) if ratios else ()
        cells = [f"{number:.4f}" for number in numbers] or ["-"] * 3
        table.add_row(label, str(len(items)), *cells, str(len(files) or "-"), in_words(recipe))
    console.print(table, markup=False, highlight=False)


@command("manifest verify")
def verify(cfg: DictConfig) -> None:
    """Name everything that is no longer what was frozen; exit code 1 if there is any."""
    manifest = Manifest.load(Path(cfg.manifest))
    faults = 0
    for fault in ManifestDataset(manifest, cfg.root, cfg.mask_root).faults():
        print(fault)
        faults += 1
    counts = f"{len({item.image for item in manifest.items})} images, {len(manifest.items)} holes"
    print(f"{cfg.manifest}: {counts}, {f'{faults} faults' if faults else 'all as they were frozen'}.")
    raise SystemExit(min(faults, 1))


@command("manifest split")
def split(cfg: DictConfig) -> None:
    """Divide a manifest by image; each part is written beside it as ``NAME_part1.json`` and so on.

    A split that was killed between its files can be repeated: parts that it would write just so are no hindrance.
    """
    path = Path(cfg.manifest)
    folder = Path(cfg.out or path.parent)
    parts = Manifest.load(path).split_by_image(list(cfg.parts), cfg.seed)
    outs = {folder / f"{path.stem}_part{number}.json": part for number, part in enumerate(parts, start=1)}
    texts = {out.name: part.text(out) for out, part in outs.items()}
    with alone(folder / f".{path.stem[:40]}_parts.lock"):  # two splits would mix their parts
        if there := [str(out) for out in outs if out.exists() and not _is_text(out, texts[out.name])]:
            raise ValueError(f"{', '.join(there)} exists already; give another folder as out=, or delete it.")
        write_texts(folder, texts)
    for out, part in outs.items():
        _tell(part, out)


def _is_text(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


@command("manifest leaks")
def leaks(cfg: DictConfig) -> None:
    """Name what the test set shares with training; exit code 1 if there is anything."""
    manifest = Manifest.load(Path(cfg.manifest))
    require_chosen(cfg, "looked through, which are those of training")
    tested = ManifestDataset(manifest, cfg.root, cfg.mask_root).source
    training = instantiate(cfg.data.source, _convert_="all")
    masks = instantiate(cfg.mask, _convert_="all") if "mask" in cfg else None  # a group without a choice leaves no key
    if not isinstance(masks, MaskFolder | None):
        raise ValueError("Training draws its masks, so no mask file is shared; only mask=folder can be compared.")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing images", total=None)
        found = image_leaks(
            manifest,
            tested,
            training,
            cfg.split,
            cfg.distance,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    images = len({item.image for item in manifest.items})
    print(
        f"Compared {images} images of {cfg.manifest} ({_pictures(manifest.source, manifest.split)}) with "
        f"{training.count(cfg.split)} of training ({_pictures(plain(cfg.data.source), cfg.split)})."
    )
    if masks is not None:
        found += mask_leaks(manifest, masks)
        files = len({item.mask_file for item in manifest.items if item.mask_file})
        theirs = f"{len(masks.names)} of training ({pictures_in_words(plain(cfg.mask))})"
        print(f"Compared its {files} mask files with {theirs}.")
    for line in summary(found):
        print(line)
    raise SystemExit(1 if found else 0)


@command("manifest import")
def import_(cfg: DictConfig) -> None:
    """Freeze a test set in the layout of others, paired by what they say and never by the order of files."""
    images, masks = Path(cfg.images), Path(cfg.masks) if cfg.masks else None
    colour = {key: cfg[key] for key in ("threshold", "hole", "dilate")}
    notes: list[str] = []
    if cfg.layout == "ratio_folders":
        manifest, notes = freeze_ratio_folders(images, _given(masks), cfg.size, cfg.seed, colour)
    else:
        manifest = freeze_pairs(_pairs(cfg, images, masks), cfg.size, list(cfg.ratios), colour)
    _save(manifest, Path(cfg.out))
    _print_left_out(manifest)
    for note in notes:
        print(f"  {note}")


def _pairs(cfg: DictConfig, images: Path, masks: Path | None) -> Pairs:
    match cfg.layout:
        case "edgeconnect":
            roots = [Path(root) if root else None for root in (cfg.root, cfg.mask_root)]
            return paired_lists(images, _given(masks), roots[0], roots[1])
        case "lama":
            return lama_folder(images, masks)
        case _:
            return same_names(images, _given(masks))


def _given(masks: Path | None) -> Path:
    if masks is None:
        raise ValueError("This layout has its masks apart from its images: give masks=.")
    return masks


WORDS = {"create": create, "show": show, "verify": verify, "split": split, "leaks": leaks, "import": import_}


def main() -> None:
    """Entry of ``inpaintlab manifest [WORD] [FILE] KEY=VALUE ...``; without a word it creates."""
    words, sys.argv[1:] = read("manifest", sys.argv[1:])
    WORDS[words.removeprefix("manifest ")]()


if __name__ == "__main__":
    main()
