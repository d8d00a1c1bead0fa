"""Where edges of photographs come from: Canny's detector, HED, files and drawings."""

from inpaintlab.edges.canny_detector import canny
from inpaintlab.edges.canny_on_cpu import HIGH_THRESHOLD, LOW_THRESHOLD, gaussian_taps
from inpaintlab.edges.canny_source import Canny
from inpaintlab.edges.filling import fill_smoothly, fill_unseen
from inpaintlab.edges.given import Drawn, EdgeFiles
from inpaintlab.edges.hed_network import HED_COLOURS, HEDNetwork, hed_weights
from inpaintlab.edges.hed_source import HED, HEDAndCanny
from inpaintlab.edges.source import EdgeSource, NoEdges

__all__ = [
    "HED",
    "HED_COLOURS",
    "HIGH_THRESHOLD",
    "LOW_THRESHOLD",
    "Canny",
    "Drawn",
    "EdgeFiles",
    "EdgeSource",
    "HEDAndCanny",
    "HEDNetwork",
    "NoEdges",
    "canny",
    "fill_smoothly",
    "fill_unseen",
    "gaussian_taps",
    "hed_weights",
]
