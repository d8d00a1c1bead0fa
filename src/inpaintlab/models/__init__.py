"""The methods, one file for each paper."""

from inpaintlab.models.context_encoder import ContextEncoder
from inpaintlab.models.contextual_attention import ContextualAttention
from inpaintlab.models.diffusion import Biharmonic, MeanColour, OpenCVInpainting
from inpaintlab.models.edgeconnect import EdgeConnect
from inpaintlab.models.glcic import GLCIC
from inpaintlab.models.image_melding import ImageMelding
from inpaintlab.models.partial_convolution import PartialConvolution
from inpaintlab.models.patchmatch import PatchMatch
from inpaintlab.models.patchmatch_library import PatchMatchLibrary
from inpaintlab.models.planar_structure import PlanarStructure

__all__ = [
    "GLCIC",
    "Biharmonic",
    "ContextEncoder",
    "ContextualAttention",
    "EdgeConnect",
    "ImageMelding",
    "MeanColour",
    "OpenCVInpainting",
    "PartialConvolution",
    "PatchMatch",
    "PatchMatchLibrary",
    "PlanarStructure",
]
