"""One paper, one file."""

from inpaintlab.models.diffusion import Biharmonic, MeanColour, OpenCVInpainting
from inpaintlab.models.edgeconnect import EdgeConnect

__all__ = [
    "Biharmonic",
    "EdgeConnect",
    "MeanColour",
    "OpenCVInpainting",
]
