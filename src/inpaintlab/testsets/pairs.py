"""Test sets of other projects: images paired with masks by their names or by lists."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path
from typing import Any, final

import torch

from inpaintlab.data import read_rgb
from inpaintlab.imaging import ENDINGS, find_pictures, on_disk, same_form
from inpaintlab.machine import file_sha256
from inpaintlab.masks import MaskFolder, Number
from inpaintlab.shapes import Size, in_pixels, plain_size
from inpaintlab.testsets.holes import (
    MASK_FOLDER,
    Holes,
    MaskTensor,
    hole_generator,
    hole_ratio,
    mask_sha256,
    ratio_ranges,
)
from inpaintlab.testsets.manifest import Item, Manifest, check_names

_MOST_LISTED = 10
"""How many names of a kind an error or a note lists."""


@final
@dataclass(frozen=True)
class Pairs:
    """Images with their masks, in the order of the manifest.

    Args:
        images: the folder of the images.
        masks: the folder of the masks.
        pairs: image and mask, as names relative to these folders.
        same_size: whether each mask belongs to one image alone, so that both must have the same size.
    """

    images: Path
    masks: Path
    pairs: tuple[tuple[str, str], ...]
    same_size: bool


def paired_lists(images: Path, masks: Path, image_root: Path | None, mask_root: Path | None) -> Pairs:
    """Pairs from EdgeConnect's file lists for testing: mask i is for image i, one path per line.

    Args:
        images: the list of images.
        masks: the list of masks.
        image_root: the folder that relative lines of ``images`` start from; None for the current folder.
        mask_root: likewise for ``masks``.

    Raises:
        ValueError: lists of different lengths, or files that do not exist.
    """
    image_files, mask_files = _listed(images, image_root), _listed(masks, mask_root)
    if len(image_files) != len(mask_files):
        raise ValueError(
            f"{images} lists {len(image_files)} images and {masks} lists {len(mask_files)} masks; mask i is for image "
            "i, so the lists must be of one length."
        )
    folder, mask_folder = image_root or _parent(image_files), mask_root or _parent(mask_files)
    names, mask_names = _below(folder, image_files, images), _below(mask_folder, mask_files, masks)
    return Pairs(folder, mask_folder, tuple(zip(names, mask_names, strict=True)), same_size=False)


def lama_folder(images: Path, masks: Path | None = None) -> Pairs:
    """Pairs from LaMa's folders: ``NAME.png`` with ``NAME_mask.png``, ``NAME_mask001.png`` and so on.

    Args:
        images: the folder of the images.
        masks: the folder of the masks; None if they lie among the images.

    Raises:
        ValueError: a mask without an image, or an image without a mask; both sides are listed.
    """
    masks = masks or images
    stems = _by_stem(images, [name for name in _found(images) if "_mask" not in Path(name).stem])
    of_mask = {name: _stem(name).rpartition("_mask")[0] for name in _found(masks) if "_mask" in Path(name).stem}
    _require_partners(images, set(stems), masks, set(of_mask.values()), "NAME goes with NAME_mask*")
    pairs = sorted((stems[stem], name) for name, stem in of_mask.items())
    return Pairs(images, masks, tuple(pairs), same_size=True)


def same_names(images: Path, masks: Path) -> Pairs:
    """Pairs from two folders in which an image and its mask have the same path except for the ending.

    Args:
        images: the folder of the images.
        masks: the folder of the masks.

    Raises:
        ValueError: names that occur on one side only; both sides are listed.
    """
    by_stem, masks_by_stem = _by_stem(images, _found(images)), _by_stem(masks, _found(masks))
    _require_partners(images, set(by_stem), masks, set(masks_by_stem), "files pair by their names without ending")
    pairs = [(by_stem[stem], masks_by_stem[stem]) for stem in sorted(by_stem)]
    return Pairs(images, masks, tuple(pairs), same_size=True)


def freeze_pairs(pairs: Pairs, size: Size, ends: Sequence[Number], colour: dict[str, Any]) -> Manifest:
    """Freeze given pairs, each in the bin of its hole ratio, which is measured at ``size``.

    Args:
        pairs: images with their masks.
        size: side of the evaluated squares: the largest central square of image and mask, resized.
        ends: the ends of the bins, see `ratio_ranges`; bins without an image are left out.
        colour: how mask files are read: the arguments ``threshold``, ``hole`` and ``dilate`` of `MaskFolder`.

    Raises:
        ValueError: files that cannot be read, pairs of different sizes, ratios outside all bins.
    """
    recipe = _recipe(pairs.masks, colour)
    holes = Holes(MaskFolder(pairs.masks, **colour), size)
    _require_sizes(pairs)
    ranges, items, outside = ratio_ranges(ends), [], []
    for image, mask_file in pairs.pairs:
        mask = holes.of_file(mask_file)
        label = _bin(hole_ratio(mask), ranges)
        if label is None:
            outside.append(f"{mask_file} ({hole_ratio(mask):.4f})")
        else:
            items.append(_item(pairs.images, label, image, mask, holes.root, mask_file))
    if outside:
        raise ValueError(
            f"{len(outside)} of {len(pairs.pairs)} masks have a hole ratio outside all bins {list(ranges)}: "
            f"{_few(outside)}; give bins that hold them."
        )
    used = {item.bin for item in items}
    bins = {label: recipe for label in ranges if label in used}
    return _manifest(pairs.images, size, 0, bins, _with_unique_names(items))


def freeze_ratio_folders(
    images: Path, masks: Path, size: Size, seed: int, colour: dict[str, Any]
) -> tuple[Manifest, list[str]]:
    """Freeze images with masks that are sorted into folders by hole ratio, as NVIDIA's test masks are.

    The name of a folder is a range, such as ``0.1-0.2`` or ``10-20``; each range is a bin. A mask belongs to the bin of
    its ratio measured at ``size``, even if its folder has another range. Each bin holds every image, with a mask that
    follows from (seed, bin, image name).

    Args:
        images: the folder of the images.
        masks: the folder that holds the mask folders.
        size: side of the evaluated squares in pixels.
        seed: decides which mask an image gets.
        colour: see `freeze_pairs`.

    Returns:
        The manifest, and notes on masks whose ratio is outside the range of their folder.

    Raises:
        ValueError: no folder called by a range, files that cannot be read, a bin without a mask.
    """
    folders, names = _ratio_folders(masks), _found(images)
    ranges = {f"{100 * low:g}-{100 * high:g}": (low, high) for low, high in sorted(set(folders.values()))}
    holes = Holes(MaskFolder(masks, **colour), size)
    by_bin: dict[str, list[str]] = {label: [] for label in ranges}
    elsewhere, nowhere = [], []
    for file in (file for file in holes.files if Path(file).parts[0] in folders):
        ratio = hole_ratio(holes.of_file(file))
        label = _bin(ratio, ranges)
        if label is None:
            nowhere.append(f"{file} ({ratio:.4f})")
            continue
        by_bin[label].append(file)
        if ranges[label] != folders[Path(file).parts[0]]:
            elsewhere.append(f"{file} ({ratio:.4f}: {label})")
    if empty := [label for label, files in by_bin.items() if not files]:
        raise ValueError(f"No mask in {masks} has a hole ratio of {' or '.join(empty)} % at {in_pixels(size)}.")

    for name in names:
        read_rgb(images / name)  # a damaged file must not be frozen
    items = []
    for label, files in by_bin.items():
        for name in names:
            pick = int(torch.randint(len(files), (), generator=hole_generator(seed, label, name)))
            items.append(_item(images, label, name, holes.of_file(files[pick]), masks, files[pick]))
    misplaced = {
        "are in another bin than their folder says": elsewhere,
        "are outside all bins and not used": nowhere,
    }
    notes = [f"{len(files)} masks {what}: {_few(files)}" for what, files in misplaced.items() if files]
    return _manifest(images, size, seed, dict.fromkeys(ranges, _recipe(masks, colour)), items), notes


def _manifest(images: Path, size: Size, seed: int, bins: dict[str, Any], items: list[Item]) -> Manifest:
    check_names(items)
    # The other splits are not read; they point above the images because splits must not lie inside one another.
    source = {"_target_": "inpaintlab.data.Folder", "root": str(images), "train": "..", "val": "..", "test": "."}
    crop = {"_target_": "inpaintlab.data.CentreSquare", "size": plain_size(size)}
    return Manifest("test", plain_size(size), seed, source, crop, bins, tuple(items))


def _recipe(masks: Path, colour: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": MASK_FOLDER, "root": str(masks), **colour}


def _item(images: Path, label: str, image: str, mask: MaskTensor, masks: Path, file: str) -> Item:
    return Item(
        name=f"{label}/{image}",
        image=image,
        image_sha256=file_sha256(images / image),
        bin=label,
        mask_sha256=mask_sha256(mask),
        hole_ratio=hole_ratio(mask),
        mask_file=file,
        mask_file_sha256=file_sha256(masks / file),
    )


def _with_unique_names(items: list[Item]) -> list[Item]:
    """The items sorted by bin; where image and bin are shared, the mask's stem or path is added to the name."""
    times = Counter(item.name for item in items)
    stems = Counter((item.name, Path(str(item.mask_file)).stem) for item in items)
    named = []
    for item in items:
        stem = Path(str(item.mask_file)).stem
        mask = stem if stems[item.name, stem] == 1 else item.mask_file
        named.append(replace(item, name=f"{item.name}/{mask}") if times[item.name] > 1 else item)
    return sorted(named, key=lambda item: float(item.bin.partition("-")[0]))


def _bin(ratio: float, ranges: dict[str, tuple[float, float]]) -> str | None:
    return next((label for label, (low, high) in ranges.items() if low < ratio <= high), None)


def _ratio_folders(masks: Path) -> dict[str, tuple[float, float]]:
    """The folders in ``masks`` whose names are ranges of hole ratios, with these ranges; names may be in percent."""
    folders = {}
    for folder in sorted(path for path in masks.iterdir() if path.is_dir()) if masks.is_dir() else []:
        ends = re.fullmatch(r"(\d*\.?\d+)%?[-_](\d*\.?\d+)%?", folder.name)
        low, high = (float(end) for end in ends.groups()) if ends else (1.0, 0.0)
        if low < high <= 100:
            folders[folder.name] = (low, high) if high <= 1 else (low / 100, high / 100)
    if not folders:
        raise ValueError(f"{masks} holds no folder called by a range of hole ratios, such as 0.1-0.2 or 10-20.")
    return folders


def _require_sizes(pairs: Pairs) -> None:
    """Raise a ValueError if an image cannot be read, or if a mask that belongs to it alone has another size."""
    unlike, sizes = [], {image: read_rgb(pairs.images / image).size for image in dict(pairs.pairs)}
    for image, mask_file in pairs.pairs if pairs.same_size else ():
        size = read_rgb(pairs.masks / mask_file).size
        if size != sizes[image]:
            unlike.append(f"{image} {sizes[image][0]} x {sizes[image][1]}, {mask_file} {size[0]} x {size[1]}")
    if unlike:
        raise ValueError(
            f"{len(unlike)} masks are not of their image's size: {_few(unlike, '; ')}; mend or remove them."
        )


def _require_partners(images: Path, of_images: set[str], masks: Path, of_masks: set[str], rule: str) -> None:
    alone = [
        f"{kind} in {folder} without {other}: {_few(sorted(names))}"
        for kind, folder, other, names in (
            ("images", images, "a mask", of_images - of_masks),
            ("masks", masks, "an image", of_masks - of_images),
        )
        if names
    ]
    if alone:
        raise ValueError(
            f"Images and masks do not pair ({rule}): {'; '.join(alone)}; mend the names or remove the rest."
        )


def _found(folder: Path) -> list[str]:
    """The pictures in a folder and its subfolders, as sorted paths relative to it."""
    found = find_pictures(folder)
    found.require_sound()
    if not found.names:
        raise ValueError(f"{folder.absolute()} is no folder with pictures ({', '.join(ENDINGS)}).")
    return list(found.names)


def _stem(name: str) -> str:
    """What pairs are found by: the path without its ending, in one Unicode form."""
    return same_form(Path(name).with_suffix("").as_posix())


def _by_stem(folder: Path, names: Iterable[str]) -> dict[str, str]:
    stems: dict[str, str] = {}
    for name in names:
        if stems.setdefault(_stem(name), name) != name:
            raise ValueError(
                f"{folder} holds {stems[_stem(name)]} and {name}, which differ in their ending or their Unicode form "
                "alone; pairs are found by the rest, so rename or remove one of them."
            )
    return stems


def _listed(file: Path, root: Path | None) -> list[Path]:
    """The files of a list, after checking that each of them exists."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    files = [on_disk(root or Path(), line) for line in lines if line]
    missing = [str(path) for path in files if not path.is_file()]
    if missing or not files:
        where = f"the folder {root}" if root else f"the current folder {Path.cwd()}"
        fault = f"{len(missing)} files that do not exist: {_few(missing)}" if missing else "no file"
        raise ValueError(f"The list {file} names {fault}; give one path a line, absolute or relative to {where}.")
    return files


def _parent(files: Sequence[Path]) -> Path:
    """The folder that holds all of the files."""
    return Path(commonpath([file.absolute().parent for file in files]))


def _below(root: Path, files: Sequence[Path], origin: Path) -> list[str]:
    outside = [str(file) for file in files if not file.absolute().is_relative_to(root.absolute())]
    if outside:
        raise ValueError(f"{origin} lists files outside {root}: {_few(outside)}; give a folder that holds them all.")
    return [file.absolute().relative_to(root.absolute()).as_posix() for file in files]


def _few(names: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return separator.join(names[:_MOST_LISTED]) + more
