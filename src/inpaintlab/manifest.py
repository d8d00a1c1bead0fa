"""Frozen test sets: which images, which holes, and the hashes that prove them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import Dataset

from inpaintlab.config import command, only_ours, plain
from inpaintlab.masks import sample_generator
from inpaintlab.pictures import image_tensor
from inpaintlab.results import write_json

FORMAT = 1


@dataclass(frozen=True)
class Item:
    """One image with one hole. ``name`` is ``<bin>/<image>``; the hole ratio is the hole's share of the pixels."""

    name: str
    image: str
    image_sha256: str
    bin: str
    mask_sha256: str
    hole_ratio: float


@dataclass(frozen=True)
class Manifest:
    """A test set that is the same on every machine: recipes to rebuild it, hashes to check what was rebuilt.

    ``source`` and ``crop`` are the recipes of the images, ``bins`` the recipe of each bin's masks. Each hole is drawn
    from a generator seeded by (seed, bin, image name), so every method on every machine fills the same holes.
    """

    split: str
    size: int
    seed: int
    source: dict[str, Any]
    crop: dict[str, Any]
    bins: dict[str, dict[str, Any]]
    items: tuple[Item, ...]

    @classmethod
    def create(
        cls,
        *,
        source: dict[str, Any],
        crop: dict[str, Any],
        bins: dict[str, dict[str, Any]],
        split: str,
        size: int,
        seed: int,
        images: int | None = None,
    ) -> "Manifest":
        """Freeze the first ``images`` images (None: all) of a split, the same ones in each bin.

        Raises:
            ValueError: an empty split, an image that cannot be read, a mask recipe whose ratio cannot be met.
        """
        photographs = instantiate(only_ours(source, "The manifest's source"))
        names = photographs.names(split)[:images]
        hashes = {name: photographs.sha256(split, name) for name in names}
        items = []
        for label, recipe in bins.items():
            mask_of = instantiate(only_ours(recipe, f"The manifest's bin '{label}'"))
            for name in names:
                mask = mask_of(size, size, _generator(seed, label, name))
                items.append(Item(f"{label}/{name}", name, hashes[name], label, _mask_sha256(mask), float(mask.mean())))
        return cls(split, size, seed, source, crop, bins, tuple(items))

    @property
    def sha256(self) -> str:
        """Hash over everything that decides pixels: images, holes and size; not over where the images lie."""
        content = {"size": self.size, "crop": self.crop, "items": [asdict(item) for item in self.items]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, {"format": FORMAT, "sha256": self.sha256, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            ValueError: the file is missing, not a manifest, of a newer format, or was changed by hand.
        """
        if not path.is_file():
            raise ValueError(
                f"There is no manifest at {path.absolute()}; make one with: inpaintlab manifest data=... out={path}"
            )
        try:
            content = json.loads(path.read_text())
            format_, sha256 = content.pop("format"), content.pop("sha256")
            if format_ != FORMAT:
                raise ValueError(f"{path} has format {format_}, this version reads {FORMAT}; update inpaintlab.")
            items = tuple(Item(**item) for item in content.pop("items"))
            manifest = cls(**content, items=items)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is not a manifest of inpaintlab ({error}).") from error
        if manifest.sha256 != sha256:
            raise ValueError(f"{path} was changed after it was frozen: its content does not match its hash.")
        return manifest


class ManifestDataset(Dataset):
    """The images and holes of a manifest, each checked against its hash as it is read.

    Args:
        manifest: what to read.
        root: where the photographs of a folder lie on this machine, if not where they lay when it was frozen.
    """

    def __init__(self, manifest: Manifest, root: str | None = None) -> None:
        source = dict(manifest.source) | ({"root": root} if root else {})
        self.manifest = manifest
        self.source = instantiate(only_ours(source, "The manifest's source"))
        self.crop = instantiate(only_ours(manifest.crop, "The manifest's crop"))
        self.masks = {
            label: instantiate(only_ours(recipe, f"The manifest's bin '{label}'"))
            for label, recipe in manifest.bins.items()
        }

    def __len__(self) -> int:
        return len(self.manifest.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """image (3, S, S) in [0, 1], mask (1, S, S), name.

        Raises:
            ValueError: an image or mask that is no longer what was frozen.
        """
        item, manifest = self.manifest.items[index], self.manifest
        if self.source.sha256(manifest.split, item.image) != item.image_sha256:
            raise ValueError(
                f"Image '{item.image}' is not the one that the manifest froze: its hash differs. Restore the file, or "
                "make a new manifest."
            )
        picture = self.source.read(manifest.split, item.image)
        image = image_tensor(self.crop.evaluate(picture)(picture))
        mask = self.masks[item.bin](manifest.size, manifest.size, _generator(manifest.seed, item.bin, item.image))
        if _mask_sha256(mask) != item.mask_sha256:
            raise ValueError(
                f"The hole of '{item.name}' is not the one that the manifest froze: its mask files or the mask's code "
                "changed. Restore them, or make a new manifest."
            )
        return {"image": image, "mask": mask, "name": item.name}


def _generator(seed: int, label: str, image: str) -> torch.Generator:
    return sample_generator("evaluation", seed, label, image)


def _mask_sha256(mask: Float[Tensor, "1 height width"]) -> str:
    bits = np.packbits(mask.numpy() > 0.5)
    return hashlib.sha256(f"{tuple(mask.shape)}".encode() + bits.tobytes()).hexdigest()


@command("manifest")
def main(cfg: DictConfig) -> None:
    """Freeze a test set and say what is in it."""
    manifest = Manifest.create(
        source=plain(cfg.data.source),
        crop=plain(cfg.data.crop),
        bins=plain(cfg.bins),
        split=cfg.split,
        size=cfg.data.size,
        seed=cfg.seed,
        images=cfg.images,
    )
    Path(cfg.out).parent.mkdir(parents=True, exist_ok=True)
    manifest.save(Path(cfg.out))
    counts = {label: sum(item.bin == label for item in manifest.items) for label in manifest.bins}
    print(f"{cfg.out}: {len(manifest.items)} items of {manifest.size} x {manifest.size} pixels, {manifest.sha256[:12]}")
    print("  " + ", ".join(f"{label}: {count}" for label, count in counts.items()))


if __name__ == "__main__":
    main()
