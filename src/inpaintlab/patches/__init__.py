"""Nearest-neighbour fields: patches of the known region that resemble those around and in a hole."""

from inpaintlab.patches.field import Targets, improve, known_patches, measure, targets_of, touching, vote
from inpaintlab.patches.homography import Homography, copies, rescaled, usable
from inpaintlab.patches.kernels import generator
from inpaintlab.patches.pyramid import fitting_patch, from_nearest, shrunk

__all__ = [
    "Homography",
    "Targets",
    "copies",
    "fitting_patch",
    "from_nearest",
    "generator",
    "improve",
    "known_patches",
    "measure",
    "rescaled",
    "shrunk",
    "targets_of",
    "touching",
    "usable",
    "vote",
]
