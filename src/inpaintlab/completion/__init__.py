"""Completing a user's own photographs."""

from inpaintlab.completion.completing import complete_photograph
from inpaintlab.completion.photographs import Photograph, pair_photographs, read_photograph

__all__ = [
    "Photograph",
    "complete_photograph",
    "pair_photographs",
    "read_photograph",
]
