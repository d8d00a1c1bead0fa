"""Pictures without learning: opening and finding files, Poisson, planes, PyPatchMatch, offset colours."""

from inpaintlab.imaging.blending import NAME, blend
from inpaintlab.imaging.continuation import biharmonic
from inpaintlab.imaging.folders import Pictures, find_pictures, on_disk, same_form
from inpaintlab.imaging.gray import GRAY_WEIGHTS, mean_colour, rgb_to_gray
from inpaintlab.imaging.offsets import offset_colours
from inpaintlab.imaging.opening import ENDINGS, FORMATS, MAX_PIXELS, SEVERAL, opened, picture_bytes, read_picture
from inpaintlab.imaging.planes import PlaneFinder, Planes
from inpaintlab.imaging.poisson import ScreenedPoisson
from inpaintlab.imaging.pypatchmatch import PyPatchMatch, reaches_everywhere
from inpaintlab.imaging.regularity import RegularityFinder
from inpaintlab.imaging.vanishing_points import VanishingPointDetector

__all__ = [
    "ENDINGS",
    "FORMATS",
    "GRAY_WEIGHTS",
    "MAX_PIXELS",
    "NAME",
    "SEVERAL",
    "Pictures",
    "PlaneFinder",
    "Planes",
    "PyPatchMatch",
    "RegularityFinder",
    "ScreenedPoisson",
    "VanishingPointDetector",
    "biharmonic",
    "blend",
    "find_pictures",
    "mean_colour",
    "offset_colours",
    "on_disk",
    "opened",
    "picture_bytes",
    "reaches_everywhere",
    "read_picture",
    "rgb_to_gray",
    "same_form",
]
