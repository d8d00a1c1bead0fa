"""Pictures without learning: opening their files, Canny's edges, Poisson blending."""

from inpaintlab.imaging.blending import NAME, blend
from inpaintlab.imaging.edges import canny, rgb_to_gray
from inpaintlab.imaging.opening import ENDINGS, FORMATS, MAX_PIXELS, opened, picture_bytes, read_picture

__all__ = [
    "ENDINGS",
    "FORMATS",
    "MAX_PIXELS",
    "NAME",
    "blend",
    "canny",
    "opened",
    "picture_bytes",
    "read_picture",
    "rgb_to_gray",
]
