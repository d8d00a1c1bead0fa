"""Frozen test sets: which images, which holes, and the hashes to check them."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, final

import torch
from torch.utils.data import Dataset

from inpaintlab.data import Crop, Source, edge_bytes, image_tensor, in_unit_range
from inpaintlab.imaging import on_disk
from inpaintlab.machine import (
    Between,
    PlainSize,
    Sha256,
    as_json,
    conform,
    file_sha256,
    read_json,
    require_format,
    write_texts,
)
from inpaintlab.masks import Mask, Number
from inpaintlab.randomness import sample_generator
from inpaintlab.recipes import built
from inpaintlab.shapes import Size, plain_size
from inpaintlab.testsets.edge_maps import edge_map, moved_source, require_frozen_map
from inpaintlab.testsets.holes import (
    Holes,
    MaskTensor,
    hole_generator,
    hole_ratio,
    mask_sha256,
    with_mask_root,
)

FORMAT = 2


@final
@dataclass(frozen=True)
class Item:
    """One image with one hole.

    Args:
        name: ``<bin>/<image>``, followed by the mask's stem if an image occurs in a bin more than once.
        image: the image's name in its source; for a folder its path relative to the split.
        image_sha256: the image's hash, as its source computes it.
        bin: the name of the mask bin.
        mask_sha256: the hash of the binary mask at the test set's size.
        hole_ratio: the hole's share of the pixels of that mask, in [0, 1].
        mask_file: the mask's file, relative to the root of the bin's mask folder; None if the hole is drawn.
        mask_file_sha256: the hash of that file; None if the hole is drawn.
        edges_sha256: the hash of the image's edge map; None if its source has none.
    """

    name: str
    image: str
    image_sha256: Sha256
    bin: str
    mask_sha256: Sha256
    hole_ratio: Annotated[float, Between(0, 1)]
    mask_file: str | None = None
    mask_file_sha256: Sha256 | None = None
    edges_sha256: Sha256 | None = None


@final
@dataclass(frozen=True)
class Manifest:
    """A test set that is the same on every machine: recipes to rebuild it, and hashes to check the result.

    Each hole is drawn from a generator seeded by (seed, bin, image name), so every method on every machine fills the
    same holes. A hole from a mask file is frozen with the file's name and hash, so files that are added to the folder
    later change nothing.

    Args:
        split: the split of the source that the images are from.
        size: side of square images and masks in pixels, or height and width.
        seed: decides the holes.
        source: the recipe of the images' source.
        crop: the recipe of the square that is cut from each image.
        bins: the recipe of the masks, by bin.
        items: the images with their holes.
    """

    split: str
    size: PlainSize
    seed: int
    source: dict[str, Any]
    crop: dict[str, Any]
    bins: dict[str, dict[str, Any]]
    items: Annotated[tuple[Item, ...], Between(1, 10**9)]

    @classmethod
    def create(
        cls,
        *,
        source: dict[str, Any],
        crop: dict[str, Any],
        bins: dict[str, dict[str, Any]],
        split: str,
        size: Size,
        seed: int,
        images: int | None = None,
    ) -> "Manifest":
        """Freeze the first images of a split, the same ones in each bin.

        Args:
            source: the recipe of the images' source.
            crop: the recipe of the square that is cut from each image.
            bins: the recipe of the masks, by bin.
            split: train, val or test.
            size: side of the squares in pixels, or height and width.
            seed: decides the holes.
            images: how many images of the split; None for all.

        Raises:
            ValueError: an empty split, an image or an edge map that cannot be read or is missing, a mask recipe whose
                ratio cannot be met.
        """
        photographs = built(source, Source, "The manifest's source", inside=(Source,))
        cutting = built(crop, Crop, "The manifest's crop", inside=(Crop,))
        names = photographs.names(split)[:images]
        hashes, of_edges = {}, {}
        for name in names:
            # what would stop every evaluation must not be frozen: a damaged file, a strip too long to be resized
            cutting.require_memory(photographs.read(split, name), name)
            hashes[name] = photographs.sha256(split, name)
            of_edges[name] = photographs.edges_sha256(split, name)
            if of_edges[name] is not None:
                edge_map(photographs, split, name)
        items = []
        for label, recipe in bins.items():
            holes = Holes(_mask(label, recipe), size)
            for name in names:
                mask, file = holes.choose(hole_generator(seed, label, name))
                items.append(
                    Item(
                        name=f"{label}/{name}",
                        image=name,
                        image_sha256=hashes[name],
                        bin=label,
                        mask_sha256=mask_sha256(mask),
                        hole_ratio=hole_ratio(mask),
                        mask_file=file,
                        mask_file_sha256=file and file_sha256(holes.root / file),
                        edges_sha256=of_edges[name],
                    )
                )
        check_names(items)
        return cls(split, plain_size(size), seed, source, crop, bins, tuple(items))

    def split_by_image(self, parts: Sequence[Number], seed: int) -> list["Manifest"]:
        """Divide the items at random so that no image is in two parts.

        Images with the same hash stay together. Tiles of one photograph are separate images, although they overlap.

        Args:
            parts: the share of each part, positive and with the sum 1.
            seed: decides which image goes into which part.

        Raises:
            ValueError: shares that are not positive or do not add up to 1, or a part that gets no image.
        """
        if len(parts) < 2 or min(parts) <= 0 or not math.isclose(sum(parts), 1):
            raise ValueError(f"parts={list(parts)} must be two or more positive shares that add up to 1.")
        hashes = sorted({item.image_sha256 for item in self.items})
        order = torch.randperm(len(hashes), generator=sample_generator("split", seed)).tolist()
        ends = [0, *(round(len(hashes) * share) for share in accumulate(parts))]
        chosen = [{hashes[index] for index in order[low:high]} for low, high in pairwise(ends)]
        if not all(chosen):
            raise ValueError(f"{len(hashes)} images are too few for parts={list(parts)}: a part would be empty.")
        return [replace(self, items=tuple(item for item in self.items if item.image_sha256 in part)) for part in chosen]

    @property
    def sha256(self) -> str:
        """Hash over everything that decides pixels (images, holes, crop and size), but not over the images' paths."""
        content = {"size": self.size, "crop": self.crop, "items": self._plain_items()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _plain_items(self) -> list[dict[str, Any]]:
        # fields without a value are left out: a drawn hole has no mask file
        return [{key: value for key, value in asdict(item).items() if value is not None} for item in self.items]

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all; the folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_texts(path.parent, {path.name: self.text(path)})

    def text(self, path: Path) -> str:
        """The text of the file that ``save`` writes to ``path``."""
        content = {"format": FORMAT, "sha256": self.sha256, **asdict(self), "items": self._plain_items()}
        return as_json(path, content)

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            ValueError: the file is missing, not a manifest, of another format, or was changed by hand.
        """
        if not path.is_file():
            raise ValueError(
                f"There is no manifest at {path.absolute()}; make one with: inpaintlab manifest data=... out={path}"
            )
        mend = "freeze this test set again"
        content = read_json(path, "a manifest of inpaintlab", mend)
        require_format(path, content.pop("format", None), FORMAT, mend)
        sha256 = content.pop("sha256", None)
        manifest = conform(cls, content, path, mend)
        if homeless := [item.name for item in manifest.items if item.bin not in manifest.bins]:
            raise ValueError(f"{path}: '{homeless[0]}' is of a bin that has no recipe; {mend}.")
        check_names(manifest.items)
        if manifest.sha256 != sha256:
            raise ValueError(f"{path} was changed after it was frozen: its content does not match its hash.")
        return manifest


@final
class ManifestDataset(Dataset):
    """The images and holes of a manifest, each checked against its hash as it is read.

    Args:
        manifest: what to read.
        root: where the photographs of a folder lie on this machine, if not where they lay when it was frozen. Mask
            folders inside the photographs' folder move with it.
        mask_root: where the mask files lie on this machine, if they moved.
        with_edges: whether to read the edge maps, if the manifest has them; ``faults`` looks at them in any case.
    """

    def __init__(
        self, manifest: Manifest, root: str | None = None, mask_root: str | None = None, *, with_edges: bool = True
    ) -> None:
        source = moved_source(manifest.source, root) if root else dict(manifest.source)
        bins = {
            label: with_mask_root(recipe, mask_root, manifest.source.get("root"), root)
            for label, recipe in manifest.bins.items()
        }
        self.manifest = manifest
        self.with_edges = with_edges
        self.source = built(source, Source, "The manifest's source", inside=(Source,))
        self.crop = built(manifest.crop, Crop, "The manifest's crop", inside=(Crop,))
        self.holes = {label: Holes(_mask(label, recipe), manifest.size) for label, recipe in bins.items()}

    def __len__(self) -> int:
        return len(self.manifest.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One item, checked.

        Returns:
            ``image`` (3, H, W) in [0, 1], ``mask`` (1, H, W) with 1 = hole, ``name``, and ``position`` in the manifest;
            with edge maps ``edges`` (1, H, W) in [0, 1].

        Raises:
            ValueError: the image, its edge map, the mask file or the hole differs from the frozen one.
        """
        item = self.manifest.items[index]
        self._check_image(item)
        picture = self.source.read(self.manifest.split, item.image)
        self.crop.require_memory(picture, item.image)
        cut = self.crop.evaluate(picture)
        found = {"image": image_tensor(cut(picture)), "mask": self.mask(item), "name": item.name, "position": index}
        if item.edges_sha256 is None or not self.with_edges:
            return found
        self._check_edges(item)
        edges = edge_map(self.source, self.manifest.split, item.image)
        return found | {"edges": in_unit_range(edge_bytes(cut(edges)))}

    def faults(self) -> Iterator[str]:
        """A sentence for each image, edge map and mask file that is missing or changed, and each hole that differs."""
        reported = set()
        images = {item.image: item for item in self.manifest.items}.values()
        checks = ((self._check_image, images), (self._check_edges, images), (self.mask, self.manifest.items))
        for check, items in checks:
            for item in items:
                try:
                    check(item)
                except ValueError as error:
                    if str(error) not in reported:
                        reported.add(str(error))
                        yield str(error)

    def _check_image(self, item: Item) -> None:
        try:
            found = self.source.sha256(self.manifest.split, item.image)
        except OSError as error:
            raise ValueError(
                f"Image '{item.image}' is missing or cannot be read: {error}. Restore the file."
            ) from error
        if found != item.image_sha256:
            raise ValueError(
                f"Image '{item.image}' is not the one that the manifest froze: its hash differs. Restore the file, or "
                "make a new manifest."
            )

    def _check_edges(self, item: Item) -> None:
        require_frozen_map(self.source, self.manifest.split, item.image, item.edges_sha256)

    def mask(self, item: Item) -> MaskTensor:
        """The hole of an item, checked: (1, height, width).

        Raises:
            ValueError: the mask file or the hole differs from the frozen one.
        """
        holes, manifest = self.holes[item.bin], self.manifest
        if item.mask_file is None:
            mask = holes.draw(hole_generator(manifest.seed, item.bin, item.image))
        else:
            path = on_disk(holes.root, item.mask_file)
            if not path.is_file():
                raise ValueError(f"Mask file '{item.mask_file}' is missing: {path} does not exist. Restore the file.")
            if file_sha256(path) != item.mask_file_sha256:
                raise ValueError(
                    f"Mask file '{item.mask_file}' is not the one that the manifest froze: the hash of {path} differs. "
                    "Restore the file, or make a new manifest."
                )
            mask = holes.of_file(item.mask_file)
        if mask_sha256(mask) != item.mask_sha256:
            raise ValueError(
                f"The hole of '{item.name}' is not the one that the manifest froze: its mask files or the mask's code "
                "changed. Restore them, or make a new manifest."
            )
        return mask


def _mask(label: str, recipe: Any) -> Mask:
    mask: Mask = built(recipe, Mask, f"The manifest's bin '{label}'", inside=(Mask,))
    return mask


def check_names(items: Sequence[Item]) -> None:
    """Check that all items have different names, by which their pictures and scores are found.

    Raises:
        ValueError: two items share one.
    """
    times = Counter(item.name for item in items)
    if twice := [name for name, count in times.items() if count > 1]:
        raise ValueError(f"Two items of the test set would be called '{twice[0]}'; name each image, or mask, once.")
