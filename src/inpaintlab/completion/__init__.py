"""Completing a user's own photographs."""

from inpaintlab.completion.bar import progress_shown
from inpaintlab.completion.checking import Checked, check_photographs, hash_of
from inpaintlab.completion.folder import complete_folder
from inpaintlab.completion.formats import made_of
from inpaintlab.completion.originals import paintable, painted
from inpaintlab.completion.photographs import Photograph, pair_photographs, read_photograph
from inpaintlab.completion.windows import MEMORY, SMALL, Completion, Plan, Windowing, complete_windowed

__all__ = [
    "MEMORY",
    "SMALL",
    "Checked",
    "Completion",
    "Photograph",
    "Plan",
    "Windowing",
    "check_photographs",
    "complete_folder",
    "complete_windowed",
    "hash_of",
    "made_of",
    "paintable",
    "painted",
    "pair_photographs",
    "progress_shown",
    "read_photograph",
]
