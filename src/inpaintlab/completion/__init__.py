"""Completing a user's own photographs."""

from inpaintlab.completion.bar import progress_shown
from inpaintlab.completion.checking import Checked, check_photographs, hash_of
from inpaintlab.completion.completing import in_halves
from inpaintlab.completion.edging import edges_used
from inpaintlab.completion.folder import complete_folder
from inpaintlab.completion.formats import made_of, write_png
from inpaintlab.completion.originals import Original, filled, paintable, painted, read_original
from inpaintlab.completion.photographs import Photograph, pair_photographs, read_photograph
from inpaintlab.completion.windows import MEMORY, Completion, Plan, Windowing, complete_windowed

__all__ = [
    "MEMORY",
    "Checked",
    "Completion",
    "Original",
    "Photograph",
    "Plan",
    "Windowing",
    "check_photographs",
    "complete_folder",
    "complete_windowed",
    "edges_used",
    "filled",
    "hash_of",
    "in_halves",
    "made_of",
    "paintable",
    "painted",
    "pair_photographs",
    "progress_shown",
    "read_original",
    "read_photograph",
    "write_png",
]
