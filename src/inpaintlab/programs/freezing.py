"""Freezing a test set from a program, as `inpaintlab manifest create` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from inpaintlab.data import require_chosen
from inpaintlab.programs.composing import composed, in_one_sentence
from inpaintlab.recipes import overrides, plain
from inpaintlab.shapes import Size
from inpaintlab.testsets import Manifest, ratio_ranges
from inpaintlab.trust import trusted_by, trusting


def freeze(
    out: str | Path,
    data: str = "folder",
    *,
    root: str | Path | None = None,
    size: Size | None = None,
    images: int | None = None,
    ratios: Sequence[float] | None = None,
    trust: Sequence[str] = (),
    **settings: Any,
) -> Path:
    """Freeze a test set: pictures, a hole each a bin of hole ratios, and the hashes of both.

    Args:
        out: the JSON file to write.
        data: which pictures: "folder", "photos" (those inside scikit-image), or another choice of conf/data.
        root: the folder of the pictures, of ``data="folder"``.
        size: of the test images in pixels: the side of a square, or [height, width]; None for that of ``data``.
        images: how many pictures, the first ones; None for all.
        ratios: ends of the bins, as in [0.1, 0.3, 0.5]; None for EdgeConnect's four and a square block.
        trust: packages of your own whose classes the settings may name.
        settings: others of `inpaintlab manifest create`, such as ``seed=1`` or ``split="val"``.

    Returns:
        The file, which `inpaintlab.evaluate` takes.

    Raises:
        ValueError: what the command refuses, in one sentence.
    """
    named = {"data.root": None if root is None else str(root), "data.size": size, "images": images, "ratios": ratios}
    given = {"data": data, "out": str(out)} | {key: value for key, value in named.items() if value is not None}
    trusted = overrides({"trust": list(trust)}) if trust else []
    cfg = composed("manifest create", given | settings, "inpaintlab.freeze", trusted)
    with trusting(trusted_by(cfg)), in_one_sentence():
        frozen_of(cfg).save(Path(cfg.out))
    return Path(cfg.out)


def frozen_of(cfg: DictConfig) -> Manifest:
    """The test set of the settings of ``inpaintlab manifest create``.

    Raises:
        ValueError: no data are chosen, or pictures cannot be read or are too few.
    """
    require_chosen(cfg, "frozen")
    return Manifest.create(
        source=plain(cfg.data.source),
        crop=plain(cfg.data.crop),
        bins=_bins(cfg),
        split=cfg.split,
        size=cfg.data.size,
        seed=cfg.seed,
        images=cfg.images,
    )


def _bins(cfg: DictConfig) -> dict[str, Any]:
    """The bins that are written out, or those between the ``ratios`` that are asked for instead."""
    if cfg.ratios is None:
        return plain(cfg.bins)
    with_ratio = {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": plain(cfg.irregular)}
    ranges = ratio_ranges(list(cfg.ratios))
    return {label: {**with_ratio, "low": low, "high": high} for label, (low, high) in ranges.items()}
