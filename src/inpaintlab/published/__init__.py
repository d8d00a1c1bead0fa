"""What others have published: where it is, fetched and checked."""

from inpaintlab.published.catalogue import CATALOGUE, VGG16, VGG19, File, Published
from inpaintlab.published.download import fetch, local_files, weights_folder, wrong_hash
from inpaintlab.published.weight_files import WeightFile, require_packages

__all__ = [
    "CATALOGUE",
    "VGG16",
    "VGG19",
    "File",
    "Published",
    "WeightFile",
    "fetch",
    "local_files",
    "require_packages",
    "weights_folder",
    "wrong_hash",
]
