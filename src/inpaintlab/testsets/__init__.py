"""Frozen test sets, and a search for images and masks that they share with training."""

from inpaintlab.testsets.holes import ratio_ranges
from inpaintlab.testsets.leaks import image_leaks, mask_leaks, summary
from inpaintlab.testsets.manifest import Manifest, ManifestDataset
from inpaintlab.testsets.names import picture_name, picture_names
from inpaintlab.testsets.pairs import (
    Pairs,
    freeze_pairs,
    freeze_ratio_folders,
    lama_folder,
    paired_lists,
    same_names,
)

__all__ = [
    "Manifest",
    "ManifestDataset",
    "Pairs",
    "freeze_pairs",
    "freeze_ratio_folders",
    "image_leaks",
    "lama_folder",
    "mask_leaks",
    "paired_lists",
    "picture_name",
    "picture_names",
    "ratio_ranges",
    "same_names",
    "summary",
]
