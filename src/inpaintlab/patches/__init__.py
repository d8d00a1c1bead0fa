"""Nearest-neighbour fields: patches of the known region that resemble those around and in a hole."""

from inpaintlab.patches.field import improve, known_patches, measure, targets_of, touching, vote
from inpaintlab.patches.kernels import generator
from inpaintlab.patches.similarity import looking_at, similarity
from inpaintlab.patches.similarity_fields import carried_over, coherence, inside_image, random_matches

__all__ = [
    "carried_over",
    "coherence",
    "generator",
    "improve",
    "inside_image",
    "known_patches",
    "looking_at",
    "measure",
    "random_matches",
    "similarity",
    "targets_of",
    "touching",
    "vote",
]
