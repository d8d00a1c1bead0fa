"""What a checkpoint is shown: the images of a manifest or of files, with their holes, and halves of photographs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from omegaconf import DictConfig

from inpaintlab.completion import pair_photographs, read_photograph
from inpaintlab.data import image_tensor, in_unit_range, read_rgb
from inpaintlab.figure.caption import code, of_manifest
from inpaintlab.figure.sources import by_hash, moved
from inpaintlab.machine import file_sha256, shown
from inpaintlab.recipes import nearest
from inpaintlab.shapes import Images, Planes
from inpaintlab.testsets import Manifest, ManifestDataset

_OF_A_MANIFEST: dict[str, Any] = {"images": [], "count": 1, "root": None, "mask_root": None}
"""Settings that say nothing of files, with what they are where nobody gives them (conf/figures/fig2_overview.yaml)."""


@final
@dataclass(frozen=True, eq=False)
class Case:
    """An image with its hole.

    Args:
        name: of the image.
        image: RGB in [0, 1].
        mask: 1 = hole.
        drawing: a user's drawing for the hole, 1 = edge, or the manifest's map of edges; None without one.
        files: what it was read from, with the hash of each.
    """

    name: str
    image: Images
    mask: Planes
    drawing: Planes | None = None
    files: str = ""


def cases_of(cfg: DictConfig, name: str) -> tuple[list[Case], list[str], str]:
    """The images of a manifest, or of files; what the caption says of the test set; and how they were chosen."""
    if (cfg.manifest is None) == (cfg.image is None):
        raise ValueError(
            f"{name} is of a manifest's images or of a file: give manifest=TEST.json, or image= and holes=."
        )
    if cfg.manifest is None:
        unread = [key for key, unset in _OF_A_MANIFEST.items() if cfg[key] != unset]
        if unread:
            raise ValueError(f"{unread[0]}= chooses among a manifest's images, but image= is given: leave it out.")
        return list(of_files(cfg, None)), [], ""
    if cfg.holes is not None:
        raise ValueError("holes= is the mask of image=, but manifest= is given, which has its own: leave it out.")
    manifest = Manifest.load(Path(cfg.manifest))
    names = [item.name for item in manifest.items]
    about = [of_manifest(Path(cfg.manifest), Path(cfg.manifest).name)]
    wanted, rule = list(cfg.images), "The images were named on the command line."
    if not wanted:
        wanted, rule = by_hash(manifest.sha256, {item.name: item.image for item in manifest.items}, cfg.count)
    if unknown := [one for one in wanted if one not in names]:
        raise ValueError(f"images: {cfg.manifest} has no '{unknown[0]}'.{nearest(unknown[0], names)}")
    pairs = ManifestDataset(manifest, cfg.root, cfg.mask_root)
    cases = []
    with moved(cfg.root):
        for one in wanted:
            item = pairs[names.index(one)]
            edges = item["edges"][None] if "edges" in item else None
            cases.append(Case(one, item["image"][None], item["mask"][None], edges))
    return cases, about, rule


def of_files(cfg: DictConfig, drawing: str | None) -> Sequence[Case]:
    """A user's photographs with their masks and drawings, paired as for `inpaintlab complete`."""
    if cfg.holes is None:
        raise ValueError("image= without holes=: give the mask of the photograph, or the folder of the masks.")
    found, _ = pair_photographs(Path(cfg.image), Path(cfg.holes), None if drawing is None else Path(drawing), None)
    cases = []
    for photograph in found:
        contents = read_photograph(photograph, cfg)
        name = photograph.image.name
        if not contents.mask.any():
            raise ValueError(f"The mask {shown(photograph.mask)} has no hole: no {cfg.hole_colour} pixel.")
        files = [path for path in (photograph.image, photograph.mask, photograph.edges) if path is not None]
        drawn = None if contents.edges is None else in_unit_range(contents.edges)
        image, mask = in_unit_range(contents.image), in_unit_range(contents.mask)
        cases.append(Case(shown(name), image, mask, drawn, _hashed(files)))
    return cases


def pairs_of_halves(cfg: DictConfig) -> tuple[list[tuple[Case, Case]], list[str]]:
    """The photographs of fig10_transfer, two by two, with the right half as the hole; and the test set, if any."""
    lefts, rights = list(cfg.left), list(cfg.right)
    if not lefts or len(lefts) != len(rights):
        raise ValueError(
            f"left= names {len(lefts)} photographs and right= {len(rights)}: give as many of each, at least one."
        )
    about: list[str] = []
    read: Callable[[str], Case] = _of_file
    if cfg.manifest is not None:
        manifest = Manifest.load(Path(cfg.manifest))
        about.append(of_manifest(Path(cfg.manifest), Path(cfg.manifest).name))
        pairs = ManifestDataset(manifest, cfg.root, cfg.mask_root)
        places = {item.image: place for place, item in reversed(list(enumerate(manifest.items)))}

        def of_manifests(name: str) -> Case:
            if name not in places:
                raise ValueError(f"{cfg.manifest} has no photograph '{name}'.{nearest(name, places)}")
            with moved(cfg.root):
                image = pairs[places[name]]["image"][None]
            return Case(name, image, _right_half(image))

        read = of_manifests
    found = [(read(left), read(right)) for left, right in zip(lefts, rights, strict=True)]
    for left, right in found:
        if left.image.shape != right.image.shape:
            sizes = [f"{one.name} is {one.image.shape[-1]} x {one.image.shape[-2]}" for one in (left, right)]
            raise ValueError(f"{', '.join(sizes)} pixels: give pairs of photographs of one size.")
        if left.image.shape[-1] < 2:
            raise ValueError(f"{left.name} is 1 pixel wide: it has no left and right half.")
    return found, about


def _of_file(name: str) -> Case:
    image = image_tensor(read_rgb(name))[None]
    return Case(shown(Path(name).name), image, _right_half(image), files=_hashed([Path(name)]))


def _right_half(image: Images) -> Planes:
    mask = torch.zeros_like(image[:, :1])
    mask[..., image.shape[-1] // 2 :] = 1
    return mask


def _hashed(files: Sequence[Path]) -> str:
    return ", ".join(f"{code(shown(path))} (SHA-256 {code(file_sha256(path))})" for path in files)
