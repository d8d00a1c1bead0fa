"""Mask generators, one file for each family of holes."""

from inpaintlab.masks.folder import MaskFolder, mask_folders
from inpaintlab.masks.mask import Mask
from inpaintlab.masks.mixtures import Mixture, WithHoleRatio
from inpaintlab.masks.reading import CLEAN, Colour, MaskPicture, mask_picture, read_mask
from inpaintlab.masks.rectangles import Block, Center, Half, Rectangle
from inpaintlab.masks.regions import RandomRegion
from inpaintlab.masks.settings import Number
from inpaintlab.masks.strokes import Strokes

__all__ = [
    "CLEAN",
    "Block",
    "Center",
    "Colour",
    "Half",
    "Mask",
    "MaskFolder",
    "MaskPicture",
    "Mixture",
    "Number",
    "RandomRegion",
    "Rectangle",
    "Strokes",
    "WithHoleRatio",
    "mask_folders",
    "mask_picture",
    "read_mask",
]
