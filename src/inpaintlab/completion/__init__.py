"""Completing a user's own photographs."""

from inpaintlab.completion.bar import progress_shown
from inpaintlab.completion.checking import Checked, check_photographs, hash_of
from inpaintlab.completion.folder import complete_folder
from inpaintlab.completion.originals import made_of, paintable, painted
from inpaintlab.completion.photographs import Photograph, pair_photographs, read_photograph

__all__ = [
    "Checked",
    "Photograph",
    "check_photographs",
    "complete_folder",
    "hash_of",
    "made_of",
    "paintable",
    "painted",
    "pair_photographs",
    "progress_shown",
    "read_photograph",
]
