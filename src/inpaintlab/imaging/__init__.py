"""Image processing without learning: Canny's edges, Poisson blending."""

from inpaintlab.imaging.blending import NAME, blend
from inpaintlab.imaging.edges import canny, rgb_to_gray

__all__ = [
    "NAME",
    "blend",
    "canny",
    "rgb_to_gray",
]
