"""The figures of the papers: drawn from results or from a checkpoint, with the numbers behind each and its caption."""

from inpaintlab.figure.matrix import heatmap
from inpaintlab.figure.page import Drawn, write
from inpaintlab.figure.same_holes import qualitative
from inpaintlab.figure.sigma import sigma_curves, sigma_pictures
from inpaintlab.figure.stages import overview, removal, transfer
from inpaintlab.figure.worst_edges import failures

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
