"""What others have published: where it is, fetched and checked; and the starter weights inside this package."""

from inpaintlab.published.catalogue import CATALOGUE, VGG16, VGG19, File, Published, Wheel
from inpaintlab.published.download import fetch, local_files, weights_folder, wrong_hash
from inpaintlab.published.hed import HED_BLOCKS, hed_tensors, require_hed
from inpaintlab.published.looking_up import files_to_import, look_up
from inpaintlab.published.starters import (
    STARTER_CREDITS,
    STARTER_LAYOUT,
    STARTER_LICENCE,
    STARTERS,
    Starter,
    starter_file,
)
from inpaintlab.published.weight_files import WeightFile, require_packages

__all__ = [
    "CATALOGUE",
    "HED_BLOCKS",
    "STARTERS",
    "STARTER_CREDITS",
    "STARTER_LAYOUT",
    "STARTER_LICENCE",
    "VGG16",
    "VGG19",
    "File",
    "Published",
    "Starter",
    "WeightFile",
    "Wheel",
    "fetch",
    "files_to_import",
    "hed_tensors",
    "local_files",
    "look_up",
    "require_hed",
    "require_packages",
    "starter_file",
    "weights_folder",
    "wrong_hash",
]
