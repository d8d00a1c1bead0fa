"""The figures of the papers: drawn from results or from a checkpoint, with the numbers behind each and its caption."""

from inpaintlab.figure.failures import failures
from inpaintlab.figure.heatmap import heatmap
from inpaintlab.figure.page import Drawn, write
from inpaintlab.figure.qualitative import qualitative
from inpaintlab.figure.sigma import sigma_curves, sigma_pictures
from inpaintlab.figure.stages import overview, removal, transfer

__all__ = [
    "Drawn",
    "failures",
    "heatmap",
    "overview",
    "qualitative",
    "removal",
    "sigma_curves",
    "sigma_pictures",
    "transfer",
    "write",
]
