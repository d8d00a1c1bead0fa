"""What programs and notebooks call: methods that complete pictures of any kind, evaluations and comparisons."""

from inpaintlab.programs.completing import Edges, Method
from inpaintlab.programs.loading import load, method

__all__ = [
    "Edges",
    "Method",
    "load",
    "method",
]
