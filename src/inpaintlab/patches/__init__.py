"""Nearest-neighbour fields: patches of the known region that resemble those around and in a hole."""

from inpaintlab.patches.field import Targets, at_random, improve, known_patches, measure, targets_of, touching, vote
from inpaintlab.patches.homographies import copies, rescaled, usable
from inpaintlab.patches.homography import Homography
from inpaintlab.patches.kernels import generator
from inpaintlab.patches.pyramid import carried, fitting_patch, from_nearest, geometric_sizes, inside, shortfall, shrunk
from inpaintlab.patches.similarity import looking_at, similarity
from inpaintlab.patches.similarity_fields import carried_over, coherence, inside_image, random_matches
from inpaintlab.patches.translation import Painted

__all__ = [
    "Homography",
    "Painted",
    "Targets",
    "at_random",
    "carried",
    "carried_over",
    "coherence",
    "copies",
    "fitting_patch",
    "from_nearest",
    "generator",
    "geometric_sizes",
    "improve",
    "inside",
    "inside_image",
    "known_patches",
    "looking_at",
    "measure",
    "random_matches",
    "rescaled",
    "shortfall",
    "shrunk",
    "similarity",
    "targets_of",
    "touching",
    "usable",
    "vote",
]
