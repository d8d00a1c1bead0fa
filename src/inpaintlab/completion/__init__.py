"""Completing a user's own photographs."""

from inpaintlab.completion.completing import complete_photograph, hash_of
from inpaintlab.completion.originals import made_of
from inpaintlab.completion.photographs import Photograph, pair_photographs, read_photograph

__all__ = [
    "Photograph",
    "complete_photograph",
    "hash_of",
    "made_of",
    "pair_photographs",
    "read_photograph",
]
