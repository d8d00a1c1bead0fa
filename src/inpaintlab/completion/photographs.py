"""A user's photographs with their masks and drawn edges: finding the files, pairing and reading them."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from omegaconf import DictConfig
from torch import Tensor

from inpaintlab.completion.formats import WRITTEN, can_be_written, ending_of
from inpaintlab.completion.originals import Original, read_original
from inpaintlab.data import edge_bytes, image_bytes, read_rgb
from inpaintlab.imaging import ENDINGS, find_pictures, same_form
from inpaintlab.machine import shown
from inpaintlab.masks import CLEAN, MaskPicture, read_mask

_MOST_NAMED = 10
"""How many names a sentence lists."""

_LONGEST_NAME = 255
"""Bytes of a file's name on almost every system."""


@final
@dataclass(frozen=True)
class Photograph:
    """The files of one photograph.

    Args:
        image: the photograph.
        mask: its mask, in the same size.
        edges: a drawing of its edges in the same size; None without one.
        out: the file that the completed image is written to; None if none is.
        kept: whether that has the photograph's format where this can hold it, and else is a PNG file.
    """

    image: Path
    mask: Path
    edges: Path | None
    out: Path | None
    kept: bool = False


@final
@dataclass(frozen=True)
class Contents:
    """What the files of a photograph hold; what a method sees is in bytes, see `in_unit_range`.

    Args:
        original: the photograph.
        image: its RGB.
        mask: True in the hole.
        edges: the drawing, 255 = edge; None without one.
        greys: the lowest and the highest grey value of the mask's file, of 255.
        remarks: sentences on a mask that may be none.
    """

    original: Original
    image: UInt8[Tensor, "1 3 height width"]
    mask: Bool[Tensor, "1 1 height width"]
    edges: UInt8[Tensor, "1 1 height width"] | None
    greys: tuple[int, int]
    remarks: tuple[str, ...]

    def pinned(self) -> "Contents":
        """The same in memory from which a GPU copies while this process goes on."""
        edges = None if self.edges is None else self.edges.pin_memory()
        return replace(self, image=self.image.pin_memory(), mask=self.mask.pin_memory(), edges=edges)


def pair_photographs(
    image: Path, holes: Path, drawing: Path | None, out: Path | None, *, kept: bool = False
) -> tuple[list[Photograph], list[str]]:
    """The photographs to complete: one if files are given, or all of a folder and the folders below it.

    In folders a photograph is paired with the mask, and the drawing, of the same path without ending; a single mask
    serves a whole folder. Completed images get the same paths below ``out``.

    Args:
        image: a photograph, or a folder of photographs.
        holes: its mask, or the folder of masks, or one mask for a folder.
        drawing: its drawing of edges, or the folder of drawings, or one for a folder; None without drawings.
        out: a file or folder for one photograph, a folder for several; None if nothing will be written.
        kept: in a folder, whether completions have their photographs' format where it can be written, or are PNG files.

    Returns:
        The photographs, and sentences on the files that are left out.

    Raises:
        ValueError: a folder of masks for a single file, a folder without a picture, names that occur on one side only,
            or a name that is too long to be written.
    """
    if out is not None:
        _writable(out)
    others = {"holes": holes} | ({"drawing": drawing} if drawing else {})
    if not image.is_dir():
        if folders := [name for name, path in others.items() if path.is_dir()]:
            raise ValueError(f"{' and '.join(folders)} is a folder, but image={image} is not; give a file, too.")
        if out is None:
            return [Photograph(image, holes, drawing, None)], []
        kept = kept and out.is_dir()
        target = out / f"{image.stem}{ending_of(image, kept)}" if out.is_dir() else out
        if not can_be_written(target):
            raise ValueError(
                f"out is {out}; give a file that ends in {WRITTEN}. All but jpg keep known pixels exactly."
            )
        return _sparing_masks([Photograph(image, holes, drawing, _writable(target), kept)]), []
    if out is not None and out.resolve() in {image.resolve(), *(path.resolve() for path in others.values())}:
        raise ValueError(f"out={out} is a folder that is read, so completions would be completed; give another one.")
    if out is not None and out.is_file():
        raise ValueError(f"out={out} is a file, but image={image} is a folder; give a folder to write to.")
    written = [] if out is None else [out]
    names, notes = _pictures(image, [*written, *others.values()])
    partners = {name: _partners(path, written) for name, path in others.items() if path.is_dir()}
    stems = Counter(_key(name) for name in names)
    for name, found in partners.items():
        if twice := [picture for picture in names if stems[_key(picture)] > 1]:
            raise ValueError(
                f"{image} holds {' and '.join(map(shown, twice[:2]))}, which differ in their ending alone; files "
                "pair by the rest of their names, so rename one."
            )
        _require_pairs(image, {_key(picture) for picture in names}, others[name], set(found))
    photographs = []
    targets = [None] * len(names) if out is None else [_writable(out / target) for target in _targets(names, kept)]
    for picture, target_of in zip(names, targets, strict=True):
        mask, edges = (
            others[name] / partners[name][_key(picture)] if name in partners else others.get(name)
            for name in ("holes", "drawing")
        )
        assert mask is not None
        photographs.append(Photograph(image / picture, mask, edges, target_of, kept))
    return _sparing_masks(photographs), notes


def _sparing_masks(photographs: list[Photograph]) -> list[Photograph]:
    """The same photographs, if no mask or drawing of theirs would be replaced by a completion.

    Raises:
        ValueError: one would be.
    """
    inputs = {path.resolve() for one in photographs for path in (one.mask, one.edges) if path is not None}
    if spoiled := [one.out for one in photographs if one.out is not None and one.out.resolve() in inputs]:
        raise ValueError(f"A completion would replace {shown(spoiled[0])}, which is to be read; give another out=...")
    return photographs


def _key(name: str) -> str:
    """What the names of a photograph and its mask have in common, in one Unicode form."""
    return same_form(os.path.splitext(name)[0])


def _targets(names: Sequence[str], kept: bool) -> list[str]:
    """The names of completions: with both endings where two would be written to one file, on some system at least.

    Args:
        names: of the photographs.
        kept: see `pair_photographs`.

    Raises:
        ValueError: two would be written to one file even so, as those of ``a.jpg``, ``a.png`` and ``a.jpg.png``.
    """
    endings = [ending_of(Path(name), kept) for name in names]
    short = [f"{os.path.splitext(name)[0]}{ending}" for name, ending in zip(names, endings, strict=True)]
    times = Counter(_alike(name) for name in short)
    targets = [
        target if times[_alike(target)] == 1 or (kept and target == name) else f"{name}{ending}"
        for name, target, ending in zip(names, short, endings, strict=True)
    ]
    meet = Counter(map(_alike, targets))
    if twice := [name for name, target in zip(names, targets, strict=True) if meet[_alike(target)] > 1]:
        raise ValueError(f"{' and '.join(map(shown, twice[:2]))} would be completed into one file; rename one of them.")
    return targets


def _alike(name: str) -> str:
    """What names have in common that name one file on some system."""
    return same_form(name).casefold()


def with_held_formats(photographs: Sequence[Photograph], holds: Sequence[bool]) -> list[Photograph]:
    """The same photographs, with PNG files for those whose own format cannot hold them.

    Args:
        photographs: whose completions may have another format, see `Photograph`.
        holds: whether the format can hold each of them.
    """
    taken = {_alike(str(one.out)) for one in photographs if one.out is not None}
    found = []
    for one, held in zip(photographs, holds, strict=True):
        out = one.out
        if out is not None and not held:
            out = out.with_suffix(".png")
            if _alike(str(out)) in taken:
                out = out.with_name(f"{one.image.name}.png")
            if _alike(str(out)) in taken:
                raise ValueError(f"{shown(one.image)} would be completed into {shown(out)}, as another one; rename it.")
            taken.add(_alike(str(out)))
        found.append(replace(one, out=out))
    return found


def _pictures(folder: Path, others: Iterable[Path]) -> tuple[list[str], list[str]]:
    """The pictures of a folder but those in other folders inside it, and a sentence on the files left out."""
    found = find_pictures(folder)
    found.require_sound()
    inside = [path.resolve() for path in others if path.resolve().is_relative_to(folder.resolve())]
    inside = [path for path in inside if path != folder.resolve()]
    names = [name for name in found.names if not any((folder / name).resolve().is_relative_to(path) for path in inside)]
    if not names:
        raise ValueError(f"There is no picture in {folder} ({', '.join(ENDINGS)}).")
    left_out = found.left_out()
    return names, [left_out] if left_out else []


def _partners(folder: Path, others: Iterable[Path]) -> Mapping[str, str]:
    """The masks or drawings of a folder by the part of their names that pairs them."""
    names, _ = _pictures(folder, others)
    found: dict[str, str] = {}
    for name in names:
        if found.setdefault(_key(name), name) != name:
            raise ValueError(
                f"{folder} holds {shown(found[_key(name)])} and {shown(name)}, which differ in their ending alone; "
                "files pair by the rest of their names, so rename one."
            )
    return found


def _require_pairs(image: Path, images: set[str], folder: Path, partners: set[str]) -> None:
    sides = ((image, images - partners), (folder, partners - images))
    alone = [f"in {path} alone: {_few(sorted(names))}" for path, names in sides if names]
    if alone:
        raise ValueError(
            f"The files of {image} and {folder} do not pair by their names without ending; {'; '.join(alone)}."
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(shown, names[:_MOST_NAMED])) + more


def _writable(path: Path) -> Path:
    """The path, if a file of that name can be.

    Raises:
        ValueError: a part of it is too long, or a file where a folder has to be.
    """
    for part in path.parts:
        if len(os.fsencode(part)) > _LONGEST_NAME:
            raise ValueError(
                f"{shown(part)} has {len(os.fsencode(part))} bytes, more than a file's name may have; "
                "rename the photograph, or give another out=..."
            )
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, so {shown(path)} cannot be written; give another out=...")
    return path


def read_photograph(photograph: Photograph, cfg: DictConfig) -> Contents:
    """Read the files of a photograph.

    Args:
        photograph: its files.
        cfg: the settings of ``inpaintlab complete``.

    Raises:
        ValueError: files that cannot be read, sizes that differ, or a mask that is a photograph.
    """
    original = read_original(photograph.image)
    picture = read_mask(photograph.mask, cfg.hole_colour)
    grey = np.asarray(picture.grey)
    white = grey > 255 * cfg.threshold
    mask = torch.from_numpy(white if cfg.hole_colour == "white" else ~white)[None, None]
    edges = None if photograph.edges is None else edge_bytes(read_rgb(photograph.edges).convert("L"))[None]
    width, height = original.rgb.size
    for path, plane in ((photograph.mask, mask), (photograph.edges, edges)):
        if plane is not None and plane.shape[-2:] != (height, width):
            raise ValueError(
                f"{path} is {plane.shape[-1]} x {plane.shape[-2]} pixels, {photograph.image} {width} x {height}; make "
                "them the same size."
            )
    greys = (int(grey.min()), int(grey.max()))
    remarks = tuple(_remarks(photograph, original, picture, cfg))
    return Contents(original, image_bytes(original.rgb)[None], mask, edges, greys, remarks)


def _remarks(photograph: Photograph, original: Original, mask: MaskPicture, cfg: DictConfig) -> Iterable[str]:
    if mask.remark:
        yield mask.remark
    greys = mask.greys
    if greys <= CLEAN:
        return
    found = f"The mask {shown(photograph.mask)} has {greys} grey values between black and white, and a mask has none"
    if mask.is_photograph:
        swapped = MaskPicture(original.rgb.convert("L"), "").greys <= CLEAN
        raise ValueError(
            f"{found}: it is a photograph, {mask.between:.0%} of its pixels are neither black nor white. "
            + ("Are image= and holes= swapped?" if swapped else "Give a picture in black and white as holes=.")
        )
    side = "above" if cfg.hole_colour == "white" else "not above"
    yield (
        f"{found}: what is {side} threshold={cfg.threshold} is taken as the hole. Save it as black and white if that "
        "is not what you mean."
    )
